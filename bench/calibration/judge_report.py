"""The report on the judges of a run: accuracy, accuracy by group, stability and agreement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import quiet_loaders
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.stages.label import image_chunks
from evenhand.bench.storage.files import write_atomically
from evenhand.bench.storage.frames import judged_tables
from evenhand.bench.storage.run_folder import RunFolder, RunSpec
from evenhand.metrics.estimation.anchors import HUMAN
from evenhand.metrics.estimation.panel import PANEL
from evenhand.metrics.judge_quality.agreement import Agreed, agreement_rows, cohen_kappa
from evenhand.metrics.judge_quality.audit import CLAIM, AuditRow, Seen, judge_audit, seen_by_judges
from evenhand.metrics.judge_quality.sensitivity import Asked, codes_of, sensitivity_rows
from evenhand.metrics.judges.base import Aspect, Images, Judge
from evenhand.metrics.statistics.uncertainty import stream
from evenhand.metrics.taxonomies import ORDERED

A_VOTE = "does not apply to the panel, which is a vote; see its judges"
NO_PAIR = "no image has the required labels, or all have the same label"


def audit_rows(
    run_folder: RunFolder, suite: RunSpec, *, truth: pd.DataFrame, voted: pd.DataFrame, strata: pd.DataFrame
) -> list[AuditRow]:
    """The rows of the report for all judges of a run and the panel vote.

    Judges are loaded to label the anchors again with other crops, orders of options and wordings. Agreement
    is computed on all labelled images of people: it does not need anchors, which are not a representative
    sample.

    Args:
        run_folder: The run.
        suite: The suite or audit of the run.
        truth: Checked anchors; see :func:`evenhand.metrics.estimation.anchors.check_anchors`.
        voted: Labels of the anchors by every judge and the panel.
        strata: See :func:`evenhand.bench.stages.strata.separate_strata`.
    """
    known = truth.rename(columns={"label": "group"})
    boot = suite.bootstrap
    seen = seen_by_judges(known, voted, taxonomy=suite.taxonomy, strata=strata)
    rows = judge_audit(known, voted, taxonomy=suite.taxonomy, strata=strata, draws=boot.draws, seed=boot.seed)
    versions = voted.drop_duplicates("judge").set_index("judge")["judge_version"]
    with quiet_loaders():
        for judge in sorted({one.judge for one in seen}):
            own = [one for one in seen if one.judge == judge]
            asked = (
                A_VOTE if judge == PANEL else ask_again(own, run_folder=run_folder, version=versions[judge])
            )
            rows += [
                row for one in own for row in sensitivity_rows(one, asked, draws=boot.draws, seed=boot.seed)
            ]
    return [*rows, *_agreement(run_folder, suite, strata)]


def ask_again(seen: Sequence[Seen], *, run_folder: RunFolder, version: str) -> Asked | str:
    """The labels of a judge under all variations that should not matter, or why there are none.

    Args:
        seen: The images of the judge, one entry for each attribute.
        run_folder: The run with the images.
        version: The version of the judge that labelled the run.
    """
    try:
        judge = load_judge(seen[0].judge)
    except EvenhandError as fault:
        return f"the judge cannot be loaded: {fault}"
    if judge.info.version != version:
        return (
            f"the installed judge has version {judge.info.version}, the labels are of {version}; judge again"
        )
    keys = sorted({str(key) for one in seen for key in one.keys})
    names = [one.attribute for one in seen]
    parts = [
        (chunk, _codes(judge, images, names, np.array(broken)))
        for chunk, images, broken in image_chunks(keys, run_folder.images)
    ]
    return Asked(
        keys=[key for chunk, _ in parts for key in chunk],
        codes={about: np.concatenate([codes[about] for _, codes in parts], axis=1) for about in parts[0][1]},
    )


def _codes(
    judge: Judge, images: Images, names: Sequence[str], broken: NDArray[np.bool_]
) -> dict[tuple[Aspect, str], NDArray[np.int64]]:
    """The labels of one chunk; images with non-finite pixels have none."""
    found = codes_of(judge.variants(images), names)
    sizes = {name: len(judge.info.taxonomies[name]) for name in names}
    return {about: np.where(broken, sizes[about[1]], codes) for about, codes in found.items()}


def _agreement(run_folder: RunFolder, suite: RunSpec, strata: pd.DataFrame) -> Iterator[AuditRow]:
    """Agreement between the judges on all images of people, and within strata."""
    _, labels = judged_tables(run_folder)
    ours = (labels["family"] != HUMAN) & (labels["judge"] != PANEL) & labels["key"].isin(strata.index)
    labels = labels[ours]
    for name, groups in suite.taxonomy.items():
        said = labels[labels["attribute"] == name].drop_duplicates(["key", "judge"], keep="last")
        place = {group: number for number, group in enumerate(groups)}
        wide = (
            said.assign(code=said["label"].map(lambda label, place=place: place.get(label, len(place))))
            .pivot(index="judge", columns="key", values="code")
            .fillna(len(groups))
            .astype(np.int64)
        )
        if len(wide) > 1:
            parts = strata.reindex(wide.columns).fillna("")
            yield from _agreement_on(name, groups, wide, parts, suite)


def _agreement_on(
    attribute: str, groups: Sequence[str], wide: pd.DataFrame, parts: pd.DataFrame, suite: RunSpec
) -> Iterator[AuditRow]:
    judges, codes = [str(judge) for judge in wide.index], wide.to_numpy()
    boot = suite.bootstrap
    every = "*".join(judges)
    rows = agreement_rows(
        codes,
        groups,
        strata={str(part): parts[part].to_numpy(object) for part in parts},
        ordered=attribute in ORDERED,
        draws=boot.draws,
        rng=stream(boot.seed, "agreement of judges", attribute),
    )
    for row in rows:
        yield _agreed(every, attribute, row.statistic, row.found, group=row.group, within=row.within)
    for (one, first), (other, second) in combinations(zip(judges, codes, strict=True), 2):
        kappa = cohen_kappa(first, second, len(groups))
        yield _agreed(f"{one}*{other}", attribute, "cohen_kappa", kappa)


def _agreed(
    judges: str, attribute: str, quantity: str, found: Agreed, *, group: str = "", within: str = ""
) -> AuditRow:
    names = (judges, attribute, quantity, group, within)
    reason = "" if np.isfinite(found.value) else NO_PAIR
    return AuditRow(*names, *found, claim=found.n >= CLAIM, reason=reason)


def write_judge_report(rows: Sequence[AuditRow], path: Path, *, about: str) -> None:
    """Write the report as a CSV with one column for each field of :class:`AuditRow`.

    Args:
        rows: The rows.
        path: Path of the CSV.
        about: Description of the anchors for the first line.
    """
    table = pd.DataFrame([asdict(row) for row in rows])
    table["claim"] = table["claim"].map({True: "yes", False: "no"})
    comment = f"# audit of judges on {about}; no claim is made of rows with fewer than {CLAIM} images"
    write_atomically(path, f"{comment}\n{table.to_csv(index=False, float_format='%.6g')}".encode())


def tally(rows: Sequence[AuditRow]) -> Mapping[str, int]:
    """Number of rows, of rows that support a claim, and of rows without a value."""
    return {
        "rows": len(rows),
        "claims": sum(row.claim for row in rows),
        "missing": sum(bool(row.reason) for row in rows),
    }
