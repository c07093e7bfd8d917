"""A small leaderboard of synthetic rows, with everything that a page of the site can show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from helpers.report import a_run, some_images
from helpers.trade_off import CONCEPTS, placed, swept

from evenhand.bench.policy.bands import band, why_not_ranked
from evenhand.bench.policy.gates import gate_outcomes
from evenhand.bench.results.entry import BoardRow, Entry, RankSet, entry_name
from evenhand.bench.results.result import ErrorRow, Result, Run
from evenhand.reports.leaderboard.site import render_site

SETTINGS = [0.25, 0.5, 1.0]

HOSTILE = '<script>window.hurt=1</script><img src=x onerror="window.hurt=1">"\'>&amp; \u202egnp'
"""An injection attempt: markup, quotes, an entity, and reversed text direction."""


def board_rows(
    results: Sequence[Result], ranks: Mapping[str, tuple[int, int, str]], **fields: Any
) -> list[BoardRow]:
    """Rows of one suite, the baseline first, with these rank sets and tie groups, all in one track."""
    rows = []
    for result in results:
        low, high, tie = ranks.get(result.spec.method.label, (None, None, ""))
        rank = RankSet(low=low, high=high, tie=tie) if low is not None and high is not None else None
        gates = gate_outcomes(result, results[0])
        row = BoardRow(
            result=result,
            timing=None,
            track="one model",
            rank=rank,
            track_rank=None if result.spec.method.name == "base" else rank,
            band=band(gates),
            why=why_not_ranked(gates),
            failed_gates=[gate.reason for gate in gates if gate.status != "passed"],
        )
        rows.append(row.model_copy(update=fields))
    return rows


def a_board() -> list[BoardRow]:
    """Two versions of a suite: ties, a method with strengths, and one that fails a gate."""
    base = placed("base", distance=0.6)
    first = [
        base.model_copy(update={"judge_errors": measured_errors()}),
        *swept("mist", own=0.5, settings=SETTINGS, distance=0.1, trade_off=0.02),
        placed("uce", distance=0.36, change=0.1),
        placed("harmful", distance=0.01, lost=0.3),
    ]
    ranks = {"mist": (1, 2, "A"), "uce": (1, 2, "A"), "base": (3, 3, "B")}
    later = base.spec.model_copy(update={"suite_version": "2", "suite_digest": "7f" * 32})
    return [
        *board_rows(first, ranks),
        *board_rows([base.model_copy(update={"spec": later})], {"base": (1, 1, "A")}),
    ]


def measured_errors() -> list[ErrorRow]:
    """Confusion matrices of a judge and the panel on 200 women and 100 men."""
    shares = {
        ("clip-s", "woman"): (0.9, 0.08, 0.02),
        ("clip-s", "man"): (0.03, 0.97, 0.0),
        ("panel", "woman"): (0.99, 0.01, 0.0),
        ("panel", "man"): (0.0, 1.0, 0.0),
    }
    return [
        ErrorRow(
            judge=judge,
            attribute="gender",
            truth=truth,
            label=label,
            value=share,
            low=max(0, share - 0.04),
            high=min(1, share + 0.04),
            n=200 if truth == "woman" else 100,
        )
        for (judge, truth), found in shares.items()
        for label, share in zip(("woman", "man", "undetermined"), found, strict=True)
    ]


def a_hostile_board() -> list[BoardRow]:
    """A suite with an injection attempt in every free text."""
    return board_rows([_hostile("base"), _hostile(f"evil:{HOSTILE}")], {"base": (1, 2, "A")})


def _hostile(label: str) -> Result:
    result = placed(label, distance=0.5, lost=0.3 * (label != "base"))
    spec, parameters = result.spec, {HOSTILE: HOSTILE}
    texts = dict.fromkeys(("title", "summary", "paper", "licence", "origin", "family", "version"), HOSTILE)
    card = texts | {"attributes": HOSTILE, "parameters": parameters}
    judges = [judge.model_copy(update=texts | {"name": f"{judge.name}{HOSTILE}"}) for judge in spec.judges]
    changed = {
        "suite": HOSTILE,
        "model": HOSTILE,
        "model_revision": HOSTILE,
        "protocol": parameters,
        "prompt_sets": [card.model_copy(update={"name": HOSTILE}) for card in spec.prompt_sets],
        "judges": judges,
        "method": spec.method.model_copy(update=card),
    }
    environment = result.environment.model_copy(update={"packages": parameters, "guarantee": HOSTILE})
    return result.model_copy(
        update={
            "spec": spec.model_copy(update=changed),
            "environment": environment,
            "cost": result.cost.model_copy(update={"record": parameters}),
            "notes": [HOSTILE],
        }
    )


def a_run_of(rows: Sequence[BoardRow], folder: Path, *, labels: Sequence[str]) -> Run:
    """The run of the rows with these labels, with images."""
    results = {row.result.spec.method.label: row.result for row in reversed(rows)}
    run = a_run(folder, images=some_images(folder, labels, CONCEPTS))
    return run.model_copy(update={"results": [results[label] for label in labels]})


def entries_of(rows: Sequence[BoardRow]) -> dict[str, str]:
    """The entries of the rows by name."""
    return {entry_name(row.result): Entry(result=row.result).to_json() for row in rows}


def write_site(folder: Path, rows: Sequence[BoardRow], *, runs: Sequence[Run] = ()) -> dict[str, str]:
    """Render the site of the rows into a folder; returns what was rendered."""
    site = render_site(rows, entries=entries_of(rows), runs=runs)
    for path, content in site.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    return site
