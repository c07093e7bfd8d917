"""Charts as SVG, and the refusal where the engine that draws them could not start."""

import subprocess
import sys

import pytest

from evenhand.reports.components.vega import ADDRESS_SPACE, svg_of

X_AXIS = {"x": {"field": "x", "type": "nominal"}}
CHART = {"data": {"values": [{"x": 1}]}, "mark": "point", "encoding": X_AXIS}

DRAW = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), -1))
from evenhand.bench.errors import EvenhandError
from evenhand.reports.components.vega import svg_of
try:
    print(svg_of({CHART!r})[:4])
except EvenhandError as refusal:
    print(refusal)
"""


def drawn_with(address_space):
    command = [sys.executable, "-c", DRAW, str(address_space)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_specification_becomes_an_svg():
    assert svg_of(CHART).startswith("<svg") and "mark-symbol" in svg_of(CHART)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space reliably")
def test_process_with_too_little_address_space_is_told_what_to_do():
    code, said = drawn_with(40 * 2**30)
    assert code == 0
    assert "80 GiB of address space" in said and "may have 40" in said and "ulimit -v" in said


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space reliably")
def test_the_stated_address_space_is_enough():
    # The libraries that are loaded beside the engine take some of it.
    assert drawn_with(ADDRESS_SPACE + 4 * 2**30) == (0, "<svg\n")
