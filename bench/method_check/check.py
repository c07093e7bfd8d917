"""Check a method against the contract, and report what passed and what it cost."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from evenhand.bench.errors import EvenhandError
from evenhand.bench.method_check.contract import (
    BEFORE,
    COSTS,
    FITTED,
    Clause,
    NotApplicableError,
    ViolationError,
    costs_declared,
    fits,
)
from evenhand.bench.method_check.subject import Subject

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Verdict:
    """What came of a clause.

    Attributes:
        name: Name of the clause.
        sentence: What the clause demands.
        status: Whether the method satisfies it; skipped if it does not apply.
        detail: What was seen, or how it is broken and what to do; may be empty.
    """

    name: str
    sentence: str
    status: Status
    detail: str


def clauses() -> dict[str, Clause]:
    """Every clause by name, in the order in which they are checked."""
    return {clause.__name__: clause for clause in (*BEFORE, fits, *FITTED)}


def verdict(subject: Subject, clause: Clause) -> Verdict:
    """What comes of one clause; an error of the method's code breaks it."""
    sentence = inspect.cleandoc(clause.__doc__ or "").splitlines()[0].removesuffix(".").replace("``", "")
    status: Status = "passed"
    try:
        detail = clause(subject)
    except NotApplicableError as reason:
        status, detail = "skipped", str(reason)
    except (ViolationError, EvenhandError) as fault:
        status, detail = "failed", str(fault)
    except Exception as fault:  # the code of the author may fail in any way
        status, detail = "failed", f"{type(fault).__name__}: {fault}"
    return Verdict(clause.__name__, sentence, status, detail)


def check(subject: Subject) -> Iterator[Verdict]:
    """The verdict on every clause; those about a fit are left out if it fails."""
    for clause in BEFORE:
        yield verdict(subject, clause)
    fit = verdict(subject, fits)
    yield fit
    if fit.status == "passed":
        for clause in FITTED:
            yield verdict(subject, clause)


def costs(subject: Subject) -> list[tuple[str, int, int]]:
    """Rows of the cost of the fit: what is counted, how many were declared, and how many were used."""
    declared = costs_declared(subject)
    return [(name, declared[name], subject.fitted.used[name]) for name in COSTS]
