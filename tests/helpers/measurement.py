"""Measurements of simulated worlds with known shares."""

import numpy as np
import pandas as pd
from helpers.metrics import CELLS, TAXONOMY

from evenhand.metrics.estimation.measure import MeasurePlan, measure
from evenhand.metrics.estimation.views import View
from evenhand.metrics.representation import uniform
from evenhand.metrics.statistics.resampling import Resamples, arrange
from evenhand.metrics.statistics.uncertainty import stream

BIASED = np.array([0.40, 0.25, 0.15, 0.10, 0.06, 0.04])
FAIR = np.full(CELLS, 1 / CELLS)
JOINT = (("gender", "tone"),)


def plan(**options):
    given = {"attributes": TAXONOMY, "panel": ("a", "b"), "joints": JOINT, "draws": 100, "base": None}
    return MeasurePlan(**(given | options))


def judged(world, **options):
    """Tables of a world that judges ``a`` and ``b`` label without errors by default."""
    labels = [world.labels(name, **options) for name in ("a", "b")]
    return world.images(), pd.concat(labels, ignore_index=True)


def estimates(world, *, method="base", **options):
    images, labels = judged(world)
    return measure(images, labels, plan=plan(**options)).estimates[method]


def rotations(concepts):
    """The biased shares, turned for each concept: every concept is as biased, the mean is balanced."""
    return np.array([np.roll(BIASED, shift) for shift in range(concepts)])


def view_of(concepts, seeds, *, draws=200, shape=(2, 3)):
    place = [(f"job{c:02d}", f"{s:02d}") for c in range(concepts) for s in range(seeds)]
    row, leaf = zip(*place, strict=True)
    layout = arrange(range(len(place)), row=row, cluster=["t"] * len(place), leaf=leaf)
    units = "leaves" if concepts > 11 else "nested"
    resamples = Resamples.of(layout, draws=draws, rng=stream(0, "x"), rows=concepts > 1, units=units)
    names = ("gender", "tone")[: len(shape)]
    cells = tuple(map(str, range(np.prod(shape))))
    target = np.tile(uniform(len(cells)), (concepts, 1))
    return View("neutral", names, cells, shape, target, layout, resamples, None)
