"""A digest of the code of a method, so that nothing that other code made is reused for it."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

_OWN = __name__.partition(".")[0]


def is_bundled(cls: type) -> bool:
    """Whether a class is part of Evenhand, whose methods get a new version when code changes results."""
    return cls.__module__.partition(".")[0] == _OWN


def code_digest(cls: type) -> str:
    """SHA-256 of the source code of a class.

    It covers the module of a bundled class, and all modules of the package of any other. A class of a
    notebook has no file, so its compiled functions count.
    """
    sha = hashlib.sha256()
    for path in _files(cls):
        sha.update(f"{path.name}\n".encode())
        sha.update(path.read_bytes())
    if cls.__module__ == "__main__":
        for text in _compiled(cls):
            sha.update(f"{text}\n".encode())
    return sha.hexdigest()


def _files(cls: type) -> list[Path]:
    root = sys.modules.get(cls.__module__.partition(".")[0])
    folder = getattr(root, "__file__", None)
    if not is_bundled(cls) and folder and hasattr(root, "__path__"):
        return sorted(Path(folder).parent.rglob("*.py"))
    try:
        file = Path(inspect.getfile(cls))
    except (OSError, TypeError):
        return []
    return [file] if file.is_file() else []


def _compiled(cls: type) -> Iterator[str]:
    for name, value in sorted(vars(cls).items()):
        function = inspect.unwrap(getattr(value, "__func__", value)) if callable(value) else value
        code = getattr(function, "__code__", None)
        if isinstance(code, CodeType):
            yield f"{name} {_described(code)}"
        elif isinstance(value, (int, float, str, bytes, tuple, frozenset)) and not name.startswith("__"):
            yield f"{name} {value!r}"


def _described(code: CodeType) -> str:
    """The instructions of a function, its constants and names, and those of the functions in it."""
    constants = [_described(one) if isinstance(one, CodeType) else repr(one) for one in code.co_consts]
    return repr((code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars))
