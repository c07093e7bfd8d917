"""Losses against the baseline: what is paired, what counts as right, and what the bounds are for."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.losses import TAXONOMY

from evenhand.bench.studies.gate_decisions import explicit_study
from evenhand.metrics.estimation.encode import Study
from evenhand.metrics.estimation.losses import losses_of
from evenhand.metrics.statistics.paired_loss import level_at, loss_upper

WOMEN_AND_MEN = [{"gender": "woman"}] * 60 + [{"gender": "man"}] * 40


def a_row(rows, quantity, **where):
    (row,) = [
        row
        for row in rows
        if row.quantity == quantity and all(getattr(row, name) == value for name, value in where.items())
    ]
    return row


def study_of(kind: str, labels, *, asked, scores=None, concepts=None):
    """A study of gender labels ``(1 + methods, S)``, the baseline first; 0 woman, 1 man, 2 undetermined."""
    labels = np.array(labels)
    count = labels.shape[1]
    slots = pd.DataFrame(
        {
            "kind": kind,
            "concept": concepts or "nurse",
            "prompt_id": [f"p{place}" for place in range(count)],
            "groups": [dict(asked)] * count,
        }
    )
    columns = {} if scores is None else {"alignment": np.array(scores, float)}
    methods = ("base", *(f"m{place}" for place in range(len(labels) - 1)))
    full = np.full(labels.shape, "ok", object)
    taxonomy = {"gender": TAXONOMY["gender"]}
    return Study(methods, slots, full, full, columns, taxonomy, {("panel", "gender"): labels}, {})


def fidelity_study():
    """Of 100 prompts, the method loses 3 women and gains 1 man."""
    right = np.ones((2, 100), bool)
    right[1, :3] = False
    right[0, 99] = False
    every = np.ones((2, 100), bool)
    return explicit_study(WOMEN_AND_MEN, {"gender": right, "tone": every, "age": every})


def only_gender(study):
    return replace(study, taxonomy={"gender": TAXONOMY["gender"]})


def test_fidelity_loss_is_paired_by_prompt_and_noise_for_the_attribute_and_every_group():
    rows = losses_of(only_gender(fidelity_study()), base="base")["m0000"]
    found = {
        row.group: (round(row.value, 6), row.n, row.margin)
        for row in rows
        if row.kind == "explicit" and row.quantity == "explicit_fidelity"
    }
    assert found == {"": (0.02, 100, 0.05), "woman": (0.05, 60, 0.1), "man": (-0.025, 40, 0.1)}
    assert a_row(rows, "explicit_fidelity", group="").high == pytest.approx(float(loss_upper(3, 1, 100)))


def test_lower_bounds_hold_for_all_rows_of_a_gate_together():
    rows = losses_of(only_gender(fidelity_study()), base="base")["m0000"]
    expected = -float(loss_upper(1, 3, 100, level=0.05 / 3))
    assert a_row(rows, "explicit_fidelity", group="").low == pytest.approx(expected)


def test_identical_labels_are_no_loss_with_the_exact_bound():
    study = study_of("explicit", np.zeros((2, 80), int), asked={"gender": "woman"})
    row = a_row(losses_of(study, base="base")["m0"], "explicit_fidelity", group="")
    assert (row.value, row.high) == (0.0, pytest.approx(1 - 0.05 ** (1 / 80)))


def test_undetermined_images_count_as_not_right_and_as_undetermined():
    labels = np.zeros((2, 50), int)
    labels[1, :5] = 2
    rows = losses_of(study_of("explicit", labels, asked={"gender": "woman"}), base="base")["m0"]
    assert a_row(rows, "explicit_fidelity", group="").value == pytest.approx(0.1)
    assert a_row(rows, "undetermined").value == pytest.approx(0.1)


def test_undetermined_images_are_compared_on_each_kind_of_prompts_by_itself():
    labels = np.zeros((2, 40), int)
    labels[1, :4] = 2
    study = study_of("neutral", labels, asked={})
    (row,) = losses_of(study, base="base")["m0"]
    assert (row.quantity, row.kind, row.value, row.n) == ("undetermined", "neutral", pytest.approx(0.1), 40)


def test_over_correction_is_what_is_lost_without_what_is_gained():
    base = np.array([0] * 90 + [1] * 10)
    method = base.copy()
    method[:3], method[3], method[95] = 1, 2, 0
    study = study_of("over_correction", [base, method], asked={"gender": "woman"})
    (row,) = losses_of(study, base="base")["m0"]
    assert (row.n, row.value) == (100, pytest.approx(0.03))
    assert row.high == pytest.approx(float(loss_upper(4, 1, 100)))


def test_judge_noise_alone_proves_no_over_correction():
    """A method as right as the baseline, with a judge that errs in 8 % of the images of either."""
    rng, proven = np.random.default_rng(4), 0
    for _ in range(100):
        labels = (rng.random((2, 192)) < 0.08).astype(int)
        study = study_of("over_correction", labels, asked={"gender": "woman"})
        (row,) = losses_of(study, base="base")["m0"]
        proven += row.low > row.margin
    assert proven <= 1


def test_alignment_is_relative_to_the_baseline_and_paired():
    rng = np.random.default_rng(0)
    base = rng.uniform(20, 30, 60)
    scores = np.stack([base, 0.8 * base])
    concepts = [f"c{place // 6}" for place in range(60)]
    study = study_of("neutral", np.zeros((2, 60), int), asked={}, scores=scores, concepts=concepts)
    row = a_row(losses_of(study, base="base")["m0"], "alignment")
    assert (row.value, row.low, row.high) == pytest.approx((0.2, 0.2, 0.2))
    rescaled = replace(study, columns={"alignment": 7 * scores})
    assert a_row(losses_of(rescaled, base="base")["m0"], "alignment").value == pytest.approx(0.2)


def test_concepts_are_the_clusters_of_alignment_unless_the_list_is_fixed():
    rng = np.random.default_rng(1)
    base = np.full(60, 25.0)
    by_concept = np.repeat(rng.normal(0, 2, 10), 6)
    concepts = [f"c{place // 6}" for place in range(60)]
    study = study_of(
        "neutral", np.zeros((2, 60), int), asked={}, scores=[base, base - by_concept], concepts=concepts
    )
    widths = []
    for resampled in (True, False):
        row = a_row(losses_of(study, base="base", resample_concepts=resampled)["m0"], "alignment")
        widths.append(row.high - row.low)
    assert widths[0] > 2 * widths[1]


def preferring_scores(labels, *, rng, harm=0.0):
    """Scores of a scorer that gives men two points more; the method's images lose ``harm`` points."""
    noise = rng.normal(0, 0.3, (2, labels.shape[1]))
    return 20 + 2.0 * (labels == 1) + noise - harm * np.array([[0], [1]])


