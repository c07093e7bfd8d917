"""Checking entries: what they say against their suite, their tables against what they say, all faults listed.

Entries are data from strangers. Nothing in them is executed or unpickled, no name in them decides which file
is read, and sizes and rows are limited before anything is read whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.entries import VERIFICATION_FILE, read_entries
from evenhand.bench.leaderboard.measure import differences, measured
from evenhand.bench.leaderboard.suite import KnownSuite, known_suite, unlike_the_suite
from evenhand.bench.leaderboard.tables import Tables, read_files, read_tables
from evenhand.bench.parsing.strict_json import read_json
from evenhand.bench.registry.entry_points import METHODS
from evenhand.bench.registry.method_spec import method_class
from evenhand.bench.results.entry import ENTRY_FILE, Entry, Evidence, Verification, panel, version_key
from evenhand.bench.results.result import BASE, MethodCard

MAX_VERIFICATION_BYTES = 2**16
"""Largest ``verification.json``: one of a suite with a dozen judges has some thousand."""


@dataclass(frozen=True)
class Checked:
    """An entry without a fault.

    Attributes:
        entry: The entry.
        verification: What was found when it was verified, if it was.
    """

    entry: Entry
    verification: Verification | None

    @property
    def evidence(self) -> Evidence:
        """What stands behind its numbers."""
        if not self.entry.files:
            return "reported"
        return "verified" if self.verification else "recomputed"


def sound_entries(folder: Path) -> list[Checked]:
    """The entries of the folder, in the order of their names; their tables are held against hashes only.

    Raises:
        EvenhandError: The folder is missing, or an entry is not what it should be; the first fault.
    """
    sound, faults = check_entries(folder, recompute=False)
    if faults:
        more = f" (and {len(faults) - 1} more: `evenhand board check`)" if len(faults) > 1 else ""
        raise EvenhandError(f"{faults[0]}{more}")
    return sound


def check_entries(folder: Path, *, recompute: bool = True) -> tuple[list[Checked], list[EvenhandError]]:
    """The entries without a fault, in the order of their names, and every fault of the others.

    Args:
        folder: Folder of the entries.
        recompute: Whether the tables are read and every number is made anew from them.

    Raises:
        EvenhandError: The folder is missing.
    """
    loaded, faults = read_entries(folder)
    sound: dict[Path, Checked] = {}
    for group in _groups(loaded):
        faults += _check_group({path: loaded[path] for path in group}, sound, recompute=recompute)
    return [sound[path] for path in loaded if path in sound], faults


def _groups(loaded: Mapping[Path, Entry]) -> list[list[Path]]:
    """Folders of the entries that may stand in one ranking."""

    def key(path: Path) -> str:
        return version_key(loaded[path].result)

    return [list(group) for _, group in groupby(sorted(loaded, key=key), key=key)]


def _check_group(
    entries: Mapping[Path, Entry], sound: dict[Path, Checked], *, recompute: bool
) -> list[EvenhandError]:
    """The faults of entries of one suite; those without any go to ``sound``."""
    spec = next(iter(entries.values())).result.spec
    bases = [path for path, entry in entries.items() if entry.result.spec.method.name == BASE]
    if len(bases) != 1:
        found = f"{len(bases)} entries of the base model" if bases else "entries but none of the base model"
        version = f"suite {spec.suite!r} version {spec.suite_version}"
        return [EvenhandError(f"{version} has {found}; submit the whole run")]
    check = _GroupCheck(bases[0], entries[bases[0]], known_suite(spec), recompute)
    faults = []
    # The base model first: the others are held against it.
    for path in sorted(entries, key=lambda path: path != bases[0]):
        found_here = check.faults(path, entries[path])
        faults += [EvenhandError(f"entry {path.name!r}: {fault}") for fault in found_here]
        if not found_here:
            sound[path] = Checked(entries[path], _verification(path))
    return faults


@dataclass
class _GroupCheck:
    """The checks of the entries of one suite, the base model's first."""

    base_path: Path
    base: Entry
    known: KnownSuite | None
    recompute: bool
    base_tables: Tables | None = None

    def faults(self, path: Path, entry: Entry) -> list[str]:
        """Every fault of an entry, each as a clause with a remedy."""
        found = [*_card_faults(entry, self.base), *self._suite_faults(entry)]
        try:
            _verification(path)
        except EvenhandError as fault:
            found.append(str(fault))
        if found or self.known is None or not entry.files:
            return found
        try:
            if self.recompute:
                return self._unlike_its_tables(path, entry, self.known)
            read_files(path, entry)
        except EvenhandError as fault:
            return [str(fault)]
        return []

    def _suite_faults(self, entry: Entry) -> list[str]:
        spec = entry.result.spec
        if self.known is not None:
            return [*unlike_the_suite(entry.result, self.known), *_declaration_faults(spec.method)]
        if entry.files:
            return [
                f"its tables cannot be checked: suite {spec.suite!r} version {spec.suite_version} "
                f"({spec.suite_digest[:8]}) is not registered here; install it, or run a registered suite"
            ]
        return []

    def _unlike_its_tables(self, path: Path, entry: Entry, known: KnownSuite) -> list[str]:
        own = read_tables(path, entry, known)
        if path == self.base_path:
            self.base_tables = own
        if self.base_tables is None:
            lack = "have a fault" if self.base.files else "are missing"
            raise EvenhandError(
                f"its numbers cannot be recomputed: the tables of {self.base_path.name!r} {lack}; mend those"
            )
        base = self.base.result.spec.method.label
        try:
            again = measured(entry.result, own, self.base_tables, base_label=base, known=known)
        except EvenhandError as fault:
            raise EvenhandError(f"its numbers cannot be recomputed: {fault}") from fault
        unlike = differences(entry.result, again)
        more = f" and {len(unlike) - 1} more differ" if len(unlike) > 1 else ""
        return [f"{unlike[0]}{more}; submit the run again"] if unlike else []


def _card_faults(entry: Entry, base: Entry) -> Iterator[str]:
    """What an entry says of its judges."""
    method = entry.result.spec.method
    roles = {card.name: card.role for card in entry.result.spec.judges}
    if method.steering_judge is not None and roles.get(method.steering_judge) != "steering":
        role = roles.get(method.steering_judge, "none")
        yield (
            f"its steering judge {method.steering_judge!r} has the role {role!r}; "
            "a judge that steers has no vote, so choose another"
        )
    if panel(entry.result) != panel(base.result):
        yield "the cards of its panel are not those of the base model’s entry; submit the whole run"
    if method.name == BASE and method.label != BASE:
        yield f"it calls the base model {method.label!r}; rename it to {BASE!r}"


def _declaration_faults(card: MethodCard) -> Iterator[str]:
    """Whether the judge that an entry declares is the one that its method asks with these parameters."""
    if card.name not in METHODS.names():
        return
    try:
        asked = method_class(card.name).model_validate(card.parameters).steering_judge
    except (ValueError, EvenhandError):
        # Of another version of the method, whose parameters this one does not know.
        return
    if asked != card.steering_judge:
        yield (
            f"it declares the steering judge {card.steering_judge or 'none'!r}, and with its parameters the "
            f"method asks {asked or 'none'!r}; submit the run again"
        )


def _verification(path: Path) -> Verification | None:
    """What lies beside the entry of a verification, read as a stranger's.

    Raises:
        EvenhandError: It is none, is of another state of the entry, or does not bear the entry out.
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
        raise EvenhandError(f"{file.name} is of another state of the entry; verify it again")
    if not found.agrees:
        raise EvenhandError(f"{file.name} says that the sample did not agree; remove the entry")
    return found
