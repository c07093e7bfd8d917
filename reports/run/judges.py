"""The judges of a run: their cards, their agreement, and the results by each judge alone."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.bench.results.lookup import Key, Reading
from evenhand.bench.results.result import AgreementRow, CoverageRow, JudgeCard, Result, SpreadRow, SteeringRow
from evenhand.bench.results.text import PANEL, attribute, count, interval, listing, number
from evenhand.reports.components.tables import Cell, Row, Table, estimated, missing, text
from evenhand.reports.components.wording import CORRECTED, UNCORRECTED, measure

STATISTICS = {
    "krippendorff_alpha": "Krippendorff’s alpha",
    "cohen_kappa": "Cohen’s kappa",
    "fleiss_kappa": "Fleiss’ kappa",
    "gwet_ac1": "Gwet’s AC1",
}


def judges_table(results: Sequence[Result]) -> Table:
    """Role, family, taxonomy and undetermined rate of every judge."""
    cards: dict[tuple[str, str], dict[str, JudgeCard]] = {}
    for result in results:
        for card in result.spec.judges:
            cards.setdefault((card.name, card.version), {})[result.spec.method.label] = card
    rows = [_judge_row(list(seen.values()), _roles(seen), results) for seen in cards.values()]
    columns = ["Judge", "Role", "Family", "Groups", "Undetermined, neutral prompts", "Licence"]
    return Table("judges", "The judges", columns, rows)


def _judge_row(cards: Sequence[JudgeCard], role: str, results: Sequence[Result]) -> Row:
    card = cards[0]
    groups = [f"{attribute(name)}: {', '.join(values)}" for name, values in card.taxonomies.items()]
    undetermined = _undetermined([row for r in results for row in r.coverage.rows], card)
    about = (card.title, card.summary, f"version {card.version}")
    cells = [text(card.name, *about), text(role), text(card.family), text("; ".join(groups)), undetermined]
    return Row([*cells, text(card.licence, card.origin)])


def _roles(cards: dict[str, JudgeCard]) -> str:
    """The judge's role; with the labels of the methods where it differs between methods."""
    roles: dict[str, list[str]] = {}
    for label, card in cards.items():
        roles.setdefault(card.role, []).append(label)
    if len(roles) == 1:
        return next(iter(roles))
    return "; ".join(f"{role} ({', '.join(labels)})" for role, labels in roles.items())


def _undetermined(rows: Sequence[CoverageRow], card: JudgeCard) -> Cell:
    rows = [row for row in rows if (row.judge, row.kind) == (card.name, "neutral")]
    if not rows:
        return missing()
    images = sum(row.images for row in rows)
    undetermined = images - sum(row.ok for row in rows)
    share = undetermined / images if images else float("nan")
    note = f"{count(undetermined)} of {count(images)} labels"
    return Cell(number(share, percent=True), (note,), "number", {"": share, "labels": images})


def agreement_table(readings: Sequence[Reading]) -> Table:
    """Agreement of the judges by method, or in one column where it was measured over all images."""
    pooled = all(reading.result.agreement == readings[0].result.agreement for reading in readings)
    shown = readings[:1] if pooled else readings
    keys = dict.fromkeys(_agreement_key(row) for reading in shown for row in reading.result.agreement)
    rows = []
    for key in sorted(keys, key=lambda key: (key[2] != "krippendorff_alpha", key[2])):
        judges, name, statistic = key
        who = f"{listing(judges.split('*'))}: {attribute(name)}"
        rows.append(
            Row(
                [text(who), *(_agreement_cell(reading.result, key) for reading in shown)],
                STATISTICS.get(statistic, statistic),
            )
        )
    columns = [
        "Judges and attribute",
        *(["All images"] if pooled else [reading.label for reading in shown]),
    ]
    return Table("agreement", "Agreement of the judges; 1 is perfect, 0 is chance", columns, rows)


def _agreement_key(row: AgreementRow) -> tuple[str, str, str]:
    return row.judges, row.attribute, row.statistic


def _agreement_cell(result: Result, key: tuple[str, str, str]) -> Cell:
    row = next((row for row in result.agreement if _agreement_key(row) == key), None)
    if row is None:
        return missing()
    raw = {"": row.value, "low": row.low, "high": row.high, "n": row.n}
    return Cell(
        number(row.value), (interval(row.low, row.high) or "no interval", f"n {count(row.n)}"), "number", raw
    )


def spread_table(readings: Sequence[Reading], key: Key) -> Table:
    """The primary number by each judge alone, uncorrected and corrected."""
    keys = [
        key._replace(judge=judge, corrected=corrected)
        for judge in judge_names(readings)
        for corrected in (False, True)
    ]
    rows = [
        Row([text(key.judge, CORRECTED if key.corrected else UNCORRECTED), *cells])
        for key in keys
        for cells in [[estimated(reading.at(key), alone=True) for reading in readings]]
        if any(cell.kind != "missing" for cell in cells)
    ]
    title = f"{measure(key.metric).title}, {attribute(key.attributes)}, by each judge"
    return Table("spread", title, ["Judge", *(reading.label for reading in readings)], rows)


def dependence_table(readings: Sequence[Reading], key: Key) -> Table:
    """How the primary number depends on the choice of judges: the steering judge, and the single judges."""
    about = (key.metric, key.attributes)
    rows = []
    for reading in readings:
        gaps = [row for row in reading.result.steering if (row.metric, row.attributes) == about]
        spreads = [row for row in reading.result.spreads if (row.metric, row.attributes) == about]
        gap = next((row for row in gaps if row.kind == "neutral"), None)
        spread = next((r for r in spreads if r.kind == "neutral" and r.corrected == key.corrected), None)
        if gap or spread:
            compared = bool(reading.result.comparisons) and not reading.is_base
            cells = [_gap_cell(gap), *_spread_cells(spread, compared=compared)]
            rows.append(Row([text(reading.label), *cells]))
    columns = [
        "Method",
        "Panel minus steering judge",
        "Spread over single judges",
        "Better or worse than the baseline?",
    ]
    title = f"{measure(key.metric).title}, {attribute(key.attributes)}: dependence on the judges"
    note = "A positive gap means that the method’s steering judge rates it fairer than the panel does."
    return Table("dependence", title, columns, rows, note)


def _gap_cell(row: SteeringRow | None) -> Cell:
    if row is None:
        return text("no steering judge")
    raw = {"": row.value, "low": row.low, "high": row.high, "n": row.n}
    notes = (interval(row.low, row.high) or "no interval", f"{row.judge}, uncorrected", f"n {count(row.n)}")
    return Cell(number(row.value), notes, "number", raw)


def _spread_cells(row: SpreadRow | None, *, compared: bool) -> list[Cell]:
    if row is None:
        return [missing(), missing()]
    footing = CORRECTED if row.corrected else UNCORRECTED
    ends = f"lowest {row.lowest}, highest {row.highest}"
    spread = Cell(number(row.value), (ends, footing), "number", {"": row.value, "judges": row.judges})
    if not compared:
        return [spread, missing()]
    verdict = "depends on the judge" if row.judge_dependent else "the judges agree"
    return [spread, Cell(verdict, (), "alert" if row.judge_dependent else "text", {"": verdict})]


def judge_names(readings: Sequence[Reading]) -> list[str]:
    """The panel first, then every judge in the order of the suite."""
    names = [judge.name for reading in readings for judge in reading.result.spec.judges]
    return list(dict.fromkeys([PANEL, *names]))
