"""Paired measurements: differences by concept, and changes of the perceived group."""

import numpy as np
import pytest
from helpers.measurement import judged, plan
from helpers.metrics import World, one, pick
from scipy.stats import binomtest

from evenhand.metrics import catalog
from evenhand.metrics.estimation.comparison import HEADLINE
from evenhand.metrics.estimation.measure import measure
from evenhand.metrics.estimation.paired import measure_pairs

WOMAN, MAN = 0, 3
PAIRS = [("edited", "base"), ("base", "edited")]
METRICS = (catalog.excess_agreement, catalog.share, catalog.alignment)


@pytest.fixture(scope="module")
def tables():
    """Of ten women of job0, the edit turns eight into men; of ten women of job1, none."""
    world = World()
    for method, job0 in (("base", [WOMAN] * 10), ("edited", [MAN] * 8 + [WOMAN] * 2)):
        for concept, cells in (("job0", job0), ("job1", [WOMAN] * 10)):
            world.draw(method, "neutral", prompt_id=concept, concept=concept, template="t", cells=cells)
    return judged(world)


@pytest.fixture(scope="module")
def found(tables):
    return measure_pairs(*tables, plan=plan(metrics=METRICS), pairs=PAIRS)


def test_differences_of_a_pair_equal_those_of_a_run_with_that_baseline(tables, found):
    run = measure(*tables, plan=plan(metrics=METRICS, base="base")).differences
    paired = pick(found.measured.differences, label="edited")
    assert run and repr([row for row in paired if row.judge in HEADLINE]) == repr(run)  # nan equals itself


def test_single_judges_are_compared_as_well(found):
    assert {row.judge for row in found.measured.differences} == {"", "panel", "a", "b"}


def test_a_concept_has_the_difference_of_its_own_images(found):
    key = {"label": "edited", "metric": "share", "attributes": "gender", "group": "man"}
    job0, job1 = (one(found.concepts, concept=name, **key) for name in ("job0", "job1"))
    assert (job0.value, job0.n) == (pytest.approx(0.8), 10) and job0.low > 0
    assert job1.value == 0 and job1.low < 0 < job1.high


def test_the_other_direction_has_the_opposite_sign(found):
    key = {"metric": "excess_agreement", "attributes": "gender", "concept": "job0"}
    there, back = (one(found.concepts, label=label, **key) for label, _ in PAIRS)
    assert there.value == -back.value != 0
    assert (there.low, there.high) == (pytest.approx(-back.high), pytest.approx(-back.low))


def test_shares_of_a_concept_are_compared_for_single_attributes_only(found):
    assert {row.attributes for row in pick(found.concepts, metric="share")} == {"gender", "tone"}


def test_changed_labels_are_counted_from_before_to_after(found):
    there = one(found.flips, label="edited", attribute="gender", concept="job0")
    assert there.table == [[2, 8], [0, 0]] and (there.changed, there.n) == (0.8, 10)
    assert there.p == pytest.approx(binomtest(8, 8).pvalue)
    back = one(found.flips, label="base", attribute="gender", concept="")
    assert back.table == [[12, 0], [8, 0]] and back.changed == pytest.approx(0.4)
    # Holm over two pairs of methods; the tone never changes, so it has no test.
    assert back.p_adjusted == pytest.approx(2 * back.p)
    assert np.isnan(one(found.flips, label="base", attribute="tone", concept="").p)


def test_one_tested_concept_needs_no_adjustment(found):
    row = one(found.flips, label="edited", attribute="gender", concept="job0")
    assert row.p_adjusted == row.p
