"""Draws an entry's method and the baseline on noise and prompts that its submitter could not know."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.entries import FRESH_FILE, MAX_FRESH_BYTES, read_entries
from evenhand.bench.leaderboard.measure import differences, measured
from evenhand.bench.leaderboard.suite import KnownSuite
from evenhand.bench.leaderboard.tables import (
    IMAGES_FILE,
    LABELS_FILE,
    Tables,
    files_of,
    read_file,
    tables_of,
)
from evenhand.bench.leaderboard.verification.agreement import agreement, deviations, family_gaps
from evenhand.bench.leaderboard.verification.commitment import check_commitment, read_salt
from evenhand.bench.leaderboard.verification.drawn import Drawn, draw_both
from evenhand.bench.leaderboard.verification.plan import fresh_plan
from evenhand.bench.leaderboard.verification.reproduction import Reproduction
from evenhand.bench.leaderboard.verification.verify import checked, chosen_intervention
from evenhand.bench.models.loading import quiet_loaders
from evenhand.bench.parsing.regular_file import read_regular
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.results.entry import Entry, EntryFile, submission_digest, version_key
from evenhand.bench.results.fresh import FamilyGap, Fresh, FreshFile
from evenhand.bench.results.lookup import Key, Reading, primary_key
from evenhand.bench.results.result import BASE, Result
from evenhand.bench.stages.label import check_judge
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.files import write_atomically
from evenhand.bench.storage.manifest import signature_of
from evenhand.metrics.judges.base import Judge

OWN: Mapping[EntryFile, FreshFile] = {
    IMAGES_FILE: "fresh-images.parquet",
    LABELS_FILE: "fresh-labels.parquet",
}
OF_BASE: Mapping[EntryFile, FreshFile] = {
    IMAGES_FILE: "fresh-base-images.parquet",
    LABELS_FILE: "fresh-base-labels.parquet",
}
"""The tables on fresh noise, of the method and of the baseline."""


@dataclass(frozen=True)
class Options:
    """How a method is drawn on fresh noise.

    Attributes:
        images: Size of the sample; 0 for as many images as the suite plans. Only then are its numbers
            published.
        run: Run whose fitted intervention is used.
        intervention: Folder of an intervention that is used. Without this or a run, the method is fitted.
        holdout: Judges that the maintainers hold back; they count in the comparison of judge families only.
        work: Folder where the images are kept and reused; ``None`` for a temporary one.
    """

    images: int = 0
    run: Path | None = None
    intervention: Path | None = None
    holdout: Sequence[str] = ()
    work: Path | None = None


def check_options(
    *, fresh: bool, salt: Path | None, seed: int | None, holdout: Sequence[str], work: Path | None
) -> None:
    """Check the options of ``board verify`` before anything is drawn.

    Raises:
        EvenhandError: An option needs ``--fresh``, or is missing or has no meaning with it.
    """
    if fresh and salt is None:
        raise EvenhandError("--fresh needs --salt FILE; write one with `evenhand board commit`")
    if fresh and seed is not None:
        raise EvenhandError("--seed cannot be combined with --fresh, where the salt decides; drop it")
    if not fresh and (salt is not None or holdout or work is not None):
        raise EvenhandError("--salt, --holdout-judge and --work need --fresh; add it")


def verify_fresh(
    folder: Path, *, salt: Path, options: Options | None = None, progress: Progress | None = None
) -> Fresh:
    """Draw the method of an entry on fresh noise, judge and measure it; write ``fresh.json`` and its tables.

    Args:
        folder: Folder of the entry, with its tables.
        salt: File of the salt, to which a published commitment names the entry.
        options: How to draw.
        progress: Reports progress.

    Raises:
        EvenhandError: The entry is not valid, the salt has no commitment to it, or the model, method or
            judges are not installed in the same version.
    """
    options = options or Options()
    entry, known = checked(folder)
    text, judges = read_salt(salt), [_held_back(name, known) for name in options.holdout]
    submission, names = submission_digest(entry), [judge.info.name for judge in judges]
    check_commitment(folder, salt=text, submission=submission, holdout=names)
    base = baseline_of(folder, entry)
    given = chosen_intervention(entry, run=options.run, intervention=options.intervention)
    plan = fresh_plan(known, salt=text, images=options.images)
    with tempfile.TemporaryDirectory() as scratch, quiet_loaders(), progress or Progress(quiet=True) as shown:
        reproduction = Reproduction(entry, known, Path(scratch), shown, options.work)
        fitted = reproduction.intervention(given)
        drawn = draw_both(reproduction, fitted, plan=plan, holdout=judges)
    files = _files(drawn, plan)
    result, of_base = fresh_results(files, entry=entry, base=base, plan=plan)
    found = Fresh(
        submission=submission,
        evenhand=version("evenhand"),
        device=reproduction.sampler.model.device.type,
        fitted=given is None,
        same_intervention=fitted.digest() == entry.result.spec.method.intervention,
        salt=text,
        images=len(plan.items),
        planned=len(known.items),
        holdout=names,
        files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        result=result,
        base=of_base,
        agreement=agreement(entry.result, result, key=_primary(entry.result, result)),
        gaps=_gaps(drawn, entry=entry, known=known, judges=[*reproduction.judges, *judges]),
    )
    _write(folder, found, files)
    return found


def fresh_results(
    files: Mapping[FreshFile, bytes], *, entry: Entry, base: Entry, plan: KnownSuite
) -> tuple[Result, Result]:
    """The results of the method and of the baseline, computed from the tables on fresh noise.

    Raises:
        EvenhandError: A table is not valid.
    """
    of_base = _tables(files, OF_BASE, entry=base, plan=plan)
    own = of_base if not _has_own(files) else _tables(files, OWN, entry=entry, plan=plan)
    label = base.result.spec.method.label
    both = ((entry.result, own), (base.result, of_base))
    one, other = (measured(stated, tables, of_base, base_label=label, known=plan) for stated, tables in both)
    return one, other


def _has_own(files: Mapping[FreshFile, bytes]) -> bool:
    """Whether there are tables of a method besides those of the baseline."""
    return bool({*OWN.values()} & set(files))


def fresh_faults(path: Path, fresh: Fresh, *, entry: Entry, base: Entry, known: KnownSuite) -> list[str]:
    """What differs between the stated numbers on fresh noise and those of its tables, with what to do.

    Args:
        path: Folder of the entry.
        fresh: The outcome, signed by a maintainer.
        entry: The entry.
        base: The entry of the baseline.
        known: The suite, with the plan of the entry.
    """
    try:
        again = _again(path, fresh, entry=entry, base=base, known=known)
    except (OSError, ValueError) as fault:
        return [f"a table of {FRESH_FILE} is not valid ({fault}); verify the entry again"]
    found = [*differences(fresh.result, again.result), *differences(fresh.base, again.base)]
    return [f"{FRESH_FILE}: {found[0]}; verify the entry again"] if found else []


def remeasured_fresh(path: Path, *, entry: Entry, base: Entry, known: KnownSuite) -> bytes:
    """The text of ``fresh.json`` with the numbers that this version computes from its tables.

    Args:
        path: Folder of the entry.
        entry: The entry, measured again.
        base: The entry of the baseline, measured again.
        known: The suite, with the plan of the entry.

    Raises:
        EvenhandError: The outcome or a table is not valid.
    """
    try:
        fresh = Fresh.model_validate_json(read_regular(path / FRESH_FILE, max_bytes=MAX_FRESH_BYTES))
        return _text(_again(path, fresh, entry=entry, base=base, known=known))
    except (OSError, ValueError) as fault:
        reason = f"not valid ({fault!s:.200}); verify the entry again"
        raise EvenhandError(f"{path / FRESH_FILE}: {reason}") from fault


def _again(path: Path, fresh: Fresh, *, entry: Entry, base: Entry, known: KnownSuite) -> Fresh:
    """The outcome with the numbers that its tables give; ``ValueError`` if a table is not the stated one."""
    files = {name: read_file(path / name, digest=digest) for name, digest in fresh.files.items()}
    plan = fresh_plan(known, salt=fresh.salt, images=0 if fresh.complete else fresh.images)
    result, of_base = fresh_results(files, entry=entry, base=base, plan=plan)
    tested = agreement(entry.result, result, key=_primary(entry.result, result))
    return fresh.model_copy(update={"result": result, "base": of_base, "agreement": tested})


def _text(found: Fresh) -> bytes:
    return (found.model_dump_json(indent=1) + "\n").encode()


def baseline_of(folder: Path, entry: Entry) -> Entry:
    """The entry of the baseline that an entry is compared with; the entry itself for the baseline.

    Raises:
        EvenhandError: There is none beside it.
    """
    if entry.result.spec.method.name == BASE:
        return entry
    beside, _ = read_entries(folder.resolve().parent)
    for other in beside.values():
        if other.result.spec.method.name == BASE and version_key(other.result) == version_key(entry.result):
            return other
    raise EvenhandError(f"{folder.parent}: no entry of the baseline of {folder.name!r}; add it")


def _held_back(name: str, known: KnownSuite) -> Judge:
    judge = load_judge(name)
    check_judge(judge, known.evaluation_config.attributes)
    if judge.info.name in {*known.suite.panel, *known.suite.non_voting_judges}:
        raise EvenhandError(f"judge {name!r} is a judge of the suite; hold back another one")
    return judge


def _tables(
    files: Mapping[FreshFile, bytes], names: Mapping[EntryFile, FreshFile], *, entry: Entry, plan: KnownSuite
) -> Tables:
    found = {name: files[fresh] for name, fresh in names.items()}
    return tables_of(found, spec=entry.result.spec, known=plan)


def _files(drawn: tuple[Drawn, Drawn], plan: KnownSuite) -> dict[FreshFile, bytes]:
    """The tables as files; the baseline has no others than its own."""
    own, base = drawn
    sides = [(base, OF_BASE)] if own is base else [(own, OWN), (base, OF_BASE)]
    taxonomy = plan.evaluation_config.taxonomy
    return {
        names[name]: data
        for side, names in sides
        for name, data in files_of(side.tables, taxonomy=taxonomy).items()
    }


def _primary(*results: Result) -> Key:
    key = primary_key([Reading.of(result) for result in results])
    if key is None:
        raise EvenhandError("the entry lacks the primary metric; submit the run again")
    return key


def _gaps(
    drawn: tuple[Drawn, Drawn], *, entry: Entry, known: KnownSuite, judges: Sequence[Judge]
) -> list[FamilyGap]:
    """How much of the improvement each judge family sees, by attribute; none for the baseline."""
    own, base = drawn
    if own is base:
        return []
    config, suite_judges = known.evaluation_config, {*known.suite.panel, *known.suite.non_voting_judges}
    found = []
    for name, groups in config.attributes.items():
        targets = dict(zip(known.concepts, config.target_shares(known.concepts, (name,)), strict=True))
        sides = []
        for one in (own, base):
            labels = one.every_label
            asked = labels[labels["attribute"] == name]
            sides.append(deviations(one.tables.images, asked, groups=groups, targets=targets))
        found += family_gaps(
            *sides,
            attribute=name,
            families={judge.info.name: judge.info.family for judge in judges},
            voters=known.suite.panel,
            steering=entry.result.spec.method.steering_judge,
            held_back={judge.info.name for judge in judges} - suite_judges,
        )
    return found


def _write(folder: Path, found: Fresh, files: Mapping[FreshFile, bytes]) -> None:
    """Write the outcome and its tables; an old signature is not one of it."""
    signature_of(folder / FRESH_FILE).unlink(missing_ok=True)
    for name in {*OWN.values(), *OF_BASE.values()} - set(files):
        (folder / name).unlink(missing_ok=True)
    for name, data in files.items():
        write_atomically(folder / name, data)
    write_atomically(folder / FRESH_FILE, _text(found))
