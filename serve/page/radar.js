// A radar of cosines by species, as SVG; negative cosines lie inside the zero ring.

const NS = "http://www.w3.org/2000/svg";

function add(parent, name, attributes, text) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

const at = (angle, radius) => [radius * Math.sin(angle), -radius * Math.cos(angle)];
const path = (points) => points.map((p) => p.map((v) => v.toFixed(4)).join(",")).join(" ");

export function draw(svg, values) {
  svg.replaceChildren();
  const names = Object.keys(values).sort();
  if (!names.length) return "";
  const most = Math.max(0.05, ...names.map((name) => Math.abs(values[name])));
  const radius = (value) => 0.5 + 0.5 * (value / most);
  const angle = (i) => (2 * Math.PI * i) / names.length;
  for (const [share, width] of [[0, 0.004], [0.5, 0.012], [1, 0.004]]) {
    add(svg, "circle", { r: share, fill: "none", stroke: "var(--line)", "stroke-width": width });
  }
  names.forEach((name, i) => {
    const [x, y] = at(angle(i), 1);
    add(svg, "line", { x1: 0, y1: 0, x2: x, y2: y, stroke: "var(--line)", "stroke-width": 0.006 });
    const [tx, ty] = at(angle(i), 1.12);
    const anchor = Math.abs(tx) < 0.1 ? "middle" : tx > 0 ? "start" : "end";
    add(svg, "text", { x: tx, y: ty + 0.04, "text-anchor": anchor }, name);
  });
  const points = names.map((name, i) => at(angle(i), radius(values[name])));
  add(svg, "polygon", { points: path(points), fill: "var(--mark)", "fill-opacity": 0.25, stroke: "var(--mark)", "stroke-width": 0.02 });
  for (const [x, y] of points) add(svg, "circle", { cx: x, cy: y, r: 0.03, fill: "var(--mark)" });
  const best = names.reduce((a, b) => (values[a] >= values[b] ? a : b));
  return `Nearest: ${best} (cosine ${values[best].toFixed(2)}). The thick ring is 0, the outer one ${most.toFixed(2)}.`;
}
