"""Checks entries against their suites, and their numbers against their tables; lists all errors.

Entries are untrusted input. Nothing in them is executed or unpickled, names in them never decide which file
is read, and sizes and rows are limited before a file is read completely.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.entries import VERIFICATION_FILE, read_entries
from evenhand.bench.leaderboard.fits import fit_faults
from evenhand.bench.leaderboard.measure import differences, measured
from evenhand.bench.leaderboard.method_facts import installed
from evenhand.bench.leaderboard.suite import KnownSuite, known_suite, suite_differences
from evenhand.bench.leaderboard.tables import Tables, read_files, read_tables
from evenhand.bench.parsing.strict_json import read_json
from evenhand.bench.results.entry import ENTRY_FILE, Entry, Evidence, Verification, panel, version_key
from evenhand.bench.results.result import BASE, MethodCard

MAX_VERIFICATION_BYTES = 2**16
"""Maximum size of ``verification.json``; one with a dozen judges has some thousand bytes."""


@dataclass(frozen=True)
class Checked:
    """A valid entry.

    Attributes:
        entry: The entry.
        verification: The result of its verification, if it was verified.
    """

    entry: Entry
    verification: Verification | None

    @property
    def evidence(self) -> Evidence:
        """The evidence for its numbers."""
        if not self.entry.files:
            return "reported"
        return "verified" if self.verification else "recomputed"


def valid_entries(folder: Path) -> list[Checked]:
    """The entries in the folder, sorted by name. Checks only the hashes of their tables.

    Raises:
        EvenhandError: The folder is missing, or an entry is not valid; the first error.
    """
    valid, faults = check_entries(folder, recompute=False)
    if faults:
        more = f" (and {len(faults) - 1} more: `evenhand board check`)" if len(faults) > 1 else ""
        raise EvenhandError(f"{faults[0]}{more}")
    return valid


def check_entries(folder: Path, *, recompute: bool = True) -> tuple[list[Checked], list[EvenhandError]]:
    """The valid entries, sorted by name, and all errors of the others.

    Args:
        folder: Folder of the entries.
        recompute: Whether to read the tables and recompute all numbers from them.

    Raises:
        EvenhandError: The folder is missing.
    """
    loaded, faults = read_entries(folder)
    valid: dict[Path, Checked] = {}
    for group in _groups(loaded):
        faults += _check_group({path: loaded[path] for path in group}, valid, recompute=recompute)
    return [valid[path] for path in loaded if path in valid], faults


def _groups(loaded: Mapping[Path, Entry]) -> list[list[Path]]:
    """Folders of entries, grouped by ranking."""

    def key(path: Path) -> str:
        return version_key(loaded[path].result)

    return [list(group) for _, group in groupby(sorted(loaded, key=key), key=key)]


def _check_group(
    entries: Mapping[Path, Entry], valid: dict[Path, Checked], *, recompute: bool
) -> list[EvenhandError]:
    """The errors of the entries of one suite; adds valid entries to ``valid``."""
    spec = next(iter(entries.values())).result.spec
    bases = [path for path, entry in entries.items() if entry.result.spec.method.name == BASE]
    if len(bases) != 1:
        found = f"{len(bases)} entries of the baseline" if bases else "no entry of the baseline"
        version = f"suite {spec.suite!r} version {spec.suite_version}"
        return [EvenhandError(f"{version} has {found}; submit the complete run")]
    cards = [entry.result.spec.method for entry in entries.values()]
    check = _GroupCheck(bases[0], entries[bases[0]], cards, known_suite(spec), recompute)
    faults = []
    # The baseline first, since the others are compared with it.
    for path in sorted(entries, key=lambda path: path != bases[0]):
        found_here = check.faults(path, entries[path])
        faults += [EvenhandError(f"entry {path.name!r}: {fault}") for fault in found_here]
        if not found_here:
            valid[path] = Checked(entries[path], _verification(path))
    return faults


@dataclass
class _GroupCheck:
    """The checks of the entries of one suite; the baseline must be checked first."""

    base_path: Path
    base: Entry
    cards: Sequence[MethodCard]
    known: KnownSuite | None
    recompute: bool
    base_tables: Tables | None = None

    def faults(self, path: Path, entry: Entry) -> list[str]:
        """All errors of an entry, with what to do."""
        found = [
            *_card_faults(entry, self.base),
            *fit_faults(entry.result.spec.method, self.cards),
            *self._suite_faults(entry),
        ]
        try:
            _verification(path)
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
        if self.known is not None:
            known = self.known.of(entry.result)
            return [*suite_differences(entry.result, known), *_declaration_faults(spec.method)]
        if entry.files:
            return [
                f"its tables cannot be checked: suite {spec.suite!r} version {spec.suite_version} "
                f"({spec.suite_digest[:8]}) is not registered here; install it, or run a registered suite"
            ]
        return []

    def _table_faults(self, path: Path, entry: Entry, known: KnownSuite) -> list[str]:
        tables = read_tables(path, entry, known)
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
        more = f" and {len(different) - 1} more differ" if len(different) > 1 else ""
        return [f"{different[0]}{more}; submit the run again"] if different else []


def _card_faults(entry: Entry, base: Entry) -> Iterator[str]:
    """Errors in the judges of an entry."""
    method = entry.result.spec.method
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


def _verification(path: Path) -> Verification | None:
    """The verification of an entry, read as untrusted input; ``None`` if there is none.

    Raises:
        EvenhandError: It is not valid, is of another version of the entry, or did not succeed.
    """
    file = path / VERIFICATION_FILE
    if not file.exists():
        return None
    data = read_json(file, max_bytes=MAX_VERIFICATION_BYTES)
    try:
        found = Verification.model_validate(data, strict=True)
    except ValueError as fault:
        reason = " ".join(str(fault).split())
        raise EvenhandError(f"{file.name} is not valid ({reason:.200}); verify the entry again") from fault
    if found.entry != hashlib.sha256((path / ENTRY_FILE).read_bytes()).hexdigest():
        raise EvenhandError(f"{file.name} is of another version of the entry; verify it again")
    if not found.agrees:
        raise EvenhandError(f"{file.name} says that the sample did not agree; remove the entry")
    return found
