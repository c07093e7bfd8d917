"""``evenhand doctor``: check the installation."""

from __future__ import annotations

from dataclasses import asdict

import typer

from evenhand.bench.cli.shared import Json, examples
from evenhand.bench.errors import EvenhandError

app = typer.Typer()


@app.command(epilog=examples("evenhand doctor", "evenhand doctor --json"))
def doctor(as_json: Json = False) -> None:
    """Check the installation: versions, device, disk space, plug-ins and the bundled model."""
    from evenhand.bench.cli.console import write_json, write_table
    from evenhand.bench.doctor import examine

    checks = list(examine())
    if as_json:
        write_json([asdict(check) for check in checks])
    else:
        write_table(("", "", ""), [("ok" if c.ok else "FAULT", c.name, c.detail) for c in checks])
    if not all(check.ok for check in checks):
        raise typer.Exit(EvenhandError.exit_code)
