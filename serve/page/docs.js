// The OpenAPI document and the problems' codes, as a page; nothing from elsewhere.

const make = (tag, text, attributes = {}) => {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};

function kind(field) {
  const one = (f) => f.enum?.join(" | ") || f.const || (f.type === "array" ? `list of ${kind(f.items || {})}` : f.type === "object" ? `object of ${kind(f.additionalProperties || {})}` : f.format === "binary" ? "file" : f.type || "");
  const all = (field.anyOf || [field]).map(one).filter((name) => name && name !== "null");
  return [...new Set(all)].join(" or ");
}

function fields(schema, path) {
  const table = make("table");
  const head = table.createTHead().insertRow();
  for (const title of ["Field", "Type", "Default", "Meaning"]) head.append(make("th", title, { scope: "col" }));
  const body = table.createTBody();
  for (const [name, field] of Object.entries(schema.properties || {})) {
    const row = body.insertRow();
    const first = make("th", "", { scope: "row" });
    first.append(make("code", name));
    const fallback = field.default === undefined || field.default === null ? "" : JSON.stringify(field.default);
    row.append(first, make("td", kind(field)), make("td", fallback), make("td", field.description || ""));
  }
  const box = make("div", "", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Fields of ${path}` });
  box.append(table);
  return box;
}

function curl(path, verb, example) {
  const url = new URL(`.${path}`, document.baseURI.replace(/docs$/, "")).href;
  if (verb === "get") return `curl ${url}`;
  return `curl ${url} -H 'Content-Type: application/json' -d '${JSON.stringify(example)}'`;
}

function route(path, verb, told) {
  const section = make("section", "", { class: "wide" });
  section.append(make("h2", `${verb.toUpperCase()} ${path}`), make("p", told.description || told.summary || ""));
  const content = told.requestBody?.content?.["application/json"];
  if (content) section.append(fields(content.schema, path));
  section.append(make("h3", "Example"), make("pre", curl(path, verb, content?.example), { tabindex: "0", "aria-label": `Example of ${path}` }));
  const codes = Object.keys(told.responses || {}).filter((code) => code !== "200").join(", ");
  if (codes) section.append(make("p", `Refusals: ${codes}, as application/problem+json.`, { class: "quiet" }));
  return section;
}

function problems(codes) {
  const section = make("section", "", { class: "wide" });
  section.append(make("h2", "Problems"), make("p", "Every error is a document of RFC 9457: type, title, status, detail in words, and a code."));
  const list = make("dl");
  for (const [code, { status, meaning }] of Object.entries(codes)) {
    const term = make("dt", "", { id: `problem-${code}` });
    term.append(make("code", code), ` ${status}`);
    list.append(term, make("dd", meaning));
  }
  section.append(list);
  return section;
}

const [document_, codes] = await Promise.all(["openapi.json", "page/problems.json"].map((path) => fetch(path).then((a) => a.json())));
document.getElementById("about").textContent = document_.info.description.replaceAll("`", "");
const sections = Object.entries(document_.paths).flatMap(([path, verbs]) => Object.entries(verbs).filter(([verb]) => verb !== "head").map(([verb, told]) => route(path, verb, told)));
document.getElementById("routes").replaceChildren(...sections, problems(codes));
if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
