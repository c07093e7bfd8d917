"""The contract as tests: ``pytest --evenhand-method NAME`` or ``--evenhand-method file.py:Class``.

pytest loads this module in every environment that has Evenhand, so it imports nothing heavy until it is used.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from evenhand.bench.method_check.subject import Subject


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("evenhand").addoption(
        "--evenhand-method",
        action="append",
        default=[],
        metavar="NAME",
        help="Check that a method satisfies Evenhand's contract: its registered name, or FILE.py:CLASS.",
    )


def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add a test for every clause of the contract and every method named."""
    for text in config.getoption("--evenhand-method"):
        from evenhand.bench.method_check.check import clauses

        items += [
            ClauseItem.from_parent(session, name=f"{text}::{name}", method=text, clause=name)
            for name in clauses()
        ]


class ClauseItem(pytest.Item):
    """One clause of the contract for one method."""

    def __init__(self, *, method: str, clause: str, **given: object) -> None:
        super().__init__(**given)  # type: ignore[arg-type]
        self.method, self.clause = method, clause

    def runtest(self) -> None:
        """Check the clause."""
        from evenhand.bench.method_check.check import clauses, verdict

        found = verdict(_subject(self.method), clauses()[self.clause])
        if found.status == "skipped":
            pytest.skip(found.detail)
        if found.status == "failed":
            raise BrokenClauseError(f"{found.sentence}: {found.detail}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """The sentence that is broken, without a traceback through Evenhand."""
        return str(excinfo.value)

    def reportinfo(self) -> tuple[str, None, str]:
        """The place of the test in reports."""
        return self.method, None, self.name


class BrokenClauseError(Exception):
    """The method breaks a clause of the contract."""


@cache
def _subject(text: str) -> Subject:
    """The method, with a fit that its tests share."""
    from evenhand.bench.method_check.subject import subject_at, subject_of

    return subject_at(text) if ".py" in text else subject_of(text)
