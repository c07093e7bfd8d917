"""``import evenhand``: the version, the top-level names, and no heavy import."""

import subprocess
import sys
from importlib.metadata import version

import pytest

import evenhand
from evenhand import bench


def test_the_package_states_its_version():
    assert evenhand.__version__ == version("evenhand")


def test_the_names_of_the_benchmark_are_at_the_top_beside_audits():
    assert set(bench.__all__) | {"audit", "audit_labels", "EvenhandError", "__version__"} <= set(
        dir(evenhand)
    )
    assert dir(evenhand) == evenhand.__all__
    assert all(getattr(evenhand, name) for name in evenhand.__all__)
    assert evenhand.load_suite is bench.load_suite


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'evenhand' has no attribute 'evalute'"):
        _ = evenhand.evalute


def test_importing_the_package_loads_no_library():
    code = (
        "import sys, evenhand\n"
        "dir(evenhand)\n"
        "print([name for name in ('torch', 'pandas', 'numpy', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_reading_a_run_loads_no_torch():
    code = "import sys, evenhand\nevenhand.load_run\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
