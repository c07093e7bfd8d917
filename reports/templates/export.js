// Copies tables as text, saves figures as SVG, and shows the number under the pointer. Without this script the
// page is complete: tables and figures are in ZIP files on it, and a browser shows the titles of the marks.
"use strict";

const status = document.createElement("p");
status.className = "unseen";
status.setAttribute("role", "status");
document.body.append(status);

function button(label, what, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  const more = document.createElement("span");
  more.className = "unseen";
  more.textContent = `: ${what}`;
  made.append(more);
  made.addEventListener("click", () => act(made.firstChild));
  return made;
}

function legacyCopy(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

async function copy(text, label) {
  const before = label.textContent;
  const done = await navigator.clipboard?.writeText(text).then(() => true, () => false) || legacyCopy(text);
  label.textContent = status.textContent = done ? "Copied" : "Not copied: the browser refuses";
  setTimeout(() => { label.textContent = before; }, 1500);
}

// The files on the page: plain, or in a ZIP.

function bytesOf(link) {
  return Uint8Array.from(atob(link.href.split(",")[1]), (letter) => letter.charCodeAt(0));
}

const utf8 = new TextDecoder();

// The text of one file of a ZIP, by its central directory.
async function unzipped(bytes, wanted) {
  const view = new DataView(bytes.buffer);
  let end = bytes.length - 22;
  while (view.getUint32(end, true) !== 0x06054b50) end -= 1;
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left -= 1) {
    const size = view.getUint16(at + 28, true);
    const name = utf8.decode(bytes.subarray(at + 46, at + 46 + size));
    if (name === wanted) {
      const local = view.getUint32(at + 42, true);
      const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
      const packed = new Blob([bytes.subarray(start, start + view.getUint32(at + 20, true))]);
      return new Response(packed.stream().pipeThrough(new DecompressionStream("deflate-raw"))).text();
    }
    at += 46 + size + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  throw new Error(`no ${wanted} on this page`);
}

const tables = document.querySelector('a[download="tables.zip"]');

for (const line of document.querySelectorAll(".save[data-table]")) {
  const link = line.querySelector("a");
  const name = line.dataset.table;
  const what = link.querySelector(".unseen")?.textContent.replace(/^: /, "") ?? name;
  const csv = () => link.download.endsWith(".zip")
    ? unzipped(bytesOf(link), `${name}.csv`) : Promise.resolve(utf8.decode(bytesOf(link)));
  const forms = { LaTeX: () => unzipped(bytesOf(tables), `${name}.tex`),
    Markdown: () => unzipped(bytesOf(tables), `${name}.md`), CSV: csv };
  for (const [form, read] of Object.entries(forms)) {
    line.append(button(`Copy ${form}`, what, async (label) => copy(await read(), label)));
  }
}

for (const block of document.querySelectorAll(".copy")) {
  const text = block.querySelector("pre");
  const act = (name) => copy(text.textContent, name);
  block.querySelector("p").append(button(`Copy ${block.dataset.format}`, text.ariaLabel, act));
}

// Figures: a file with a title on white, and the marks' own titles put back.

const SVG = document.querySelector("svg")?.namespaceURI;

function element(name, attributes, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

function standalone(chart, title) {
  const copied = chart.cloneNode(true);
  copied.removeAttribute("class");
  copied.setAttribute("xmlns", SVG);
  for (const mark of copied.querySelectorAll("[data-tip]")) {
    mark.append(element("title", {}, mark.dataset.tip));
    mark.removeAttribute("data-tip");
  }
  copied.prepend(element("title", {}, title), element("rect", { width: "100%", height: "100%", fill: "white" }));
  return new XMLSerializer().serializeToString(copied);
}

function save(name, text) {
  const link = document.createElement("a");
  link.download = name;
  link.href = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  link.click();
  URL.revokeObjectURL(link.href);
}

for (const figure of document.querySelectorAll(".figure")) {
  const title = figure.querySelector("figcaption")?.textContent.trim() ?? "";
  const panels = [...figure.querySelectorAll(".panel")];
  panels.forEach((panel, place) => {
    const chart = panel.querySelector("svg.chart");
    const heading = panel.querySelector(".heading")?.textContent.trim() ?? title;
    const name = panels.length > 1 ? `${figure.id}-${place + 1}.svg` : `${figure.id}.svg`;
    const act = () => save(name, standalone(chart, `${title} (${heading})`));
    if (chart) panel.append(button("Save as SVG", heading, act));
  });
}

// The number under the pointer, or under a finger: the nearest mark within a few pixels.

const NEAR = 14;
const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
document.body.append(tip);

for (const title of document.querySelectorAll("svg.chart title")) {
  title.parentNode.dataset.tip = title.textContent;
  title.remove();
}

function away(mark, x, y) {
  const box = mark.getBoundingClientRect();
  return Math.hypot(Math.max(box.left - x, 0, x - box.right), Math.max(box.top - y, 0, y - box.bottom));
}

function point(event) {
  let best = null;
  let least = NEAR;
  for (const mark of event.currentTarget.querySelectorAll("[data-tip]")) {
    const distance = away(mark, event.clientX, event.clientY);
    if (distance < least) [best, least] = [mark, distance];
  }
  tip.hidden = !best;
  if (!best) return;
  tip.textContent = best.dataset.tip;
  const box = best.getBoundingClientRect();
  const left = Math.min(box.left + scrollX, scrollX + document.documentElement.clientWidth - tip.offsetWidth - 8);
  tip.style.left = `${Math.max(left, scrollX + 8)}px`;
  tip.style.top = `${box.top + scrollY - tip.offsetHeight - 8}px`;
}

for (const chart of document.querySelectorAll("svg.chart")) {
  for (const kind of ["pointermove", "pointerdown"]) chart.addEventListener(kind, point);
  chart.addEventListener("pointerleave", () => { tip.hidden = true; });
}

// Paper shows everything that is folded on the screen.

let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const part of opened) part.open = true;
});
addEventListener("afterprint", () => {
  for (const part of opened) part.open = false;
});
