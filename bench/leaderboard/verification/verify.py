"""Regenerates, judges and scores a sample of an entry's images with its intervention, on their own noise.

Agreement shows that the tables are those of the method. It cannot show that the noise was not chosen; for
that, see :mod:`evenhand.bench.leaderboard.verification.fresh`.
"""

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
from evenhand.bench.leaderboard.suite import KnownSuite, known_suite
from evenhand.bench.leaderboard.tables import Tables, read_tables
from evenhand.bench.leaderboard.verification.answers import label_answers
from evenhand.bench.leaderboard.verification.reproduction import Jobs, Reproduction
from evenhand.bench.models.loading import quiet_loaders
from evenhand.bench.results.entry import ENTRY_FILE, SAMPLE, Answers, Entry, Verification
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.files import write_atomically
from evenhand.bench.storage.fits import fit_folder
from evenhand.bench.storage.manifest import signature_of
from evenhand.methods.base import Intervention
from evenhand.reports.leaderboard.evidence import verification_text

SCORE_TOLERANCE = 0.01
"""Tolerance for scores ``s``, relative to ``1 + |s|``."""


def verify(
    folder: Path,
    *,
    images: int = SAMPLE,
    seed: int | None = None,
    run: Path | None = None,
    intervention: Path | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Regenerate a random sample of the images, labels and scores of an entry, and compare them.

    Without a run or intervention, the method is fitted again with the parameters of the entry, at the cost
    stated there. If the sample agrees, writes ``verification.json`` beside ``entry.json``.

    Args:
        folder: Folder of the entry, with its tables.
        images: Size of the sample.
        seed: Seed of the sample; unpredictable if ``None``.
        run: Run with the fitted method of the entry, whose intervention is used.
        intervention: Folder of an intervention, as in ``interventions`` of a run.
        progress: Reports progress.

    Raises:
        EvenhandError: The entry has no tables or is not valid, its model, method or judges are not installed
            in the same version, or the sample does not agree; the message has the details.
    """
    if images < 1:
        raise EvenhandError(f"--images must be a positive integer, got {images}")
    entry, known = checked(folder)
    intervention = chosen_intervention(entry, run=run, intervention=intervention)
    tables = read_tables(folder, entry, known)
    seed = secrets.randbelow(2**32) if seed is None else seed
    rows = _sample(len(tables.images), images, seed)
    with tempfile.TemporaryDirectory() as scratch, quiet_loaders(), progress or Progress(quiet=True) as shown:
        reproduction = Reproduction(entry, known, Path(scratch), shown)
        fitted = reproduction.intervention(intervention)
        same, answers = _compare(reproduction, fitted, tables, rows)
    found = Verification(
        entry=hashlib.sha256((folder / ENTRY_FILE).read_bytes()).hexdigest(),
        evenhand=version("evenhand"),
        device=reproduction.sampler.model.device.type,
        fitted=intervention is None,
        same_intervention=fitted.digest() == entry.result.spec.method.intervention,
        seed=seed,
        images=len(rows),
        same_images=same,
        answers=answers,
    )
    if not found.agrees:
        raise EvenhandError(f"entry {folder.name!r} is not verified: {verification_text(found)}")
    signature_of(folder / VERIFICATION_FILE).unlink(missing_ok=True)
    write_atomically(folder / VERIFICATION_FILE, (found.model_dump_json(indent=1) + "\n").encode())
    return found


def chosen_intervention(entry: Entry, *, run: Path | None, intervention: Path | None) -> Path | None:
    """Folder of the submitted intervention; ``None`` to fit the method again.

    Raises:
        EvenhandError: Both a run and an intervention are given.
    """
    if run is None:
        return intervention
    if intervention is not None:
        raise EvenhandError("--run and --intervention cannot be combined; give one of them")
    return fit_folder(run, entry.result.spec.method.label)


def checked(folder: Path) -> tuple[Entry, KnownSuite]:
    """An entry with tables and its registered suite.

    Raises:
        EvenhandError: The entry is not valid, has no tables, or its suite is not registered.
    """
    entry = load_entry(folder)
    spec = entry.result.spec
    known = known_suite(spec)
    if not entry.files:
        raise EvenhandError(f"entry {folder.name!r} has no tables to compare with; submit the run again")
    if known is None:
        raise EvenhandError(
            f"suite {spec.suite!r} version {spec.suite_version} ({spec.suite_digest[:8]}) of entry "
            f"{folder.name!r} is not registered here; install it"
        )
    return entry, known.of(entry.result)


def _sample(planned: int, count: int, seed: int) -> list[int]:
    """A sorted random sample of rows of planned images, including those that failed."""
    chosen = np.random.default_rng(seed).choice(planned, size=min(count, planned), replace=False)
    return [int(row) for row in np.sort(chosen)]


def _compare(
    reproduction: Reproduction, fitted: Intervention, tables: Tables, rows: Sequence[int]
) -> tuple[int, list[Answers]]:
    """Regenerate the rows; returns how many images are the same, and the comparison of labels and scores."""
    jobs, statuses = reproduction.draw(fitted, rows)
    stated = tables.images.loc[list(rows)]
    for job, status in zip(jobs.values(), stated["status"], strict=True):
        if statuses[job.key] != status:
            raise EvenhandError(
                f"the image of {job.item.prompt.text!r:.80} with seed {job.item.seed} has the status "
                f"{statuses[job.key]!r} here, but {status!r} in the entry; check the method"
            )
    made = {row: job for row, job in jobs.items() if statuses[job.key] == "ok"}
    same = pd.Series(True, index=list(rows))
    for row, job in made.items():
        same[row] = reproduction.pixels(job) == stated["pixels"][row]
    answers = [
        *_labels(reproduction.label(made), tables, made, same),
        *_scores(reproduction.score(tables.images, made), tables.images, same),
    ]
    return int(same.sum()), answers


def _labels(repeated: pd.DataFrame, tables: Tables, jobs: Jobs, same: pd.Series) -> Iterator[Answers]:
    """Compare the repeated labels with those of the entry, for every judge and attribute."""
    if repeated.empty:
        return
    # Match by row: keys of images differ if the fit differs.
    places = [(job.key, tables.images["key"][row], same[row]) for row, job in jobs.items()]
    pairs = pd.DataFrame(places, columns=["key", "key_stated", "same"])
    yield from label_answers(repeated, tables.labels, pairs)


def _scores(repeated: pd.DataFrame, images: pd.DataFrame, same: pd.Series) -> Iterator[Answers]:
    """Compare the repeated scores with those of the entry; a score that one side lacks differs infinitely."""
    for name in repeated.columns:
        made, stated = repeated[name], images.loc[repeated.index, name]
        asked = made.notna() | stated.notna()
        moved = (made - stated).abs().where(made.notna() & stated.notna(), np.inf)[asked]
        far = moved > SCORE_TOLERANCE * (1 + stated[asked].abs().fillna(0))
        if len(moved):
            yield Answers(
                name=name,
                asked=len(moved),
                other=int(far.sum()),
                contradicted=int((far & same[moved.index]).sum()),
                furthest=float(moved.max()),
            )
