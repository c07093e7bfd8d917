"""A finished run that commands read."""

import shutil

import pytest
from helpers.tiny import tiny_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of the tiny suite with three methods; a copy, since commands write into it."""
    run = tiny_run("base", "mist", "random-attribute-prompt")
    return shutil.copytree(run, tmp_path_factory.mktemp("finished") / "run")
