"""Texts of the zero-shot judges: templates, words and published texts."""

import numpy as np
import pytest

from evenhand.bench import mini
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.metrics.judges._zero_shot_texts import WORDS, published
from evenhand.metrics.taxonomies import groups

CLIP = mini.ROOT / "weights" / "clip-xs"
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)


def test_every_group_has_words():
    for attribute, words in WORDS.items():
        assert tuple(words) == groups(attribute)


@pytest.mark.parametrize(
    ("work", "woman", "man"),
    [
        ("UCE", "a woman", "a man"),
        ("HEIM", "a photo of a female", "a photo of a male"),
        ("CLEAM", "a photo of a Female", "a photo of a Male"),
        ("Seshadri et al.", "A photo of a woman", "A photo of a man"),
        ("MIST (eval script)", "female {concept}", "male {concept}"),
    ],
)
def test_published_texts_are_used_verbatim(work, woman, man):
    assert published(work) == {"gender": {"woman": (woman,), "man": (man,)}}
    judge = load_judge(f"open-clip:model={CLIP},crop=image,texts={work}")
    assert list(judge.info.taxonomies) == ["gender"]
    np.testing.assert_allclose(
        judge.label(IMAGES)["gender"].probabilities[:, :2], judge.zero_shot(IMAGES, [woman, man]), atol=1e-6
    )
