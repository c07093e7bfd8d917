"""Verifying an entry: a sample of its images is drawn, judged and scored again from its intervention."""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.entries import VERIFICATION_FILE, load_entry
from evenhand.bench.leaderboard.reproduction import Jobs, Reproduction
from evenhand.bench.leaderboard.suite import KnownSuite, known_suite
from evenhand.bench.leaderboard.tables import Tables, read_tables
from evenhand.bench.models.loading import quiet_loaders
from evenhand.bench.results.entry import ENTRY_FILE, SAMPLE, Answers, Entry, Verification
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.files import folder_name, write_atomically
from evenhand.methods.base import Intervention
from evenhand.reports.leaderboard.evidence import in_words

TIE = 0.01
"""How far a judge's probabilities move between machines on one and the same image, and more than that."""

NEAR = 0.01
"""How far a score moves, in proportion to one more than itself."""


def verify(
    folder: Path,
    *,
    images: int = SAMPLE,
    seed: int | None = None,
    run: Path | None = None,
    intervention: Path | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Make a random sample of an entry's images, labels and scores again, and write down what agrees.

    Without a run and an intervention the method is fitted anew with the entry's parameters, at the cost that
    the entry states. ``verification.json`` is written beside ``entry.json`` if the sample agrees.

    Args:
        folder: The entry's folder, with its tables.
        images: Size of the sample.
        seed: Seed of the sample; one that nobody can foresee if ``None``.
        run: Run whose intervention is used; of the entry's method.
        intervention: Folder of an intervention, as a run has it in ``interventions``.
        progress: Told of every step.

    Raises:
        EvenhandError: The entry has no tables or is not valid, what it was made with is not installed here,
            or the sample does not agree; what was found is in the message.
    """
    if run is not None and intervention is not None:
        raise EvenhandError("a run has an intervention of its own; give --run or --intervention")
    if images < 1:
        raise EvenhandError(f"a sample of {images} images shows nothing; give --images of at least 1")
    entry, known = _checked(folder)
    if run is not None:
        intervention = run / "interventions" / folder_name(entry.result.spec.method.label)
    tables = read_tables(folder, entry, known)
    seed = secrets.randbelow(2**32) if seed is None else seed
    rows = _sample(len(tables.images), images, seed)
    with tempfile.TemporaryDirectory() as scratch, quiet_loaders(), progress or Progress(quiet=True) as shown:
        work = Reproduction(entry, known, Path(scratch), shown)
        made = work.intervention(intervention)
        same, answers = _again(work, made, tables, rows)
    found = Verification(
        entry=hashlib.sha256((folder / ENTRY_FILE).read_bytes()).hexdigest(),
        evenhand=version("evenhand"),
        device=work.sampler.model.device.type,
        fitted=intervention is None,
        same_intervention=made.digest() == entry.result.spec.method.intervention,
        seed=seed,
        images=len(rows),
        same_images=same,
        answers=answers,
    )
    if not found.agrees:
        raise EvenhandError(f"entry {folder.name!r} is not verified: {in_words(found)}")
    write_atomically(folder / VERIFICATION_FILE, (found.model_dump_json(indent=1) + "\n").encode())
    return found


def _checked(folder: Path) -> tuple[Entry, KnownSuite]:
    entry = load_entry(folder)
    spec = entry.result.spec
    known = known_suite(spec)
    if not entry.files:
        raise EvenhandError(
            f"entry {folder.name!r} has no tables, so there is nothing to compare with; submit the run again"
        )
    if known is None:
        raise EvenhandError(
            f"suite {spec.suite!r} version {spec.suite_version} ({spec.suite_digest[:8]}) of entry "
            f"{folder.name!r} is not registered here; install it"
        )
    return entry, known


def _sample(planned: int, count: int, seed: int) -> list[int]:
    """Rows of planned images, drawn without replacement and in order; those that failed as well."""
    chosen = np.random.default_rng(seed).choice(planned, size=min(count, planned), replace=False)
    return [int(row) for row in np.sort(chosen)]


def _again(
    work: Reproduction, made: Intervention, tables: Tables, rows: Sequence[int]
) -> tuple[int, list[Answers]]:
    """How many images come out the same, and what judges and scores say of them, against the entry."""
    jobs, statuses = work.draw(made, rows)
    stated = tables.images.loc[list(rows)]
    for job, status in zip(jobs.values(), stated["status"], strict=True):
        if statuses[job.key] != status:
            raise EvenhandError(
                f"the image of {job.item.prompt.text!r:.80} with seed {job.item.seed} has the status "
                f"{statuses[job.key]!r} here and {status!r} in the entry; look into the method"
            )
    there = {row: job for row, job in jobs.items() if statuses[job.key] == "ok"}
    same = pd.Series(True, index=list(rows))
    for row, job in there.items():
        same[row] = work.pixels(job) == stated["pixels"][row]
    answers = [
        *_labels(work.label(there), tables, there, same),
        *_scores(work.score(tables.images, there), tables.images, same),
    ]
    return int(same.sum()), answers


def _labels(again: pd.DataFrame, tables: Tables, jobs: Jobs, same: pd.Series) -> Iterator[Answers]:
    """The labels given again, judge by judge and attribute by attribute."""
    if again.empty:
        return
    # By their places: the keys of images that another fit made are others.
    places = [(job.key, tables.images["key"][row], same[row]) for row, job in jobs.items()]
    pairs = pd.DataFrame(places, columns=["key", "key_stated", "same"])
    stated = tables.labels.rename(columns={"key": "key_stated"})
    both = pairs.merge(again, on="key").merge(
        stated, on=["key_stated", "judge", "attribute"], suffixes=("", "_stated")
    )
    for (judge, attribute), rows in both.groupby(["judge", "attribute"]):
        pairs_of = zip(rows["probabilities"], rows["probabilities_stated"], strict=True)
        moved = np.array([np.abs(np.subtract(one, other)).max() for one, other in pairs_of])
        differs = (rows["label"] != rows["label_stated"]) | (rows["status"] != rows["status_stated"])
        yield Answers(
            name=f"{judge}, {attribute}",
            asked=len(rows),
            other=int((differs & (moved > TIE)).sum()),
            contradicted=int((rows["same"] & (moved > TIE)).sum()),
            furthest=float(moved.max()),
        )


def _scores(again: pd.DataFrame, images: pd.DataFrame, same: pd.Series) -> Iterator[Answers]:
    """The scores given again, one by one; a score that only one side has is infinitely far."""
    for name in again.columns:
        made, stated = again[name], images.loc[again.index, name]
        asked = made.notna() | stated.notna()
        moved = (made - stated).abs().where(made.notna() & stated.notna(), np.inf)[asked]
        far = moved > NEAR * (1 + stated[asked].abs().fillna(0))
        if len(moved):
            yield Answers(
                name=name,
                asked=len(moved),
                other=int(far.sum()),
                contradicted=int((far & same[moved.index]).sum()),
                furthest=float(moved.max()),
            )
