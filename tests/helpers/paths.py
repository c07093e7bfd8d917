"""Where the tests find files."""

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
DATA = TESTS / "data"
TINY = DATA / "tiny_suite.toml"
