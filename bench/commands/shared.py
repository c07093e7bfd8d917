"""What several commands have in common."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def examples(*commands: str) -> str:
    """The end of a command's help: commands that can be typed as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
