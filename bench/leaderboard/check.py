"""Checks entries against their suites, and their numbers against their tables; lists all errors.

Entries are untrusted input. Nothing in them is executed or unpickled, names in them never decide which file
is read, and sizes and rows are limited before a file is read completely.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.entries import read_entries
from evenhand.bench.leaderboard.fits import fit_faults
from evenhand.bench.leaderboard.measure import differences, measured
from evenhand.bench.leaderboard.method_facts import installed, installed_version
from evenhand.bench.leaderboard.source import source_faults
from evenhand.bench.leaderboard.strip import check_strip
from evenhand.bench.leaderboard.suite import KnownSuite, known_suite, refusal, suite_differences
from evenhand.bench.leaderboard.tables import Tables, read_files, read_tables
from evenhand.bench.leaderboard.verification.fresh import fresh_faults
from evenhand.bench.leaderboard.verification.signed import (
    MAINTAINERS,
    Outcomes,
    maintainer_keys,
    read_outcomes,
)
from evenhand.bench.prompts.selection import method_use
from evenhand.bench.results.entry import Entry, Evidence, panel, version_key
from evenhand.bench.results.result import BASE, MethodCard
from evenhand.bench.storage.fits import stated_parameters
from evenhand.bench.suites.suite import Suite

_NO_TABLES = (
    "nobody can recompute its numbers; an entry of a registered suite needs them, submit the run again"
)


@dataclass(frozen=True)
class Checked:
    """A valid entry.

    Attributes:
        entry: The entry.
        outcomes: The verifications that count, and why others do not.
    """

    entry: Entry
    outcomes: Outcomes

    @property
    def evidence(self) -> Evidence:
        """The evidence for its numbers."""
        if not self.entry.files:
            return "reported"
        fresh = self.outcomes.fresh
        return "verified on fresh noise" if fresh is not None and fresh.complete else "recomputed"


def valid_entries(folder: Path, *, maintainers: Path = MAINTAINERS) -> list[Checked]:
    """The entries in the folder, sorted by name. Checks only the hashes of their tables.

    Args:
        folder: Folder of the entries.
        maintainers: Folder of the public keys of the maintainers.

    Raises:
        EvenhandError: The folder is missing, or an entry is not valid; the first error.
    """
    valid, faults = check_entries(folder, recompute=False, maintainers=maintainers)
    if faults:
        more = f" (and {len(faults) - 1} more: `evenhand board check`)" if len(faults) > 1 else ""
        raise EvenhandError(f"{faults[0]}{more}")
    return valid


def check_entries(
    folder: Path, *, recompute: bool = True, maintainers: Path = MAINTAINERS
) -> tuple[list[Checked], list[EvenhandError]]:
    """The valid entries, sorted by name, and all errors of the others.

    Args:
        folder: Folder of the entries.
        recompute: Whether to read the tables and recompute all numbers from them.
        maintainers: Folder of the public keys of the maintainers. It must not come from a submission.

    Raises:
        EvenhandError: The folder is missing, or a signature cannot be checked here.
    """
    loaded, faults = read_entries(folder)
    valid: dict[Path, Checked] = {}
    keys = maintainer_keys(maintainers)
    for group in _groups(loaded):
        entries = {path: loaded[path] for path in group}
        faults += _check_group(entries, valid, keys=keys, recompute=recompute)
    return [valid[path] for path in loaded if path in valid], faults


def _groups(loaded: Mapping[Path, Entry]) -> list[list[Path]]:
    """Folders of entries, grouped by ranking."""

    def key(path: Path) -> str:
        return version_key(loaded[path].result)

    return [list(group) for _, group in groupby(sorted(loaded, key=key), key=key)]


def _check_group(
    entries: Mapping[Path, Entry], valid: dict[Path, Checked], *, keys: Sequence[Path], recompute: bool
) -> list[EvenhandError]:
    """The errors of the entries of one suite; adds valid entries to ``valid``."""
    spec = next(iter(entries.values())).result.spec
    bases = [path for path, entry in entries.items() if entry.result.spec.method.name == BASE]
    if len(bases) != 1:
        found = f"{len(bases)} entries of the baseline" if bases else "no entry of the baseline"
        version = f"suite {spec.suite!r} version {spec.suite_version}"
        return [EvenhandError(f"{version} has {found}; submit the complete run")]
    cards = [entry.result.spec.method for entry in entries.values()]
    check = _GroupCheck(bases[0], entries[bases[0]], cards, known_suite(spec), keys, recompute)
    faults = []
    # The baseline first, since the others are compared with it.
    for path in sorted(entries, key=lambda path: path != bases[0]):
        found_here = check.faults(path, entries[path])
        faults += [EvenhandError(f"entry {path.name!r}: {fault}") for fault in found_here]
        if not found_here:
            valid[path] = Checked(entries[path], check.outcomes[path])
    return faults


@dataclass
class _GroupCheck:
    """The checks of the entries of one suite; the baseline must be checked first."""

    base_path: Path
    base: Entry
    cards: Sequence[MethodCard]
    known: KnownSuite | None
    keys: Sequence[Path]
    recompute: bool
    base_tables: Tables | None = None
    outcomes: dict[Path, Outcomes] = field(default_factory=dict)

    def faults(self, path: Path, entry: Entry) -> list[str]:
        """All errors of an entry, with what to do."""
        found = [
            *_card_faults(entry, self.base),
            *fit_faults(entry.result.spec.method, self.cards),
            *source_faults(entry),
            *_cache_faults(entry),
            *self._suite_faults(entry),
        ]
        try:
            self.outcomes[path] = read_outcomes(path, entry, keys=self.keys)
        except EvenhandError as fault:
            found.append(str(fault))
        if found or self.known is None or not entry.files:
            return found
        try:
            if self.recompute:
                return self._table_faults(path, entry, self.known.of(entry.result))
            read_files(path, entry)
        except EvenhandError as fault:
            return [str(fault)]
        return []

    def _suite_faults(self, entry: Entry) -> list[str]:
        spec = entry.result.spec
        if reason := refusal(entry.result):
            return [reason]
        if self.known is not None:
            known = self.known.of(entry.result)
            missing = [] if entry.files else [f"it has no tables, so {_NO_TABLES}"]
            return [
                *missing,
                *suite_differences(entry.result, known),
                *_declaration_faults(spec.method),
                *_setting_faults(spec.method, known.suite),
            ]
        if entry.files:
            return [
                f"its tables cannot be checked: suite {spec.suite!r} version {spec.suite_version} "
                f"({spec.suite_digest[:8]}) is not registered here; install it, or run a registered suite"
            ]
        return []

    def _table_faults(self, path: Path, entry: Entry, known: KnownSuite) -> list[str]:
        tables = read_tables(path, entry, known)
        check_strip(path, entry, items=known.items, images=tables.images)
        if path == self.base_path:
            self.base_tables = tables
        if self.base_tables is None:
            problem = "are not valid" if self.base.files else "are missing"
            raise EvenhandError(
                f"its numbers cannot be recomputed: the tables of {self.base_path.name!r} "
                f"{problem}; correct them first"
            )
        base = self.base.result.spec.method.label
        try:
            recomputed = measured(entry.result, tables, self.base_tables, base_label=base, known=known)
        except EvenhandError as fault:
            raise EvenhandError(f"its numbers cannot be recomputed: {fault}") from fault
        different = differences(entry.result, recomputed)
        if different:
            more = f" and {len(different) - 1} more differ" if len(different) > 1 else ""
            return [f"{different[0]}{more}; submit the run again"]
        fresh = self.outcomes[path].fresh
        return [] if fresh is None else fresh_faults(path, fresh, entry=entry, base=self.base, known=known)


def _card_faults(entry: Entry, base: Entry) -> Iterator[str]:
    """Errors in the concepts and judges of an entry."""
    method = entry.result.spec.method
    if not entry.result.spec.concepts:
        yield "it has no concepts to compare methods by; run a suite with neutral prompts"
    roles = {card.name: card.role for card in entry.result.spec.judges}
    if method.steering_judge is not None and roles.get(method.steering_judge) != "steering":
        role = roles.get(method.steering_judge, "none")
        yield (
            f"its steering judge {method.steering_judge!r} has the role {role!r}; "
            "a steering judge must not vote, so choose another one"
        )
    if panel(entry.result) != panel(base.result):
        yield "the panel differs from that of the baseline's entry; submit the complete run"
    if method.name == BASE and method.label != BASE:
        yield f"the label of the baseline must be {BASE!r}, got {method.label!r}; rename it"


def _cache_faults(entry: Entry) -> Iterator[str]:
    """An error if the submitter has not fitted the method."""
    if cache := entry.result.cost.fit_cache:
        yield (
            f"its fit was pulled from {cache!r:.80}, not made by the submitter; fit the method and submit "
            "the run again"
        )


def _declaration_faults(card: MethodCard) -> Iterator[str]:
    """Errors if what the card declares is not what the method with these parameters declares."""
    method = installed(card)
    if method is None:
        return
    if method.steering_judge != card.steering_judge:
        yield (
            f"it declares the steering judge {card.steering_judge or 'none'!r}, but with its parameters the "
            f"method uses {method.steering_judge or 'none'!r}; submit the run again"
        )
    if card.track and card.track != method.track:
        yield (
            f"it declares the track {card.track!r:.40}, but with its parameters the method gives "
            f"{method.track!r}; submit the run again"
        )


def _setting_faults(card: MethodCard, suite: Suite) -> Iterator[str]:
    """Errors if the parameters or the search are not those that the suite gives the row of this label."""
    if card.version != installed_version(card.name):
        # Of a method that is not installed, or of another version with other parameters.
        return
    try:
        use = method_use(suite, card.row)
    except EvenhandError as fault:
        yield f"no run has a row of its label: {fault}"
        return
    if use.label != card.row:
        yield f"its label {card.row!r:.80} is written {use.label!r:.80} in a run; submit the run again"
    stated, expected = stated_parameters(card.parameters), stated_parameters(use.parameters)
    for name in sorted(stated.keys() | expected.keys()):
        if stated.get(name) != expected.get(name):
            yield (
                f"its parameter {name!r:.40} is {stated.get(name)!r:.40}, but a run of {card.row!r:.80} has "
                f"{expected.get(name)!r:.40}; submit the run again"
            )
    if use.search != card.search:
        yield f"its search is not that of a run of {card.row!r:.80}; submit the run again"
