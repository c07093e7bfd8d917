"use strict";
// The enlarged image of the gallery with every judge's answer, and the start of the page.
let enlarged = null; // unit and method

function enlarge(unit, method) {
  enlarged = [unit, method];
  state.open = [methods[method], promptOf(unit)[0], data.seed_of[unit]].join("/");
  toAddress();
  if (!box.open) box.showModal();
  show();
}
function enlargeNamed(name) {
  const parts = name.split("/"), seed = Number(parts.pop()), id = parts.pop();
  const method = methods.indexOf(parts.join("/"));
  const unit = data.prompt_of.findIndex((prompt, at) => prompts[prompt][0] === id && data.seed_of[at] === seed);
  if (method < 0 || unit < 0 || !exists(unit, method)) say("This run has no image that the link names.");
  else if (enlarged?.join() !== [unit, method].join()) enlarge(unit, method);
}
function show() {
  const [unit, method] = enlarged, found = details(unit, method), large = $("large");
  $("box-title").replaceChildren(quoted(promptOf(unit)[1]));
  large.className = data.sharp ? "sharp" : "";
  large.alt = `${methods[method]}, ${seedText(unit)}`;
  if (found) showImage(large, found.key);
  showMarks(unit, method);
  showTerms(unit, method, found);
  showAnswers(found);
  showSiblings(unit, method);
  const at = hits.indexOf(unit * METHODS + method);
  $("previous").disabled = at === 0 || !hits.length;
  $("next").disabled = at === hits.length - 1 || !hits.length;
}
// The thumbnail at once, the file in its place when it is loaded.
function showImage(large, key) {
  large.src = source(key);
  large.dataset.key = key;
  if (!data.thumbnails || !data.files) return;
  const file = new Image();
  file.onload = () => { if (large.dataset.key === key) large.src = file.src; };
  file.src = fileOf(key);
}
const MARKS = [
  ["changed", "b", "", "Perceived group changed"],
  ["disobeyed", "span", "cross", "✗ Disobeys its prompt"],
  ["disagreed", "span", "split", "≠ Judges disagree"],
];
function showMarks(unit, method) {
  const asked = promptOf(unit)[4], group = (of, at) => attributes[at][2][number(code(unit, of, at))];
  const facts = {
    changed: (at) => `${attributes[at][1]} ${group(base, at)} → ${group(method, at)}`,
    disobeyed: (at) => `${asked[attributes[at][0]]} asked for, ${group(method, at)} perceived`,
    disagreed: (at) => attributes[at][1],
  };
  const lines = [];
  for (const [fact, tag, name, words] of MARKS) {
    const found = attributesOf(unit, method, FACTS[fact]).map(facts[fact]);
    if (found.length) lines.push(made(tag, `${words}: ${found.join(", ")}`, name));
  }
  $("box-marks").replaceChildren(...lines);
}
function showTerms(unit, method, found) {
  const [, , concept, kind, asked] = promptOf(unit);
  const seed = found?.chunk.seeds[unit % data.chunk], index = data.seed_of[unit];
  const terms = [
    [data.external ? "Model" : "Method", methods[method]],
    ["Prompts", data.kinds[kind][1]],
    ["Concept", data.concepts[concept]],
    ["Names", Object.values(asked).join(", ")],
    data.external ? ["Image", index + 1] : ["Seed", seed ? `${index} (noise ${seed})` : index],
    [data.external ? "File" : "Text given to the model", found?.chunk.notes[found.row] ?? ""],
  ];
  const lines = terms.filter(([, value]) => value !== "");
  $("box-terms").replaceChildren(...lines.flatMap(([term, value]) => [made("dt", term), made("dd", value)]));
}
function showAnswers(found) {
  const rows = found ? judges.map((_, judge) => answersOf(found, judge)).filter(Boolean) : [];
  const [head, top, body] = ["tr", "thead", "tbody"].map((tag) => document.createElement(tag));
  head.append(document.createElement("td"), ...attributes.map(([, title]) => headed(title, "col")));
  top.append(head);
  body.append(...rows);
  $("box-answers").replaceChildren(...(rows.length ? [top, body] : []));
  const answered = "How each judge perceives the person, with its confidence.";
  const note = rows.length ? answered : "No judge labelled this image.";
  $("box-note").textContent = found ? note : "Loading the answers of the judges.";
}
function headed(text, scope) {
  const cell = made("th", text);
  cell.scope = scope;
  return cell;
}
// A judge's answers, two characters for each attribute: a label or a status, and the confidence.
function answersOf(found, judge) {
  const [name, role] = judges[judge], count = attributes.length * 2, row = document.createElement("tr");
  const start = (found.row * judges.length + judge) * count;
  const own = found.chunk.answers.slice(start, start + count);
  if (!own.trim()) return null;
  const first = headed(name, "row");
  first.append(made("small", role === "panel" ? "votes" : role));
  row.append(first, ...attributes.map(([, , groups], at) => {
    const [label, confidence] = own.slice(2 * at, 2 * at + 2), cell = document.createElement("td");
    if (label === " ") return cell;
    const value = number(label);
    cell.append(value < groups.length ? groups[value] : statuses[value - groups.length].replaceAll("_", " "));
    if (confidence !== " ") cell.append(made("small", `${number(confidence)}%`));
    return cell;
  }));
  return row;
}
function showSiblings(unit, method) {
  const side = Math.min(data.side, 96), row = methods.map((_, other) => shot(unit, other, side, side + 24));
  for (const element of row) {
    element.classList.remove("hit");
    if (element.tagName === "BUTTON") element.tabIndex = 0;
  }
  row[method].setAttribute("aria-current", "true");
  $("siblings").hidden = METHODS < 2;
  $("siblings").replaceChildren(...row);
  $("siblings").scrollLeft = row[method].offsetLeft - $("siblings").offsetLeft - 40;
}
// To the image before or after this one among those that pass the filter.
function step(by) {
  const at = hits.indexOf(enlarged[0] * METHODS + enlarged[1]), next = hits[at < 0 ? 0 : at + by];
  if (next !== undefined) enlarge(Math.floor(next / METHODS), next % METHODS);
}
// To the same method's image of the prompt or seed before or after this one.
function stepUnit(by) {
  let at = units.indexOf(enlarged[0]) + by;
  while (at >= 0 && at < units.length && !exists(units[at], enlarged[1])) at += by;
  if (at >= 0 && at < units.length) enlarge(units[at], enlarged[1]);
}
onKeys(box, {
  ArrowRight: () => step(1),
  ArrowLeft: () => step(-1),
  ArrowDown: () => stepUnit(1),
  ArrowUp: () => stepUnit(-1),
});
box.addEventListener("click", (event) => {
  const image = imageOf(event.target.closest(".shot"));
  if (image) enlarge(...image);
  else if (event.target === box) box.close();
});
box.addEventListener("close", () => {
  const last = enlarged;
  enlarged = null;
  delete state.open;
  toAddress();
  if (units.includes(last?.[0])) focusOn(units.indexOf(last[0]), last[1]);
});
$("previous").addEventListener("click", () => step(-1));
$("next").addEventListener("click", () => step(1));
$("close").addEventListener("click", () => box.close());
grid.addEventListener("click", (event) => {
  const image = imageOf(event.target.closest(".shot"));
  if (image) enlarge(...image);
});

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", fromForm);
form.addEventListener("reset", () => setTimeout(fromForm));
addEventListener("hashchange", fromAddress);
addEventListener("resize", draw);
let waiting = false;
addEventListener("scroll", () => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    render();
  });
}, { passive: true });

const wide = matchMedia("(min-width: 700px)");
const unfold = () => { $("panel").open = wide.matches; };
wide.addEventListener("change", unfold);
unfold();
prepareForm();
$("app").hidden = false;
fromAddress();
