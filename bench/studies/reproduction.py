"""The reproduction table: the effect of every published method on gender alone, in its paper and here.

Run ``python -m evenhand.bench.studies.reproduction``. It writes the tables as CSV from the published entries
of ``mini-gender`` and fills the page from them. A setting without an entry keeps the row that the tables
have. The published figures are in ``published_effects.toml`` and in the literature tables of the reports.

An effect is the part of the bias that a method removes. Papers measure the bias by a mean deviation ratio or
a metric proportional to it. Here it is RMSDelta, which for two groups is the root mean square of the
occupations' deviation ratios without the bias of a finite sample.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.entries import read_entries
from evenhand.bench.leaderboard.fits import distance_of, median_fit
from evenhand.bench.parsing.marked_page import fill
from evenhand.bench.policy.gates import status_of
from evenhand.bench.results.entry import Entry
from evenhand.bench.results.lookup import COMPARED_METRIC, Key, Reading, primary_key
from evenhand.bench.results.result import BASE, ComparisonRow, EstimateRow, LossRow, Result, Timing
from evenhand.bench.storage.stored_run import load_run
from evenhand.bench.studies.published_effects import Claim, Published, data, figures, how, protocol_of
from evenhand.bench.studies.reproduction_page import NOT_RUN, SCOPES, VERDICTS, parts
from evenhand.metrics.statistics.ratios import Span, ratio
from evenhand.metrics.statistics.uncertainty import upper_end

PAGE = Path("docs/methods/reproduction.md")
FOLDER = Path("docs/studies/reproduction")
ENTRIES = Path("reports/entries")
SUITE = "mini-gender"

REPRODUCED, PARTLY = 0.7, 0.5
"""Parts of the paper's relative effect from which an effect counts as reproduced and as partly reproduced."""

UNCHANGED = 0.1
"""Largest change of the squared RMSDelta at which occupations count as kept."""

MEASURED = ("baseline", "value", "value_low", "value_high", "effect", "effect_low", "effect_high", "lost")
EFFORT = ("fit_passes", "fit_seconds", "fits", "trials", "share_trained")
COMPARED = ("mist", "mist_low", "mist_high", "other", "other_low", "other_high")
"""Columns of numbers in the tables of effects (measured, and what this took) and of claims; ``lost`` is
explicit fidelity, and ``trials`` is 0 for a method that was not tuned."""

SCOPE = "scope"
"""Column of the setting in the table of effects: one of :data:`SCOPES`, or empty for other methods."""

CLAIM = ("claim", "scope", "over")
"""Columns that identify a row of the claims."""

Labels = Mapping[str, Reading]
"""Label of a row to its result."""


def relative_effect(method: Span, base: Span, difference: Span) -> Span:
    """The part of the baseline's RMSDelta that a method removes: 1 for a fair model, negative if it grows.

    Args:
        method: The method's squared RMSDelta, which may be negative.
        base: The baseline's.
        difference: The paired difference, method minus baseline.
    """
    found = ratio(method, base, difference)
    most = float(upper_end(found.high, found.value, minimum=0.0))
    value, low, high = (1 - math.sqrt(max(part, 0.0)) for part in (found.value, most, found.low))
    return Span(value, low, high)


def verdict(part: float) -> str:
    """The verdict on an effect that is this part of the published one."""
    reproduced, partly, not_reproduced, no_effect, _ = VERDICTS
    if math.isnan(part):
        return no_effect
    return reproduced if part >= REPRODUCED else partly if part >= PARTLY else not_reproduced


