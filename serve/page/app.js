// The page: one face, its hybrid, and what is near. State is what the controls say; the newest request wins.

import { get, post, postForm, Refused, shown } from "./api.js";
import { draw } from "./radar.js";

const $ = (id) => document.getElementById(id);
const COLOURS = ["var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)"];
const PARTS = { eyes: "eyes", nose: "nose", mouth: "mouth", left_ear: "ears", right_ear: "ears", forehead: "forehead" };
const DEBOUNCE_MS = 120;
const state = { regions: [], models: {}, face: null, faces: [], other: null, affinities: null, hybrid: null };

function say(text) { $("status").textContent = text; }

function refuse(error) {
  if (error.name === "AbortError") return;
  const problem = error instanceof Refused ? error.problem : { detail: "The server cannot be reached. Is it running?" };
  if (problem.status === 401) {
    $("token-form").hidden = false;
    $("token").focus();
  }
  $("problem").textContent = problem.code === "no_usable_face" ? `This picture cannot be used: ${problem.detail}.` : problem.detail;
  $("problem").hidden = false;
  say("");
}

async function attempt(work) {
  $("problem").hidden = true;
  try { return await work(); } catch (error) { refuse(error); }
}

// --- the face

function showFace(face) {
  state.face = face;
  $("face").src = shown(face);
  $("face").alt = face.synthetic ? "A sampled person who does not exist" : "The face found in the photograph";
  const note = face.synthetic ? "Sampled: a person who does not exist." : `Face ${face.place.number + 1} of ${face.place.num_faces} in the photograph.`;
  $("face-note").textContent = note;
  drawBoxes(face.boxes);
  $("parent-a").src = shown(face);
  $("parent-a").alt = $("face").alt;
  refresh();
  look();
}

function drawBoxes(boxes) {
  const svg = $("boxes");
  svg.replaceChildren();
  for (const [part, [x0, y0, x1, y1]] of Object.entries(boxes)) {
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const region = state.regions.indexOf(PARTS[part]);
    const values = { x: x0, y: y0, width: x1 - x0, height: y1 - y0, rx: 0.015, fill: "none", stroke: COLOURS[region], "stroke-width": 0.008 };
    for (const [key, value] of Object.entries(values)) rect.setAttribute(key, value);
    svg.append(rect);
  }
  svg.style.display = $("show-boxes").checked ? "" : "none";
}

async function sampled() {
  const answer = await post("v1/faces", { sample: Math.floor(Math.random() * 2 ** 31), truncation: 0.65 });
  return (await answer.json()).faces[0];
}

async function photographed(file) {
  const form = new FormData();
  form.append("photo", file);
  return (await postForm("v1/faces", form)).faces;
}

function chooseAmong(faces) {
  state.faces = faces;
  const group = $("which");
  group.hidden = faces.length < 2;
  group.replaceChildren(...faces.map((face, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `Face ${i + 1}`;
    button.setAttribute("aria-pressed", String(i === 0));
    button.addEventListener("click", () => {
      for (const one of group.children) one.setAttribute("aria-pressed", String(one === button));
      showFace(face);
    });
    return button;
  }));
  showFace(faces[0]);
}

async function takePhoto(file) {
  if (!file) return;
  say("Looking for a face …");
  await attempt(async () => chooseAmong(await photographed(file)));
  $("photo").value = "";
}

// --- the hybrid

function mixing() {
  const species = {}, amount = {};
  for (const region of state.regions) {
    species[region] = $(`species-${region}`).value;
    amount[region] = Number($(`amount-${region}`).value) / 100;
  }
  return { face: state.face.face, species, amount, donor: $("one-animal").checked ? "animal" : "region" };
}

let timer, flight;
function refresh() {
  clearTimeout(timer);
  timer = setTimeout(makeHybrid, DEBOUNCE_MS);
}

async function makeHybrid() {
  if (!state.face || !state.models.hybrids?.species) return;
  flight?.abort();
  flight = new AbortController();
  const start = performance.now();
  $("hybrid").classList.add("busy");
  await attempt(async () => {
    const answer = await post("v1/hybrids", mixing(), { accept: "image/jpeg", signal: flight.signal });
    const url = URL.createObjectURL(await answer.blob());
    const old = $("hybrid").src;
    $("hybrid").src = url;
    if (old.startsWith("blob:")) URL.revokeObjectURL(old);
    describe(Math.round(performance.now() - start));
  });
  $("hybrid").classList.remove("busy");
}

function describe(ms) {
  const taken = state.regions.filter((r) => Number($(`amount-${r}`).value) > 0);
  const told = taken.map((r) => `${r} ${$(`amount-${r}`).value} % ${$(`species-${r}`).value}`).join(", ") || "no animal at all";
  $("hybrid").alt = `Hybrid: ${told}`;
  $("hybrid-note").textContent = `Synthetic, made in ${ms} ms.`;
  say(`Hybrid ready: ${told}.`);
  if (!$("record").hidden) explain();
}

async function explain() {
  const answer = await (await post("v1/hybrids", { ...mixing(), format: "json", picture: "jpeg" })).json();
  const { picture, ...record } = answer.pictures[0];
  $("record").textContent = JSON.stringify({ ...record, seconds: answer.seconds }, null, 1);
}

