"""The public leaderboard: a pure function of its rows, and the entries that they come from.

Entries are data: one JSON file each, checked before use, and no code is ever loaded from them.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evenhand.bench.errors import EvenhandError
from evenhand.bench.result import SCHEMA_VERSION, BoardRow, Entry, EstimateRow, JudgeCard, Result
from evenhand.reports.reading import BASE, Key, Reading, comparable, measured_attributes, primary_key
from evenhand.reports.tables import pictures_and_chance
from evenhand.reports.words import NOT_MEASURED, attribute, count, interval, measure, number, plural, slug

INTRODUCTION = """\
# Leaderboard

How evenly text-to-image models depict people under each debiasing method, and what the method spoils.
All labels are perceived attributes of depicted people who do not exist.
This file is generated from `reports/entries` by `evenhand board build`; edit the entries, not this file.

**How to read it.** Methods are compared within one version of one suite only: same model, prompts, settings
and judges. The primary number is the distance from the target shares (RMSDelta): 0 for a model at the target,
1 for one that draws a single group. Parentheses hold 95% intervals; ↓ means that lower is better, ↑ that
higher is; n counts pictures, and the chance level is what a perfectly fair model shows with that many.

The letter is the tie group: A holds every method that may be the best, and the data do not tell the methods
of one letter apart; the numbers after it are the ranks that the data allow. The order inside a letter means
nothing. A method below the line failed a gate: against the untreated model it may have lost more than
5 points of explicit fidelity, or it gained more than 5 points of undetermined pictures or of over-correction.

**How to add a row.** Run the suite with the method, write the entries with `evenhand board submit RUN`
(one file `reports/entries/<method>@<suite>-v<version>.json` each), check them with
`evenhand board check`, build with `evenhand board build`, and open a pull request with both files. To
challenge a row, run the same suite and method and open an issue with your result.
"""

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&#])")
_INVISIBLE = ("Cc", "Zl", "Zp")
_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def load_entries(folder: Path) -> list[Entry]:
    """The published entries, in the order of their file names.

    Raises:
        EvenhandError: The folder is missing or holds something else, or an entry is not JSON, does not
            follow the schema, is misnamed, or repeats another's method on the same suite.
    """
    if not folder.is_dir():
        raise EvenhandError(f"entries folder {folder} does not exist; name the folder of the entries")
    entries: dict[tuple[str, str], Path] = {}
    loaded = []
    for path in sorted(folder.iterdir()):
        if path.name == "README.md":
            continue
        entry = _load_entry(path)
        place = version_key(entry.result), entry.result.spec.method.label
        if place in entries:
            raise EvenhandError(f"entry {path} repeats {entries[place].name}; keep one of them")
        entries[place] = path
        loaded.append(entry)
    return loaded


def entry_name(result: Result) -> str:
    """File name of a result's entry: ``<method label>@<suite>-v<version>.json`` in plain letters."""
    spec = result.spec
    return f"{slug(spec.method.label)}@{slug(spec.suite)}-v{slug(spec.suite_version)}.json"


def version_key(result: Result) -> str:
    """What two results must share to stand in one ranking: suite, model, prompts, settings, panel."""
    spec = result.spec
    own = spec.model_dump(mode="json", exclude={"method", "judges"})
    panel = [(judge.name, judge.version) for judge in _panel(result)]
    return json.dumps([own, panel], sort_keys=True)


def render_leaderboard(rows: Sequence[BoardRow]) -> str:
    """The leaderboard as Markdown: the same rows in any order give the same bytes."""
    groups: dict[str, list[BoardRow]] = {}
    for row in sorted(rows, key=BoardRow.model_dump_json):
        groups.setdefault(version_key(row.result), []).append(row)
    heads = sorted(groups, key=lambda key: (_title(groups[key][0].result), key))
    sections = [_section(groups[key]) for key in heads] or ["No entries yet.\n"]
    return "\n".join([INTRODUCTION, *sections])


def escape(text: str) -> str:
    """``text`` as it is, in a Markdown table: no markup, no link, no line break, no reversed direction."""
    plain = "".join(
        " " if unicodedata.category(letter) in _INVISIBLE else letter
        for letter in text
        if letter not in _DIRECTION
    )
    quoted = _SPECIAL.sub(r"\\\1", " ".join(plain.split()))
    return (
        re.sub(r"(?i)\b(https?|ftp|mailto):", r"\1&#58;", quoted)
        .replace("www.", "www&#46;")
        .replace("@", "&#64;")
    )


def _load_entry(path: Path) -> Entry:
    if path.suffix != ".json" or not path.is_file():
        raise EvenhandError(f"{path} is no entry; entries are .json files and nothing else")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as fault:
        raise EvenhandError(f"entry {path} cannot be read ({fault}); write it again") from fault
    result = data.get("result") if isinstance(data, dict) else None
    version = result.get("schema_version") if isinstance(result, dict) else None
    if version != SCHEMA_VERSION:
        raise EvenhandError(
            f"entry {path} has schema version {version}; this is {SCHEMA_VERSION}, run the suite again"
        )
    try:
        entry = Entry.model_validate(data)
    except ValueError as fault:
        raise EvenhandError(f"entry {path} is not valid: {' '.join(str(fault).split())}") from fault
    if path.name != entry_name(entry.result):
        raise EvenhandError(f"entry {path} is misnamed; rename it to {entry_name(entry.result)}")
    return entry


def _title(result: Result) -> str:
    return f"{result.spec.suite}, version {result.spec.suite_version}: {result.spec.model}"


