"use strict";
// The images of a run: data, filter and grid. The enlarged image is in gallery_box.js, which starts the page.
// An image is the pair of its unit (a prompt with a seed) and the place of its method.
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const { methods, attributes, judges, prompts, statuses, base } = data;
const METHODS = methods.length, UNITS = data.prompt_of.length, WIDTH = attributes.length + 3;
const NO_IMAGE = " ", UNLABELLED = ".", UNKNOWN = "-", NO_FACT = "0";
// Behind the labels of an image are three sets of attributes.
const FACTS = { changed: WIDTH - 3, disobeyed: WIDTH - 2, disagreed: WIDTH - 1 };
const form = $("filters"), grid = $("grid"), box = $("box");
const inNotebook = location.protocol === "about:"; // a frame, whose address must not change

function number(character) {
  const code = character.charCodeAt(0);
  return code < 128 ? code - 48 : code - 192;
}
const code = (unit, method, at) => data.labels[method][unit * WIDTH + at];
const exists = (unit, method) => code(unit, method, 0) !== NO_IMAGE;
const promptOf = (unit) => prompts[data.prompt_of[unit]];
const seedText = (unit) => (data.external ? `image ${data.seed_of[unit] + 1}` : `seed ${data.seed_of[unit]}`);
function attributesOf(unit, method, at) {
  const bits = number(code(unit, method, at));
  return attributes.map((_, place) => place).filter((place) => (bits >> place) & 1);
}

// Keys, seeds and answers come in chunks. A page on disk may not fetch JSON, so chunks are scripts.
const chunks = Array.isArray(data.chunks) ? data.chunks.map(indexed) : [];
const requested = new Set();
function indexed(chunk) {
  chunk.row = new Map(chunk.at.map((place, row) => [place, row]));
  return chunk;
}
window.galleryChunk = (index, chunk) => {
  chunks[index] = indexed(chunk);
  for (const image of document.querySelectorAll("[data-waits]")) fill(image);
  if (box.open) show();
};
function details(unit, method) {
  const index = Math.floor(unit / data.chunk), chunk = chunks[index];
  if (!chunk) {
    request(index);
    return null;
  }
  const row = chunk.row.get((unit % data.chunk) * METHODS + method);
  return row === undefined ? null : { chunk, row, key: chunk.keys[row] };
}
function request(index) {
  if (requested.has(index)) return;
  requested.add(index);
  const script = document.createElement("script");
  script.src = `${data.folder}/${String(index).padStart(3, "0")}.js`;
  script.onerror = () => say(`${script.getAttribute("src")} is missing: keep this page in its run folder.`);
  document.head.append(script);
}
const fileOf = (key) => `images/${key.slice(0, 2)}/${key}.png`;
const source = (key) => (data.thumbnails ? `data:image/webp;base64,${data.thumbnails[key]}` : fileOf(key));
function fill(image) {
  const found = details(...image.dataset.waits.split(",").map(Number));
  if (!found) return;
  image.removeAttribute("data-waits");
  image.src = source(found.key);
}

// The filter is kept in the fragment of the address: #concept=nurse&method=mist&changed=1&open=...
const GROUPS = attributes.map(([name]) => `is-${name}`);
const FIELDS = ["concept", "kind", "method", ...GROUPS, "words", ...Object.keys(FACTS)];
let state = {};
let shown = []; // methods
let units = []; // units with at least one image that passes the filter
let hits = [], marked = new Set(); // these images, and those that the grid marks: unit * METHODS + method

