"""``python -m evenhand`` is the command line."""

import subprocess
import sys
from importlib.metadata import version


def test_the_package_runs_as_the_command_line():
    command = [sys.executable, "-m", "evenhand", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"evenhand {version('evenhand')}\n"
