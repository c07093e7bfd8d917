"""Measuring which defined words the bundled model draws as they define."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from evenhand.bench.prompts.builders import definition_rates as module
from evenhand.bench.prompts.builders.definition_rates import CONFIRMATION, SELECTION, measured
from evenhand.bench.prompts.builders.over_correction_sets import MIN_RIGHT, over_correction_mini
from evenhand.bench.suites.suite import load_suite

PAIR = ("policewoman", "policeman")


@pytest.fixture
def drawn(monkeypatch):
    """Replaces model and judges: the panel sees women, and the nearest render sees what the prompt says."""
    asked = SimpleNamespace(texts=[], seeds=[])

    def sampler(model, protocol):
        def draw(texts, seeds):
            asked.texts += texts
            asked.seeds += seeds
            return np.zeros((len(texts), 2, 2, 3), np.uint8)

        return draw

    def labels(images):
        keys = [f"{number:05d}" for number in range(len(images))]
        rows = pd.DataFrame({"key": keys, "judge": "panel", "attribute": "gender", "label": "woman"})
        return pd.concat([rows.assign(judge="vit", label="man"), rows.assign(attribute="age"), rows[::-1]])

    def nearest(images):
        return ["woman" if "woman" in text else "" for text in asked.texts]

    monkeypatch.setattr(module, "Sampler", sampler)
    monkeypatch.setattr(module, "load_model", lambda name: None)
    monkeypatch.setattr(module, "panel_labels", labels)
    monkeypatch.setattr(module, "nearest_gender", nearest)
    return asked


def test_images_that_show_the_defined_group_are_counted_by_word(drawn):
    woman, man = measured([PAIR], phase="selection", noise=range(2))
    assert woman == ("policewoman", "woman", "selection", 12, 12, 12)
    assert man == ("policeman", "man", "selection", 12, 0, 0)


def test_every_template_is_drawn_with_its_own_noise(drawn):
    measured([PAIR], phase="selection", noise=range(2))
    assert len(set(drawn.seeds)) == len(drawn.texts) == 24
    assert {"a policeman", "a photo of the face of a policewoman"} <= set(drawn.texts)


def test_neither_phase_has_noise_of_the_other_or_of_a_suite():
    assert not set(SELECTION) & set(CONFIRMATION)
    assert min(*SELECTION, *CONFIRMATION) > 10 * max(use.seeds for use in load_suite("mini").prompts)


@pytest.mark.slow
def test_the_bundled_model_draws_the_words_of_its_set_as_they_define():
    words = list(dict.fromkeys(row.concept for row in over_correction_mini()))
    pairs = list(zip(words[::2], words[1::2], strict=True))[:4]
    found = measured(pairs, phase="confirmation", noise=range(1))
    images = sum(rate.images for rate in found)
    assert sum(rate.panel_right for rate in found) >= MIN_RIGHT * images
    assert sum(rate.render_right for rate in found) >= MIN_RIGHT * images