function offer(select, pairs, all) {
  select.append(new Option(all, ""), ...pairs.map(([value, text]) => new Option(text, value)));
}
function prepareForm() {
  offer(form.elements.concept, data.concepts.map((name) => [name, name || "none"]), "all");
  offer(form.elements.kind, data.kinds, "all");
  offer(form.elements.method, methods.map((name) => [name, name]), "all");
  attributes.forEach(([, title, groups], at) => {
    const label = document.createElement("label"), select = document.createElement("select");
    select.name = GROUPS[at];
    offer(select, [...groups, "undetermined"].map((name) => [name, name]), "any");
    label.append(`Perceived ${title} `, select);
    $("groups").append(label);
  });
}
function fromForm() {
  const { open } = state;
  state = open ? { open } : {};
  for (const name of FIELDS) {
    const field = form.elements[name];
    const value = field?.type === "checkbox" ? (field.checked ? "1" : "") : field?.value;
    if (value) state[name] = value;
  }
  toAddress();
  apply();
}
function toForm() {
  const unknown = [];
  for (const name of FIELDS) {
    const field = form.elements[name], value = state[name] || "";
    if (!field) continue;
    if (field.type === "checkbox") {
      field.checked = value !== "";
      continue;
    }
    field.value = value;
    if (field.value === value) continue;
    field.value = "";
    delete state[name];
    unknown.push(`${name} “${value}”`);
  }
  return unknown.length ? `This run has no ${unknown.join(" and no ")}. ` : "";
}
function toAddress() {
  if (!inNotebook) history.replaceState(null, "", `#${new URLSearchParams(state)}`);
}
function fromAddress() {
  state = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  apply(toForm());
  if (state.open) enlargeNamed(state.open);
  else if (box.open) box.close();
}
function checks() {
  const found = [];
  attributes.forEach(([, , groups], at) => {
    const wanted = state[GROUPS[at]];
    if (!wanted) return;
    const label = wanted === "undetermined" ? UNKNOWN : groups.indexOf(wanted);
    found.push((unit, method) => {
      const own = code(unit, method, at);
      return own === label || (own !== UNKNOWN && own !== UNLABELLED && number(own) === label);
    });
  });
  for (const [fact, at] of Object.entries(FACTS)) {
    if (state[fact]) found.push((unit, method) => code(unit, method, at) !== NO_FACT);
  }
  return found;
}
function apply(complaint = "") {
  const only = methods.indexOf(state.method ?? ""), all = checks(), words = (state.words || "").toLowerCase();
  const judged = only < 0 ? methods.map((_, method) => method) : [only];
  // The baseline stays beside the only method, for comparison.
  shown = only < 0 ? judged : [...new Set([base, only])].filter((method) => method >= 0);
  const wanted = prompts.map(([, text, concept, kind]) =>
    (!state.concept || data.concepts[concept] === state.concept) &&
    (!state.kind || data.kinds[kind][0] === state.kind) &&
    text.toLowerCase().includes(words));
  units = [];
  hits = [];
  for (let unit = 0; unit < UNITS; unit++) {
    if (!wanted[data.prompt_of[unit]]) continue;
    const found = judged.filter((method) => exists(unit, method) && all.every((check) => check(unit, method)));
    if (!found.length) continue;
    units.push(unit);
    for (const method of found) hits.push(unit * METHODS + method);
  }
  marked = new Set(all.length ? hits : []);
  draw();
  const active = FIELDS.filter((name) => state[name]).length;
  $("panel").firstElementChild.textContent = active ? `Filter (${active} active)` : "Filter";
  const rest = size.count < units.length ? "; filter them, this page is too short for all" : "";
  say(`${complaint}${counted(hits.length)} of ${counted(judged.length * UNITS)} images${rest}`);
}
const counted = (value) => value.toLocaleString("en");
const say = (text) => { $("count").textContent = text; };