@pytest.mark.parametrize("harm", [0.0, 4.0])
def test_drawing_other_people_is_no_loss_of_alignment(harm):
    rng = np.random.default_rng(0)
    labels = np.stack([rng.random(400) < 0.9, rng.random(400) < 0.5]).astype(int)
    scores = preferring_scores(labels, rng=rng, harm=harm)
    concepts = [f"c{place % 8}" for place in range(400)]
    study = study_of("neutral", labels, asked={}, scores=scores, concepts=concepts)
    row = a_row(losses_of(study, base="base")["m0"], "alignment")
    assert row.value == pytest.approx(harm / scores[0].mean(), abs=0.004)
    assert row.low < harm / scores[0].mean() < row.high


def test_images_in_which_nothing_is_recognised_stay_a_loss_of_alignment():
    rng = np.random.default_rng(1)
    labels = np.stack([rng.integers(0, 3, 300), np.full(300, 2)])
    scores = np.where(labels == 2, 10.0, 20.0)
    study = study_of("neutral", labels, asked={}, scores=scores, concepts=[f"c{i % 6}" for i in range(300)])
    row = a_row(losses_of(study, base="base")["m0"], "alignment")
    assert row.value == pytest.approx(1 - 10 / scores[0].mean())


def test_failed_image_of_the_method_has_lost_all_alignment():
    scores = np.full((2, 20), 25.0)
    scores[1, 0] = math.nan
    scores[:, 1] = math.nan
    study = study_of("unrelated", np.zeros((2, 20), int), asked={}, scores=scores)
    row = a_row(losses_of(study, base="base")["m0"], "alignment")
    assert (row.n, row.value) == (19, pytest.approx(1 / 19))


def test_bounds_of_explicit_prompts_alone_have_the_level_of_the_look():
    study = only_gender(fidelity_study())
    row = a_row(losses_of(study, base="base", look=2)["m0000"], "explicit_fidelity", group="")
    assert (row.look, row.high) == (2, pytest.approx(float(loss_upper(3, 1, 100, level=level_at(2)))))
    neutral = study_of("neutral", np.zeros((2, 30), int), asked={})
    fixed, looked = (losses_of(neutral, base="base", look=look) for look in (0, 2))
    assert fixed == looked


def test_baseline_has_no_losses_and_without_one_nothing_is_compared():
    study = fidelity_study()
    assert losses_of(study, base="base")["base"] == []
    assert losses_of(study, base=None) == {}


def test_attribute_without_a_voting_judge_is_left_out():
    study = replace(fidelity_study(), codes={("panel", "gender"): np.zeros((2, 100), int)})
    found = losses_of(study, base="base")["m0000"]
    assert {row.attributes for row in found} == {"gender"}
