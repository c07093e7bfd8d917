"""Shortcuts for development: `nox -s tests`, `nox -s slow`, `nox -s lint`, `nox -s types`, `nox -s docs`."""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True


@nox.session
def tests(session: nox.Session) -> None:
    """The fast tests, as `pytest` runs them; arguments after `--` go to pytest."""
    session.install(".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """The slow tests: browsers, Ray, killed processes, fresh environments, training."""
    session.install(".[test]")
    session.run("pytest", "-m", "slow", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting and the contracts of imports."""
    session.install(".[test]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Types of the installed package."""
    session.install(".[test]")
    session.run("mypy", "-p", "evenhand")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation site, in `site/`."""
    session.install(".[test]")
    session.run("mkdocs", "build", "--strict")
