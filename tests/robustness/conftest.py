"""An undisturbed run, which every other run must equal."""

import pytest
from helpers.faults import finish


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    finish(folder)
    return folder