def _section(rows: Sequence[BoardRow]) -> str:
    """One suite in one version: the ranked methods, those below the line, and the footnotes."""
    key = primary_key([Reading.of(row.result) for row in rows])
    rows = sorted(rows, key=lambda row: _place(row, key))
    columns = _columns([Reading.of(row.result) for row in rows], key)
    lines = [_line(row, [column.cells[place] for column in columns]) for place, row in enumerate(rows)]
    titles = [
        "Rank",
        "Method",
        *(column.title for column in columns),
        "Pictures drawn to fit",
        "Steering judge",
    ]
    ranked = [line for line, row in zip(lines, rows, strict=True) if not row.failed_gates]
    failed = [line for line, row in zip(lines, rows, strict=True) if row.failed_gates]
    above = _table([*titles, "Gates"], ranked) if ranked else "No method passes every gate yet."
    parts = [f"## {escape(_title(rows[0].result))}", above]
    if failed:
        parts += ["### Below the line", _table([*titles, "Gates not passed"], failed)]
    return "\n\n".join([*parts, _footnotes(rows[0].result)]) + "\n"


def _place(row: BoardRow, key: Key | None) -> tuple[int, str, float, str]:
    """Tie group, then the point estimate, then the label."""
    estimate = Reading.of(row.result).at(key) if key else None
    value = estimate.value if estimate is not None and math.isfinite(estimate.value) else math.inf
    return len(row.tie_group), row.tie_group, value, row.result.spec.method.label


@dataclass(frozen=True)
class Column:
    """A measured column: its heading, and a cell for every row."""

    title: str
    cells: list[str]


def _columns(readings: Sequence[Reading], key: Key | None) -> list[Column]:
    """The measured columns, each on one footing."""
    joint = key.attributes if key else ""
    primary = [reading.at(key) for reading in readings] if key else [None] * len(readings)
    published = [reading.naive("deviation_ratio", "gender") for reading in readings]
    return [
        _column(f"Distance, {attribute(joint)}" if joint else "Distance", primary),
        _column("Deviation ratio, gender, as published", published),
        _column("Worst cell", comparable(readings, "worst_cell", joint)[""]),
        _column("Explicit fidelity", _worst(readings, "explicit_fidelity", highest=False)),
        _column("Over-correction", _worst(readings, "over_correction", highest=True)),
        _column("Change of unrelated pictures", comparable(readings, "preservation_distance")[""]),
        _column("Alignment", comparable(readings, "alignment")[""]),
        _column("Undetermined", _worst(readings, "undetermined", highest=True)),
    ]


def _column(title: str, rows: Sequence[EstimateRow | None]) -> Column:
    present = [row for row in rows if row is not None]
    if not present:
        return Column(title, [NOT_MEASURED] * len(rows))
    how = measure(present[0].metric)
    facts = [{"lower": "↓", "higher": "↑"}[how.better]] if how.better else []
    if any(row.judge for row in present):
        facts.append("corrected" if present[0].corrected else "naive")
    if present[0].unit not in ("", "1"):
        facts.append(escape(present[0].unit))
    facts += pictures_and_chance(present)
    return Column(f"{title} ({', '.join(facts)})", [_number(row) for row in rows])


def _number(row: EstimateRow | None) -> str:
    if row is None:
        return NOT_MEASURED
    percent = measure(row.metric).percent
    ends = interval(row.low, row.high, percent=percent)
    return f"{number(row.value, percent=percent)} ({ends or 'no interval'})"


def _worst(readings: Sequence[Reading], metric: str, *, highest: bool) -> list[EstimateRow | None]:
    """Every method's estimate at the attribute where it is worst; joint cells stay out, as in the gates."""
    single = [name for name in measured_attributes(readings, metric) if "*" not in name]
    sets = [comparable(readings, metric, name)[""] for name in single]
    sign = -1 if highest else 1
    found = [
        [row for row in rows if row is not None and math.isfinite(row.value)]
        for rows in zip(*sets, strict=True)
    ]
    worst = [min(rows, key=lambda row: sign * row.value, default=None) for rows in found]
    return worst or [None] * len(readings)


def _line(row: BoardRow, numbers: Sequence[str]) -> list[str]:
    method = row.result.spec.method
    ranks = str(row.rank_low) if row.rank_low == row.rank_high else f"{row.rank_low} to {row.rank_high}"
    return [
        f"{escape(row.tie_group)} ({ranks})",
        f"{escape(method.label)} {escape(method.version)}",
        *numbers,
        count(row.result.cost.fit_pictures),
        escape(method.steering_judge or "none"),
        escape("; ".join(row.failed_gates)) or ("reference" if method.name == BASE else "passed"),
    ]


def _table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [titles, ["---"] * len(titles), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _footnotes(result: Result) -> str:
    spec = result.spec
    settings = ", ".join(f"{name} {value}" for name, value in sorted(spec.protocol.items()))
    cards = dict.fromkeys(f"{card.name} {card.version} ({card.digest[:12]})" for card in spec.prompt_sets)
    judges = ", ".join(f"{judge.name} {judge.version} ({judge.family})" for judge in _panel(result))
    notes = [
        f"Model {spec.model}, revision {spec.model_revision}; {plural(len(spec.concepts), 'concept')}",
        f"Protocol: {settings}",
        f"Prompt sets: {', '.join(cards)}",
        f"Judges that vote: {judges}",
        f"Suite digest: {spec.suite_digest[:12]}",
    ]
    lines = [
        "Explicit fidelity, over-correction and undetermined: for the single attribute where they are worst.",
        *map(escape, notes),
    ]
    return "\n".join(f"- {line}" for line in lines)


def _panel(result: Result) -> list[JudgeCard]:
    panel = [judge for judge in result.spec.judges if judge.role == "panel"]
    return sorted(panel, key=lambda judge: (judge.name, judge.version))
