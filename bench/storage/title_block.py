"""Reading the title block of a report and keeping it in the run folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.strict_toml import read_toml
from evenhand.bench.results.title_block import TitleBlock
from evenhand.bench.storage.files import write_atomically


def read_title_block(path: Path) -> TitleBlock:
    """The title block in a TOML file.

    Raises:
        EvenhandError: The file cannot be read, or has unknown keys or wrong values.
    """
    _, data = read_toml(path, what="title block")
    try:
        return TitleBlock.model_validate(data)
    except ValidationError as fault:
        first = fault.errors()[0]
        place = ".".join(map(str, first["loc"])) or "title block"
        known = ", ".join(TitleBlock.model_fields)
        hint = f"; the keys are {known}" if first["type"] == "extra_forbidden" else ""
        reason = first["msg"].removeprefix("Value error, ")
        raise EvenhandError(f"{path}: {place}: {reason}{hint}") from fault


def keep_title_block(source: Path, target: Path) -> None:
    """Check a title block and copy it, byte for byte, to ``target``.

    Raises:
        EvenhandError: See :func:`read_title_block`.
    """
    read_title_block(source)
    write_atomically(target, source.read_bytes())
