"""Changes of unrelated images and of unedited occupations."""

import numpy as np
import pytest
from helpers.measurement import judged, plan, rotations
from helpers.metrics import World, pick
from scipy.stats import ttest_1samp

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.estimation.measure import measure
from evenhand.metrics.estimation.preservation import leakage, preserved


def unit(*values):
    return np.array(values, float) / np.linalg.norm(values)


def unrelated(world, method, *, key=None, status="ok"):
    world.draw(method, "unrelated", prompt_id="u", cells=[None, None], key=key, status=status)


def change_of_unrelated(vectors, **statuses):
    world = World()
    for method in ("base", "edited"):
        world.neutral(method, rotations(2), seeds=2)
        unrelated(world, method, status=statuses.get(method, "ok"))
    images, labels = judged(world)
    found = measure(images, labels, plan=plan(base="base"), embeddings=vectors)
    return {
        name: pick(rows, metric="preservation_distance") for name, rows in found.estimates.items()
    }, found.notes


VECTORS = {
    "base/u/0": unit(1, 0),
    "base/u/1": unit(0, 1),
    "edited/u/0": unit(1, 0),
    "edited/u/1": unit(1, 1),
}


def test_preservation_is_relative_to_the_change_between_seeds():
    found, _ = change_of_unrelated(VECTORS)
    aggregate = found["edited"][0]
    assert aggregate.value == pytest.approx((1 - np.sqrt(0.5)) / 2) and aggregate.n == 2
    assert found["base"][0].value == 0


def test_failed_unrelated_images_are_missing_not_zero():
    found, notes = change_of_unrelated(VECTORS, edited="error")
    assert np.isnan(found["edited"][0].value) and found["edited"][0].n == 0
    assert any(note.startswith("edited: preservation_distance on unrelated prompts") for note in notes)


def test_an_image_without_an_embedding_is_an_error():
    with pytest.raises(EvenhandError, match="'edited/u/1' of an unrelated prompt has no embedding"):
        change_of_unrelated({key: vector for key, vector in VECTORS.items() if key != "edited/u/1"})


def rng(seed=0):
    return np.random.default_rng(seed)


def test_preservation_needs_an_upper_bound_below_the_margin():
    draw, seeds = rng(), rng(1).uniform(0.4, 0.6, 99)
    drops, changes = draw.normal(0.05, 1.0, 200), np.full(50, 0.02)
    found = preserved(drops, changes=changes, between_seeds=seeds)
    reference = ttest_1samp(drops, found.most, alternative="less").pvalue
    assert reference == pytest.approx(0.05) and found.preserved and found.change < 0.05
    assert not preserved(drops[:10], changes=changes, between_seeds=seeds).preserved  # too few to know
    assert not preserved(drops + 0.3, changes=changes, between_seeds=seeds).preserved
    assert not preserved(drops, changes=changes * 10, between_seeds=seeds).preserved
    assert preserved(drops + 0.3, changes=changes, between_seeds=seeds, drop_margin=1).preserved
    with pytest.raises(EvenhandError, match=r"at least 2 captions, .* got 1, 50 and 99"):
        preserved(drops[:1], changes=changes, between_seeds=seeds)


def test_leakage_of_an_unchanged_model_is_its_floor():
    draw = rng()
    base, same = (draw.multinomial(60, [0.5, 0.3, 0.2], size=200) for _ in range(2))
    quiet = leakage(base, same, rng=rng())
    assert quiet.shift.mean() == pytest.approx(quiet.floor.mean(), rel=0.1)
    moved = leakage(base, draw.multinomial(60, [0.2, 0.3, 0.5], size=200), rng=rng())
    assert moved.shift.mean() > 2 * moved.floor.mean()
    none = leakage([[0, 0], [5, 5]], [[0, 0], [0, 10]], rng=rng())
    assert np.isnan(none.shift[0]) and np.isnan(none.floor[0]) and none.shift[1] == 0.5
