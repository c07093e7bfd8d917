"""The bundled suites, as paths of their TOML files; registered as ``evenhand.suites``."""

from importlib.resources import files
from pathlib import Path

MINI = Path(str(files(__package__))) / "mini.toml"
MINI_QUICK = Path(str(files(__package__))) / "mini-quick.toml"
