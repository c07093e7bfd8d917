"""The leakage of one edit of many occupations, and the least possible one."""

import re

import numpy as np
import pytest
import torch
from helpers.paths import ROOT
from scipy.linalg import lstsq, null_space

from evenhand.bench.parsing.marked_page import fill
from evenhand.bench.studies.edit_leakage import least_directions, parts

NUMBER = re.compile(r"\d\.\d\d")


@pytest.mark.parametrize("explicit", [40, 5])
def test_no_directions_that_move_the_edited_states_move_the_explicit_ones_less(explicit):
    rng = np.random.default_rng(0)
    c, p = rng.normal(size=(3, 12)), rng.normal(size=(explicit, 12))
    found = least_directions(torch.from_numpy(c), torch.from_numpy(p)).numpy()
    np.testing.assert_allclose(found @ c.T, np.eye(3), atol=1e-6)
    free = null_space(c)
    for direction, wanted in zip(found, np.eye(3), strict=True):
        start = lstsq(c, wanted)[0]
        best = start + free @ lstsq(p @ free, -p @ start)[0]
        assert np.linalg.norm(p @ direction) == pytest.approx(np.linalg.norm(p @ best), abs=1e-4)


@pytest.mark.slow
def test_the_page_shows_the_tables():
    page = (ROOT / "docs" / "methods" / "mist.md").read_text(encoding="utf-8")
    filled = fill(page, **parts())
    assert NUMBER.sub("", filled) == NUMBER.sub("", page)
    # Another processor may round a number the other way.
    shown, found = ([float(number) for number in NUMBER.findall(text)] for text in (page, filled))
    np.testing.assert_allclose(found, shown, atol=0.0101)
