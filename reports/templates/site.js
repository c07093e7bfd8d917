"use strict";
// Sorts and filters the rankings. Without this script the tables stay in their order: ranked, then not ranked.

/** The number of a cell, or its text in lower case; null where it has no value. */
function valueOf(row, column) {
  const value = row.cells[column].dataset.value;
  if (value === "" || value === "nan") return null;
  return Number.isNaN(Number(value)) ? value.toLowerCase() : Number(value);
}

/** Order of two rows by a column; rows without a value come last in both directions. */
function ordered(first, second, column, sign) {
  const [a, b] = [valueOf(first, column), valueOf(second, column)];
  if (a === null || b === null) return (a === null) - (b === null);
  return sign * (a < b ? -1 : a > b ? 1 : 0);
}

function linesOf(part) {
  return [...part.rows].filter((row) => !row.classList.contains("group"));
}

/** Sorts each part of the table separately, so that methods that are not ranked stay below the ranked ones. */
function sort(table, head) {
  const way = head.getAttribute("aria-sort") === "ascending" ? "descending"
    : head.getAttribute("aria-sort") === "descending" ? "ascending" : head.dataset.best;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", way);
  const sign = way === "ascending" ? 1 : -1;
  for (const part of table.tBodies)
    part.append(...linesOf(part).sort((a, b) => ordered(a, b, head.cellIndex, sign)));
}

/** Shows the rows that match the filter, and their number. */
function filter(table, asked, count) {
  const text = asked.text.value.trim().toLowerCase();
  const every = [...table.tBodies].flatMap(linesOf);
  for (const row of every)
    row.hidden = !(
      row.cells[0].innerText.toLowerCase().includes(text)
      && (asked.family.value === "" || row.dataset.family === asked.family.value)
      && !(asked.ranked.checked && row.parentElement.dataset.part === "unranked")
    );
  for (const part of table.tBodies) part.hidden = linesOf(part).every((row) => row.hidden);
  const shown = every.filter((row) => !row.hidden).length;
  count.textContent = `${shown} of ${every.length} methods`;
}

for (const ranking of document.querySelectorAll(".ranking")) {
  const table = ranking.querySelector("table");
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(table, head));
    head.append(button);
  }
  const controls = ranking.querySelector(".filter");
  const asked = Object.fromEntries([...controls.querySelectorAll("[data-filter]")].map((e) => [e.dataset.filter, e]));
  const update = () => filter(table, asked, controls.querySelector(".count"));
  controls.addEventListener("input", update);
  controls.hidden = false;
  update();
}