async function download() {
  const blob = await (await post("v1/hybrids", mixing(), { accept: "image/png" })).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = "rupantara-hybrid.png";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// --- what is near

let looks = 0;
async function look() {
  if (!state.models.hybrids?.species) return;
  const mine = ++looks;
  const face = state.face.face;
  const ask = (path, body, show) => attempt(async () => {
    const told = await (await post(path, body)).json();
    if (mine === looks) show(told);
  });
  // The pictures of the nearest take longer than the radar, which does not wait for them.
  await Promise.all([
    ask("v1/affinities", { face }, ({ regions, measure }) => {
      Object.assign(state, { affinities: regions, measure });
      showRadar();
    }),
    ask("v1/search", { face, k: 3, pictures: true }, ({ regions }) => showNearest(regions)),
  ]);
}

function cell(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function showNearest(regions) {
  $("nearest").tBodies[0].replaceChildren(...Object.entries(regions).map(([region, hits]) => {
    const row = document.createElement("tr");
    const head = cell("th", region);
    head.scope = "row";
    row.append(head, ...hits.map((hit) => {
      const made = cell("td", `${hit.species} ${hit.cosine.toFixed(2)}`);
      made.title = hit.bank_id;
      if (hit.picture) {
        const image = document.createElement("img");
        image.src = shown(hit);
        image.alt = `The ${region} of this ${hit.species}${hit.photograph ? "" : ", as the decoder draws it"}`;
        made.prepend(image);
      }
      const bar = document.createElement("span");
      bar.className = "bar";
      bar.style.width = `${Math.max(0, hit.cosine) * 100}%`;
      made.append(bar);
      return made;
    }));
    return row;
  }));
}

function showRadar() {
  if (!state.affinities) return;
  const region = $("radar-region").value;
  const all = Object.values(state.affinities);
  const names = Object.keys(all[0]);
  const mean = Object.fromEntries(names.map((n) => [n, all.reduce((s, one) => s + one[n], 0) / all.length]));
  const values = region === "all" ? mean : state.affinities[region];
  $("radar-note").textContent = `${draw($("radar"), values)} Measured as ${state.measure}.`;
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const title of ["Species", ...Object.keys(state.affinities)]) {
    const made = cell("th", title);
    made.scope = "col";
    head.append(made);
  }
  const body = table.createTBody();
  for (const name of names) {
    const row = body.insertRow();
    const first = cell("th", name);
    first.scope = "row";
    row.append(first, ...all.map((one) => cell("td", one[name].toFixed(3))));
  }
  $("radar-table").replaceChildren(table);
}

// --- variations and children

function gallery(list, pictures, what) {
  list.replaceChildren(...pictures.filter((p) => p.picture).map((picture, i) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = shown(picture);
    link.download = `rupantara-${what}-${i + 1}.png`;
    const image = document.createElement("img");
    image.src = link.href;
    image.alt = `${what} ${i + 1}: download`;
    link.append(image);
    item.append(link);
    return item;
  }));
}

async function vary() {
  say("Varying the face …");
  const body = { face: state.face.face, model: $("vary-model").value, mode: $("vary-mode").value, count: 8, format: "json" };
  const made = await (await post("v1/variations", body)).json();
  gallery($("variation-list"), made.pictures, "variation");
  say(`${made.pictures.length} variations.`);
}

async function invert() {
  say("Making the face of its vector …");
  const made = await (await post("v1/inversions", { face: state.face.face, model: $("invert-model").value, format: "json" })).json();
  const refused = made.pictures.find((one) => one.reject);
  if (refused) throw new Refused({ detail: `No face comes out of this vector: ${refused.reject.detail}.` });
  gallery($("inversion-list"), made.pictures, "inversion");
  const [face, texture] = $("inversion-list").querySelectorAll("img");
  face.alt = "The face made of its vector: download";
  texture.alt = "The same before it is warped to the face's own shape: download";
  say("The face of the vector is ready.");
}

function showOther(face) {
  state.other = face;
  $("parent-b").src = shown(face);
  $("parent-b").alt = face.synthetic ? "A second sampled person" : "The second parent's face";
}

async function breed() {
  say("Making children …");
  // The slider goes from the first parent to the second, dominance from 1 to -1.
  const dominance = 1 - Number($("dominance").value) / 50;
  const body = { first: { face: state.face.face }, second: { face: state.other.face }, dominance, count: 4, format: "json" };
  if (!$("age-label").hidden) body.age = Number($("age").value);
  const made = await (await post("v1/children", body)).json();
  gallery($("child-list"), made.pictures, "child");
  say(`${made.pictures.length} children.`);
}

// --- set up

function options(select, names, labels = {}) {
  select.replaceChildren(...names.map((name) => {
    const made = cell("option", labels[name] || name);
    made.value = name;
    return made;
  }));
}