def effects(
    results: Sequence[Result], timings: Sequence[Timing] = (), *, earlier: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One row for every published method and setting: published figures, measured ones, and the verdict.

    A method is run with the suite's parameters, which a search may have found, and possibly with others.

    Args:
        results: Results of the suite.
        timings: Their timings.
        earlier: The table as it was, whose numbers settings without a result keep.
    """
    found = {result.spec.method.label: Reading.of(result) for result in results}
    seconds = {timing.method: timing.fit_seconds for timing in timings}
    known = [] if earlier is None else earlier[earlier["verdict"] != NOT_RUN].to_dict("records")
    measured = {row["label"]: {name: row[name] for name in (*MEASURED, *EFFORT, SCOPE)} for row in known}
    method_of = {row["label"]: row["method"] for row in known}
    for label, reading in found.items():
        card = reading.result.spec.method
        method_of[label] = card.name
        scope = {SCOPE: card.parameters.get("scope", "")}
        measured[label] = _measured(label, found) | _effort(reading.result, seconds) | scope
    return pd.DataFrame(
        [
            _effect(one, label, measured.get(label))
            for one in data().published
            for label in _labels(one, method_of)
        ]
    )


def _labels(one: Published, method_of: Mapping[str, str]) -> list[str]:
    """The settings of the file, run or not, then the others that were run."""
    run = [label for label, method in method_of.items() if method == one.method]
    return list(dict.fromkeys([*(one.labels or (one.method,)), *run]))


def _effort(result: Result, seconds: Mapping[str, float]) -> dict[str, float]:
    """The columns :data:`EFFORT`."""
    card = result.spec.method
    trials = card.search.trials if card.search else 0
    trained = math.nan if card.share_trained is None else card.share_trained
    took = seconds.get(card.label, math.nan)
    own = (result.fit_passes, took, 1 + len(card.other_fits), trials, trained)
    return dict(zip(EFFORT, own, strict=True))


def _effect(one: Published, label: str, measured: Mapping[str, Any] | None) -> dict[str, Any]:
    """A row of the table; ``measured`` has the columns of numbers and :data:`SCOPE`, if it was run."""
    baseline, value, effect = figures(one)
    protocol = protocol_of(one)
    row: dict[str, Any] = {
        "method": one.method,
        "label": label,
        "metric": one.metric,
        "model": protocol.model if protocol else one.model,
        "paper_baseline": baseline,
        "paper_value": value,
        "paper_effect": effect,
        "figures": one.figures,
        "place": one.place,
        "link": protocol.link if protocol else one.link,
        "how": how(one),
        "remark": one.remark,
    }
    numbers: dict[str, Any] = dict.fromkeys((*MEASURED, *EFFORT), math.nan) | {SCOPE: ""}
    numbers |= measured or {}
    effort = {name: numbers.pop(name) for name in (*EFFORT, SCOPE)}
    ratios = {f"ratio{end}": numbers[f"effect{end}"] / effect for end in ("", "_low", "_high")}
    said = NOT_RUN if measured is None else verdict(ratios["ratio"])
    because = one.because if said in ("partly reproduced", "not reproduced") else ""
    return row | numbers | ratios | {"verdict": said, "because": because} | effort


def _measured(label: str, found: Labels) -> dict[str, float]:
    """The columns :data:`MEASURED`; ``nan`` without a baseline."""
    if BASE not in found:
        return dict.fromkeys(MEASURED, math.nan)
    mine, its, key = found[label], found[BASE], _key(found)
    squared = key._replace(metric=COMPARED_METRIC)
    change = _span(mine.against(BASE, squared))
    effect = relative_effect(_span(mine.at(squared)), _span(its.at(squared)), change)
    method, base = _span(mine.at(key)), _span(its.at(key))
    lost = next(
        (row.value for row in mine.result.losses if row.quantity == "explicit_fidelity" and not row.group),
        math.nan,
    )
    return dict(zip(MEASURED, (base.value, *method, *effect, lost), strict=True))


def _key(found: Labels) -> Key:
    key = primary_key(list(found.values()))
    if key is None:
        raise EvenhandError("the results lack the suite's primary distance; run the suite again")
    return key


def _span(row: EstimateRow | ComparisonRow | LossRow | None) -> Span:
    return Span(row.value, row.low, row.high) if row is not None else Span(math.nan, math.nan, math.nan)


def claims(
    results: Mapping[str, Sequence[Result]], *, effects: pd.DataFrame, earlier: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One row for every claim of MIST's paper, setting and method that it is compared with.

    A method that has these settings, too, is compared in the same one. Distances of gender are those of the
    table of effects, so that both tables show the same.

    Args:
        results: ``gender``, ``joint`` and ``unedited`` to their results.
        effects: The table of effects.
        earlier: The table as it was, whose rows stay where a result is missing.
    """
    known = [] if earlier is None else earlier.to_dict("records")
    kept = {tuple(row[name] for name in CLAIM): row for row in known}
    rows = []
    for claim in data().claim:
        found = {one.spec.method.row: Reading.of(one) for one in results[claim.results]}
        for scope in SCOPES:
            for other in claim.over:
                place = (claim.name, scope, other)
                if claim.results == "gender" and claim.measure == "distance":
                    tested = _closer(*(_listed(effects, method, scope) for method in ("mist", other)))
                else:
                    tested = _tested(claim, scope, other, found)
                row = dict(zip(CLAIM, place, strict=True)) | tested
                rows.append(kept.get(place, row) if row["verdict"] == NOT_RUN else row)
    return pd.DataFrame(rows)


def _tested(claim: Claim, scope: str, other: str, found: Labels) -> dict[str, Any]:
    mist, rival = (_in_scope(found, method, scope) for method in ("mist", other))
    if mist is None or rival is None:
        return _closer(None, None)
    if claim.measure == "alignment":
        return _kept_alignment(mist)
    if other == BASE:
        return _kept_shares(mist, rival, key=_key(found))
    key = _key(found)
    return _closer(_span(mist.at(key)), _span(rival.at(key)))


def _closer(mine: Span | None, its: Span | None) -> dict[str, Any]:
    """Whether MIST is closer to the target than another method; not run without both distances."""
    if mine is None or its is None:
        return dict.fromkeys(COMPARED, math.nan) | {"verdict": NOT_RUN}
    said = "holds" if mine.high < its.low else "does not hold" if mine.low > its.high else "not decided"
    return _pair(mine, its) | {"verdict": said}


def _listed(effects: pd.DataFrame, method: str, scope: str) -> Span | None:
    """The distance of a method in this scope in the table of effects."""
    run = effects[
        effects["label"].isin([method, f"{method}:scope={scope}"]) & (effects["verdict"] != NOT_RUN)
    ]
    rows = run[run[SCOPE].isin(["", scope])][["value", "value_low", "value_high"]]
    return Span(*map(float, rows.iloc[0])) if len(rows) else None


def _in_scope(found: Labels, method: str, scope: str) -> Reading | None:
    """A method's result in this scope: with the suite's parameters, or with the scope alone changed."""
    for label in (method, f"{method}:scope={scope}"):
        if label in found and found[label].result.spec.method.parameters.get("scope", scope) == scope:
            return found[label]
    return None


def _kept_alignment(mist: Reading) -> dict[str, Any]:
    """The loss of alignment on unrelated prompts, and the outcome of its gate."""
    rows = [row for row in mist.result.losses if (row.quantity, row.kind) == ("alignment", "unrelated")]
    said = {"passed": "holds", "harm proven": "does not hold"}.get(status_of(rows), "not decided")
    loss = _span(rows[0]) if rows else _span(None)
    return _pair(loss, Span(0.0, math.nan, math.nan)) | {"verdict": said}


def _kept_shares(mist: Reading, base: Reading, *, key: Key) -> dict[str, Any]:
    """RMSDelta of the occupations that were not edited, and whether it changed."""
    key = key._replace(kind="person")
    change = _span(_change(mist.result, key._replace(metric=COMPARED_METRIC)))
    inside = change.low >= -UNCHANGED and change.high <= UNCHANGED
    outside = change.low > UNCHANGED or change.high < -UNCHANGED
    said = "holds" if inside else "does not hold" if outside else "not decided"
    return _pair(_span(mist.at(key)), _span(base.at(key))) | {"verdict": said}


def _change(result: Result, key: Key) -> ComparisonRow | None:
    """The difference to the baseline on prompts of the key's kind."""
    for row in result.comparisons:
        if (row.metric, row.attributes, row.judge, row.corrected, row.kind) == (*key[:4], key.kind):
            return row
    return None


def _pair(mine: Span, its: Span) -> dict[str, float]:
    return dict(zip(COMPARED, (*mine, *its), strict=True))


def read(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables that the study has written into ``folder``."""
    return {
        name: pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=["nan"])
        for name in ("effects", "claims")
    }


def joint_results(entries: Iterable[Entry]) -> list[Result]:
    """The median fits of the published rows on the latest version of ``mini`` that has one of MIST."""
    found = [entry.result for entry in entries if entry.result.spec.suite == "mini"]
    versions = [result.spec.suite_version for result in found if result.spec.method.name == "mist"]
    latest = max(versions, key=int, default="")
    mine = [result for result in found if result.spec.suite_version == latest]
    key, fits = primary_key(list(map(Reading.of, mine))), defaultdict[str, list[Result]](list)
    for result in mine:
        fits[result.spec.method.row].append(result)
    return [row[median_fit([distance_of(result, key) for result in row])] for row in fits.values()]


def main(
    unedited: Annotated[Path | None, typer.Option(help="Folder of a run of unedited.toml.")] = None,
    entries: Annotated[Path, typer.Option(help="Folder of the published entries.")] = ENTRIES,
    out: Annotated[Path, typer.Option(help="Folder of the tables.")] = FOLDER,
    page: Annotated[Path, typer.Option(help="Page that is filled.")] = PAGE,
) -> None:
    """Write the tables and fill the page."""
    published = read_entries(entries)[0].values()
    mine = [entry for entry in published if entry.result.spec.suite == SUITE]
    gender, timings = [entry.result for entry in mine], [entry.timing for entry in mine if entry.timing]
    others = load_run(unedited).results if unedited else []
    results = {"gender": gender, "joint": joint_results(published), "unedited": others}
    earlier = read(out)
    found = effects(gender, timings, earlier=earlier["effects"])
    tables = {"effects": found, "claims": claims(results, effects=found, earlier=earlier["claims"])}
    for name, table in tables.items():
        table.to_csv(out / f"{name}.csv", index=False, float_format="%.4g", na_rep="nan")
    page.write_text(fill(page.read_text(encoding="utf-8"), **parts(read(out))), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
