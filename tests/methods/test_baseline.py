"""The unchanged model."""

import numpy as np
from helpers.methods import GENDER, Studio, make_task

from evenhand.methods.base import Budget, Intervention
from evenhand.methods.baseline import Base


def test_the_fit_generates_and_judges_nothing_and_changes_nothing():
    studio = Studio({})
    fitted = Base().fit(make_task(studio))
    assert fitted.digest() == Intervention().digest() and not fitted.flat_tensors()
    assert (studio.calls, studio.judged) == ([], [])
    assert fitted.prompt("a nurse", np.random.default_rng(0)) == "a nurse"


def test_it_costs_nothing_and_fits_every_model_and_number_of_cells():
    assert Base().budget(concepts=40, cells=GENDER) == Budget()
    for family in ("sd1", "sdxl", "video", "transformer"):
        Base().check(family=family, cells=GENDER * 50)
