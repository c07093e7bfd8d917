"use strict";
// Sorts and filters the leaderboard, and keeps what was chosen in the address. Without this script the rows stay
// in their order: by track, band and rank.

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

class Ranking {
  constructor(element) {
    this.name = element.dataset.name;
    this.table = element.querySelector("table");
    this.parts = [...this.table.tBodies].filter((part) => !part.classList.contains("track"));
    this.start = new Map(this.parts.map((part) => [part, linesOf(part)]));
    this.bar = element.querySelector(".filter");
    this.fields = Object.fromEntries(
      [...this.bar.querySelectorAll("[data-filter]")].map((field) => [field.dataset.filter, field]),
    );
    this.sorted = { column: 0, way: "" };
    for (const head of this.table.tHead.rows[0].cells) this.makeButton(head);
    this.bar.addEventListener("input", (event) => {
      if (event.target === this.fields.order) this.sort(Number(event.target.value) || 0);
      this.update();
    });
    this.bar.hidden = false;
  }

  makeButton(head) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => {
      const again = this.sorted.way && this.sorted.column === head.cellIndex;
      const other = this.sorted.way === "ascending" ? "descending" : "ascending";
      this.sort(head.cellIndex, again ? other : head.dataset.best);
      this.update();
    });
    head.append(button);
  }

  /** Sorts each band separately, so that bands stay together; the order of the page where `way` is empty. */
  sort(column, way = column ? this.table.tHead.rows[0].cells[column].dataset.best : "") {
    this.sorted = { column, way };
    for (const head of this.table.tHead.rows[0].cells) head.removeAttribute("aria-sort");
    if (way) this.table.tHead.rows[0].cells[column].setAttribute("aria-sort", way);
    const sign = way === "descending" ? -1 : 1;
    for (const part of this.parts) {
      const lines = [...this.start.get(part)];
      part.append(...(way ? lines.sort((a, b) => ordered(a, b, column, sign)) : lines));
    }
  }

  /** Shows the rows that match the filter, and their number. */
  update() {
    const { q, track, family, ranked, all } = this.fields;
    const text = q.value.trim().toLowerCase();
    this.table.classList.toggle("everything", all.checked);
    const methods = this.parts.filter((part) => part.dataset.band);
    for (const part of methods) {
      const fits = (track.value === "" || part.dataset.track === track.value)
        && (!ranked.checked || part.dataset.band === "ranked");
      for (const row of linesOf(part))
        row.hidden = !(fits && row.querySelector(".name").innerText.toLowerCase().includes(text)
          && (family.value === "" || row.dataset.family === family.value));
      part.hidden = linesOf(part).every((row) => row.hidden);
    }
    for (const heading of this.table.querySelectorAll("tbody.track"))
      heading.hidden = methods.every((part) => part.hidden || part.dataset.track !== heading.dataset.track);
    const every = methods.flatMap(linesOf);
    const shown = every.filter((row) => !row.hidden).length;
    this.bar.querySelector(".count").textContent = `${shown} of ${every.length} methods`;
    this.remember();
  }

  /** What was chosen, by name of a parameter of the address. */
  get chosen() {
    const { q, track, family, ranked, all } = this.fields;
    const sort = this.sorted.way ? `${this.sorted.column}.${this.sorted.way}` : "";
    return {
      q: q.value.trim(), track: track.value, family: family.value, sort,
      ranked: ranked.checked ? "1" : "", all: all.checked ? "1" : "",
    };
  }

  remember() {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(this.chosen)) {
      if (value) query.set(`${this.name}.${name}`, value);
      else query.delete(`${this.name}.${name}`);
    }
    const text = query.toString();
    if (text !== location.search.slice(1))
      history.replaceState(null, "", `${location.pathname}${text ? `?${text}` : ""}${location.hash}`);
  }

  /** Restores what the address says; values that the page does not offer are ignored. */
  restore() {
    const query = new URLSearchParams(location.search);
    const given = (name) => query.get(`${this.name}.${name}`) || "";
    this.fields.q.value = given("q");
    for (const name of ["track", "family"])
      if ([...this.fields[name].options].some((option) => option.value === given(name)))
        this.fields[name].value = given(name);
    for (const name of ["ranked", "all"]) this.fields[name].checked = given(name) === "1";
    const [column, way] = given("sort").split(".");
    const head = this.table.tHead.rows[0].cells[Number(column)];
    if (column && head && ["ascending", "descending"].includes(way)) this.sort(Number(column), way);
    this.update();
  }
}

for (const element of document.querySelectorAll(".ranking")) new Ranking(element).restore();
// The filters move the rows, so the browser's own jump may be off.
if (location.hash.length > 1) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
