"""The bundled suites, as paths of their TOML files; registered as ``evenhand.suites``."""

from importlib.resources import files
from pathlib import Path

_FOLDER = Path(str(files(__package__)))

GENDER_FAST = _FOLDER / "gender-fast.toml"
INTERSECTIONAL = _FOLDER / "intersectional.toml"
INTERSECTIONAL_FAST = _FOLDER / "intersectional-fast.toml"
MINI = _FOLDER / "mini.toml"
MINI_2 = _FOLDER / "mini-2.toml"
MINI_DEV = _FOLDER / "mini-dev.toml"
MINI_GENDER = _FOLDER / "mini-gender.toml"
MINI_QUICK = _FOLDER / "mini-quick.toml"
WINOBIAS_GENDER = _FOLDER / "winobias-gender.toml"
WINOBIAS_RACE4 = _FOLDER / "winobias-race4.toml"

AUDIT_SUITES = {"photos": _FOLDER / "photos.toml"}
"""Suites for audits only, without a model and prompts; they cannot be run."""
