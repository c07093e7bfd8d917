"""The sequential rule measures until a verdict, edits outside the band, and converges inside it."""

import json

import numpy as np
import pytest
from helpers.methods import GENDER, JOINT, NumericModel, Studio, counts, make_task

from evenhand.methods.shared.sequential_test import share_bounds, verdict
from evenhand.methods.weights.mist import Mist
from evenhand.methods.weights.uce import Uce

NURSE, CEO = "a headshot of a person of a nurse", "a headshot of a person of a CEO"


class Coin(Studio):
    """Images whose classes follow ``laws[prompt][number of edits]`` in a fixed, mixed order."""

    def __init__(self, laws):
        super().__init__(script={})
        self.laws, self.states, self.rng = laws, [], np.random.default_rng(3)

    def sample(self, prompts, seeds, *, intervention=None, negative_prompt=""):
        digest = intervention.digest()
        if digest not in self.states:
            self.states.append(digest)
        edits = self.states.index(digest)
        self.calls.append({"prompts": list(prompts), "seeds": list(seeds), "edits": edits})
        laws = [self.laws[prompt] for prompt in prompts]
        classes = np.array([self.rng.choice(len(law[0]), p=law[min(edits, len(law) - 1)]) for law in laws])
        return np.broadcast_to(classes.astype(np.uint8)[:, None, None, None], (len(classes), 2, 2, 3)).copy()


def fit(laws, *, concepts=("nurse",), cells=GENDER, model=None, **parameters):
    studio = Coin(laws)
    settings = {"stopping": "sequential", "tolerance": 0.1, "images": 2000, "rounds": 6} | parameters
    return Mist(**settings).fit(make_task(studio, concepts=concepts, cells=cells, model=model)), studio


def test_an_unbalanced_source_is_edited_after_few_images_and_a_balanced_one_is_measured_until_proven():
    intervention, studio = fit({NURSE: [(0.95, 0.05), (0.5, 0.5)]})
    (row,) = intervention.record["sources"]
    assert row["converged"]
    assert row["edits"] == 1
    few, many = row["images"]
    assert few <= 24 < 100 < many < 2000
    # it stopped in the batch that allowed the verdict
    assert len(studio.calls) == (few + many) / 8
    share = np.array(row["ratios"][1])
    low, high = share_bounds(share * many, 0.05)
    assert (low >= 0.4).all() and (high <= 0.6).all()
    assert verdict(share * many, np.array([0.5, 0.5]), tolerance=0.1, significance_level=0.05) == "balanced"


def test_a_lucky_sample_does_not_count_as_converged():
    # 24 images of a balanced model: the released rule converges, the bounds do not
    studio = Studio({NURSE: [counts(12, 12)]})
    lucky = Mist(images=24, tolerance=0.1).fit(make_task(studio)).record["sources"][0]
    assert lucky["converged"] and lucky["images"] == [24]
    studio = Studio({NURSE: [counts(4, 4)]})
    model = NumericModel()
    parameters = {"stopping": "sequential", "tolerance": 0.1, "images": 24, "rounds": 2}
    intervention = Mist(**parameters).fit(make_task(studio, model=model))
    (row,) = intervention.record["sources"]
    assert not row["converged"]
    # nothing to edit: the second round adds to the counts with the same projections
    assert row["images"] == [24, 48]
    assert row["edits"] == 0
    assert all((weight == model.weights[name]).all() for name, weight in intervention.weights.items())


def test_an_undecided_source_far_from_its_target_is_edited_after_its_last_image():
    intervention, _ = fit({NURSE: [(0.68, 0.32)]}, images=16, rounds=2, tolerance=0.02)
    (row,) = intervention.record["sources"]
    assert row["edits"] == 2
    # the counts restart after an edit
    assert row["images"] == [16, 16]


def test_a_source_with_a_verdict_gets_no_more_images_in_its_round():
    laws = {NURSE: [(0.98, 0.02)], CEO: [(0.5, 0.5)]}
    intervention, studio = fit(laws, concepts=("nurse", "CEO"), rounds=1)
    nurse, ceo = intervention.record["sources"]
    assert nurse["images"][0] < ceo["images"][0]
    assert [NURSE in call["prompts"] for call in studio.calls[:2]] == [True, True]
    assert {*studio.calls[-1]["prompts"]} == {CEO}
    assert sum(NURSE in call["prompts"] for call in studio.calls) == nurse["images"][0] / 8
    for call in studio.calls:
        shared = [call["seeds"][i : i + 8] for i in range(0, len(call["seeds"]), 8)]
        assert all(seeds == shared[0] for seeds in shared)


def test_batches_stop_exactly_at_the_largest_number_of_images():
    _, studio = fit({NURSE: [(0.5, 0.5)]}, images=20, rounds=1, batch=8)
    assert [len(call["prompts"]) for call in studio.calls] == [8, 8, 4]


def test_each_joint_cell_has_a_band_around_its_own_target():
    target = (0.4, 0.3, 0.2, 0.1)
    studio = Coin({NURSE: [target]})
    method = Mist(stopping="sequential", tolerance=0.15, images=4000, rounds=1)
    (row,) = method.fit(make_task(studio, cells=JOINT, target=target)).record["sources"]
    assert row["converged"]
    assert row["edits"] == 0


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_uce_uses_the_same_sequential_rule(version):
    studio = Coin({"nurse": [(0.95, 0.05), (0.5, 0.5)]})
    method = Uce(version=version, templates=("{concept}",), stopping="sequential", tolerance=0.1, images=2000)
    (row,) = method.fit(make_task(studio)).record["sources"]
    assert row["converged"]
    assert row["images"][0] <= 24 < row["images"][1]


def test_the_sequential_fit_is_repeatable_and_its_record_is_json():
    first, _ = fit({NURSE: [(0.9, 0.1), (0.55, 0.45)]})
    second, _ = fit({NURSE: [(0.9, 0.1), (0.55, 0.45)]})
    assert first.digest() == second.digest()
    assert json.loads(json.dumps(first.record)) == first.record == second.record
