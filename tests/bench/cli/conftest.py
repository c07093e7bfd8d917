"""A finished run that commands read."""

import pytest
from helpers.paths import TINY


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of the tiny suite with three methods."""
    from evenhand.bench import evaluate

    folder = tmp_path_factory.mktemp("finished") / "run"
    evaluate(str(TINY), methods=("base", "mist", "random-attribute-prompt"), out=folder)
    return folder
