"""A published test bed of judges, for tests of corrections."""

import pytest
from helpers.metrics import read


@pytest.fixture(scope="module")
def faces():
    table = read("judge_testbed_fairface3k")
    return table[table["split"] == "cal"], table[table["split"] == "eval"]