// The grid: only what is near the window is in the document.
const LABEL = 18, CAPTION = 36, PAD = 8, GAP = 16, TALLEST = 15e6; // pixels; browsers cut off taller elements
let size = {};
let present = new Map(); // place in units -> element
function draw() {
  for (const element of present.values()) element.remove();
  present = new Map();
  measure();
  render();
}
function measure() {
  const room = grid.clientWidth, half = Math.floor(room / Math.min(2, shown.length)) - PAD;
  const side = Math.min(data.side, Math.max(64, half)), least = Math.max(side, 96) + PAD;
  const columns = Math.max(1, Math.min(shown.length, Math.floor(room / least)));
  const across = Math.max(1, Math.floor((room + GAP) / (columns * least + GAP)));
  const cell = Math.min(least + 48, Math.floor((room - (across - 1) * GAP) / (across * columns)));
  const width = columns * cell, head = width < 300 ? 46 : 28;
  const line = head + Math.ceil(shown.length / columns) * (LABEL + side + CAPTION + PAD) + GAP;
  const count = Math.min(units.length, Math.floor(TALLEST / line) * across);
  size = { side, cell, width, across, line, count };
  grid.style.height = `${Math.ceil(count / across) * line}px`;
}
function render() {
  const top = -grid.getBoundingClientRect().top, line = (y) => Math.floor(y / size.line);
  const first = Math.max(0, line(top - innerHeight / 2)) * size.across;
  const last = Math.min(size.count, (line(top + 1.5 * innerHeight) + 1) * size.across);
  for (const [at, element] of present) {
    if ((at >= first && at < last) || element.contains(document.activeElement)) continue;
    element.remove();
    present.delete(at);
  }
  for (let at = first; at < last; at++) if (!present.has(at)) place(at);
  if (!grid.querySelector('.shot[tabindex="0"]')) {
    const button = grid.querySelector("button");
    if (button) button.tabIndex = 0;
  }
}
function place(at) {
  const unit = units[at], element = made("section", "", size.width < 300 ? "unit" : "unit wide");
  element.style.top = `${Math.floor(at / size.across) * size.line}px`;
  element.style.left = `${(at % size.across) * (size.width + GAP)}px`;
  element.style.width = `${size.width}px`;
  element.style.height = `${size.line - GAP}px`;
  const head = made("h2", ""), shots = made("div", "", "shots");
  head.append(quoted(promptOf(unit)[1]), " ", made("span", seedText(unit), "light"));
  head.title = promptOf(unit)[1];
  shots.append(...shown.map((method) => shot(unit, method, size.side, size.cell)));
  element.append(head, shots);
  // In the order of the page, which is the order of the Tab key.
  const after = [...present.keys()].filter((other) => other > at);
  grid.insertBefore(element, after.length ? present.get(Math.min(...after)) : null);
  present.set(at, element);
}
function made(tag, text, name = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.textContent = text;
  return element;
}
function quoted(text) {
  const quote = document.createElement("q");
  quote.append(made("bdi", text));
  return quote;
}
function shot(unit, method, side, width) {
  const there = exists(unit, method), element = made(there ? "button" : "div", "", "shot");
  const name = made("span", methods[method], "method");
  name.title = methods[method];
  element.style.width = `${width}px`;
  element.append(name);
  if (!there) {
    element.append(made("span", "no image", "none"));
    return element;
  }
  if (marked.has(unit * METHODS + method)) element.classList.add("hit");
  element.type = "button";
  element.tabIndex = -1;
  element.dataset.image = `${unit},${method}`;
  const image = document.createElement("img");
  Object.assign(image, { alt: "", width: side, height: side, decoding: "async" });
  image.className = data.sharp ? "sharp" : "";
  image.dataset.waits = `${unit},${method}`;
  fill(image);
  element.append(image, caption(unit, method));
  return element;
}
// "woman · light · older": changes bold, then signs for a disobeyed prompt and for judges that disagree.
const SIGNS = [["disobeyed", "✗", "cross", "disobeys its prompt"], ["disagreed", "≠", "split", "judges disagree"]];
function caption(unit, method) {
  const text = made("span", "", "caption"), changed = number(code(unit, method, FACTS.changed));
  attributes.forEach(([, title, groups], at) => {
    const label = code(unit, method, at);
    if (label === UNLABELLED) return;
    if (text.childNodes.length) text.append(" · ");
    if (label === UNKNOWN) text.append(signed("?", "", `${title} undetermined`));
    else text.append(made((changed >> at) & 1 ? "b" : "span", groups[number(label)]));
  });
  if (changed) text.append(made("span", " changed", "unseen"));
  for (const [fact, sign, name, words] of SIGNS) {
    if (code(unit, method, FACTS[fact]) !== NO_FACT) text.append(" ", signed(sign, name, words));
  }
  return text;
}
function signed(sign, name, words) {
  const mark = made("span", "", name), visible = made("span", sign);
  visible.setAttribute("aria-hidden", "true");
  mark.title = words;
  mark.append(visible, made("span", words, "unseen"));
  return mark;
}

// One image of the grid is in the order of the Tab key; the arrow keys move from it to others.
const imageOf = (element) => element?.dataset?.image?.split(",").map(Number);
function focusOn(at, method) {
  const y = Math.floor(at / size.across) * size.line, top = -grid.getBoundingClientRect().top;
  const bar = document.querySelector(".bar").offsetHeight;
  if (y < top + bar || y + size.line > top + innerHeight) scrollBy(0, y - top - bar - PAD);
  render();
  const unit = present.get(at);
  const button = unit?.querySelector(`[data-image="${units[at]},${method}"]`) || unit?.querySelector("button");
  if (!button) return;
  for (const other of grid.querySelectorAll('.shot[tabindex="0"]')) other.tabIndex = -1;
  button.tabIndex = 0;
  button.focus({ preventScroll: true });
}
function beside(at, slot, step) {
  let next = at, other = slot + step;
  while (next >= 0 && next < size.count) {
    if (other < 0 || other >= shown.length) {
      next += step;
      other = step > 0 ? 0 : shown.length - 1;
    } else if (exists(units[next], shown[other])) {
      return [next, shown[other]];
    } else {
      other += step;
    }
  }
  return [at, shown[slot]];
}
function onKeys(element, moves) {
  element.addEventListener("keydown", (event) => {
    if (!moves[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    moves[event.key](event);
  });
}
function moving(to) {
  return (event) => {
    const [unit, method] = imageOf(event.target);
    focusOn(...to(units.indexOf(unit), method, shown.indexOf(method)));
  };
}
onKeys(grid, {
  ArrowRight: moving((at, _, slot) => beside(at, slot, 1)),
  ArrowLeft: moving((at, _, slot) => beside(at, slot, -1)),
  ArrowDown: moving((at, method) => [Math.min(size.count - 1, at + size.across), method]),
  ArrowUp: moving((at, method) => [Math.max(0, at - size.across), method]),
  Home: moving((_, method) => [0, method]),
  End: moving((_, method) => [size.count - 1, method]),
});