function regionRow(region, i, species) {
  const row = document.createElement("fieldset");
  row.className = "row";
  const legend = document.createElement("legend");
  const dot = document.createElement("span");
  dot.className = "dot";
  dot.style.background = COLOURS[i];
  legend.append(dot, region);
  const select = document.createElement("select");
  select.id = `species-${region}`;
  select.setAttribute("aria-label", `Species of the ${region}`);
  options(select, species);
  const slider = document.createElement("input");
  Object.assign(slider, { id: `amount-${region}`, type: "range", min: 0, max: 100, value: 100 });
  slider.setAttribute("aria-label", `Amount of the ${region}, percent`);
  const out = cell("output", "100 %");
  out.htmlFor = slider.id;
  select.addEventListener("change", refresh);
  slider.addEventListener("input", () => { out.textContent = `${slider.value} %`; refresh(); });
  row.append(legend, select, slider, out);
  return row;
}

function setAll() {
  for (const region of state.regions) {
    $(`amount-${region}`).value = $("amount-all").value;
    $(`amount-${region}`).nextSibling.textContent = `${$("amount-all").value} %`;
  }
  $("out-all").textContent = `${$("amount-all").value} %`;
  refresh();
}

function wire() {
  $("sample").addEventListener("click", () => attempt(async () => chooseAmong([await sampled()])));
  $("photo").addEventListener("change", (event) => takePhoto(event.target.files[0]));
  $("show-boxes").addEventListener("change", () => state.face && drawBoxes(state.face.boxes));
  $("one-animal").addEventListener("change", refresh);
  $("amount-all").addEventListener("input", setAll);
  $("species-all").addEventListener("change", () => {
    for (const region of state.regions) $(`species-${region}`).value = $("species-all").value;
    refresh();
  });
  $("download").addEventListener("click", () => attempt(download));
  $("explain").addEventListener("click", () => {
    $("record").hidden = !$("record").hidden;
    $("explain").setAttribute("aria-expanded", String(!$("record").hidden));
    if (!$("record").hidden) attempt(explain);
  });
  $("radar-region").addEventListener("change", showRadar);
  $("vary").addEventListener("submit", (event) => { event.preventDefault(); attempt(vary); });
  $("invert").addEventListener("submit", (event) => { event.preventDefault(); attempt(invert); });
  $("breed").addEventListener("submit", (event) => { event.preventDefault(); attempt(breed); });
  $("mix").addEventListener("submit", (event) => event.preventDefault());
  $("other-sample").addEventListener("click", () => attempt(async () => showOther(await sampled())));
  $("other-photo").addEventListener("change", (event) => attempt(async () => showOther((await photographed(event.target.files[0]))[0])));
  $("dominance").addEventListener("input", () => {
    const value = Number($("dominance").value);
    $("out-dominance").textContent = value === 50 ? "both alike" : value < 50 ? `${100 - value} % the first` : `${value} % the second`;
  });
  $("age").addEventListener("input", () => { $("out-age").textContent = `${$("age").value} years`; });
  const drop = document.body;
  drop.addEventListener("dragover", (event) => { event.preventDefault(); $("drop").classList.add("over"); });
  drop.addEventListener("dragleave", () => $("drop").classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    takePhoto(event.dataTransfer.files[0]);
  });
  $("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem("rupantara-token", $("token").value);
    $("token-form").hidden = true;
    attempt(begin);
  });
}

// While models are loaded the page says what is waited for.
async function ready() {
  for (;;) {
    const answer = await fetch("readyz");
    if (answer.ok) return;
    const problem = await answer.json();
    say(`The server is not ready yet: ${problem.detail}`);
    await new Promise((done) => setTimeout(done, 2000));
  }
}

async function begin() {
  await ready();
  const about = await get("v1/models");
  Object.assign(state, { models: about.models, regions: about.regions });
  const species = about.models.hybrids?.species || [];
  $("regions").replaceChildren(...about.regions.map((region, i) => regionRow(region, i, ["nearest", ...species])));
  options($("species-all"), ["nearest", ...species]);
  // One animal for all regions makes the better first picture than the nearest of each.
  if (species.length) {
    const first = species[Math.floor(Math.random() * species.length)];
    for (const id of ["all", ...about.regions]) $(`species-${id}`).value = first;
  }
  options($("radar-region"), ["all", ...about.regions], { all: "mean of all regions" });
  const varying = Object.keys(about.models).filter((name) => name.startsWith("variations:"));
  $("variations").hidden = !varying.length;
  options($("vary-model"), varying.map((name) => name.split(":")[1]));
  const inverting = Object.keys(about.models).filter((name) => name.startsWith("inversions:") && about.models[name].of_photographs);
  $("inversions").hidden = !inverting.length;
  options($("invert-model"), inverting.map((name) => name.split(":")[1]));
  $("vector-dim").textContent = about.models[inverting[0]]?.dim ?? "";
  $("children").hidden = !("children" in about.models);
  $("age-label").hidden = !about.models.children?.ages;
  const model = about.models.hybrids;
  $("model-note").textContent = model ? `Model ${model.model_sha256.slice(0, 12)}, ${model.size} x ${model.size} pixels.` : "";
  chooseAmong([await sampled()]);
  if ("children" in about.models) showOther(await sampled());
}

wire();
attempt(begin);
