"""The judges of the mini suites, as the registry's entry points make them.

``clip-s``, ``vit`` and ``tone-ita`` are the panel: three families that err differently. ``clip-xs`` is the
weaker twin of ``clip-s`` that methods steer by. ``clip-weak`` is bad on purpose: studies show with it what a
bad judge does, and it belongs in no panel. ``CARD.md`` says how they were trained and measured.
"""

from __future__ import annotations

from functools import cache

from evenhand.bench.mini import ROOT
from evenhand.bench.mini.law import TAXONOMIES, TONE_GROUPS
from evenhand.metrics.judges.clip_scorer import ClipScorer
from evenhand.metrics.judges.image_classification import Classifier, ImageClassificationJudge
from evenhand.metrics.judges.open_clip import OpenClipJudge
from evenhand.metrics.judges.tone import ToneItaJudge

LICENCE = "Apache-2.0"
ORIGIN = "trained for Evenhand on renders of the mini world; art from Noto, Twemoji and Fluent emoji"

WORDS = {
    "gender": {"woman": ("a woman",), "man": ("a man",)},
    "tone": {
        "light": ("a light-skinned person",),
        "medium": ("a medium-skinned person",),
        "dark": ("a dark-skinned person",),
    },
    "age": {"adult": ("a young person",), "older": ("an elderly person",)},
}
"""The words of the captions that the CLIP judges were trained on: other words are unknown to them."""

TEMPLATES = (
    "a photo of {}",
    "{}",
    "a portrait of {}",
    "a picture of {}",
    "an image of {}",
    "a photo of the face of {}",
)

SKIN_BOXES = ((13 / 64, 34 / 64, 25 / 64, 41 / 64), (24 / 64, 21 / 64, 33 / 64, 30 / 64))
"""Cheek and brow: the two places that are skin on all 60 heads and that no occupation's prop covers."""

TONE_SPREAD = 1.5
"""Largest standard deviation of the angle within one style and tone of the labelled renders, in degrees."""

SMALLEST_SKIN_SHARE = 0.5
"""On labelled renders at least 0.7 of the boxes is skin-coloured."""


def _clip(name: str, title: str) -> OpenClipJudge:
    return OpenClipJudge(
        name=name,
        folder=ROOT / "weights" / name,
        title=title,
        words=WORDS,
        templates=TEMPLATES,
        licence=LICENCE,
        origin=ORIGIN,
    )


@cache
def clip_xs() -> OpenClipJudge:
    """The steering judge: a two-layer CLIP, a non-voting judge outside the panel."""
    return _clip("clip-xs", "CLIP XS (open_clip, zero-shot)")


@cache
def clip_weak() -> OpenClipJudge:
    """A judge that is bad on purpose: ``clip-xs`` stopped far too early, so that it sees the occupation."""
    return _clip("clip-weak", "CLIP weak (open_clip, zero-shot, bad on purpose)")


@cache
def clip_s() -> OpenClipJudge:
    """The panel's CLIP: three layers, patches of eight pixels."""
    return _clip("clip-s", "CLIP S (open_clip, zero-shot)")


@cache
def vit() -> ImageClassificationJudge:
    """The panel's supervised judge: one small vision transformer per attribute, on balanced labels."""
    return ImageClassificationJudge(
        name="vit",
        classifiers={
            attribute: Classifier(
                folder=ROOT / "weights" / f"vit-{attribute}",
                groups=groups,
                merge=TONE_GROUPS if attribute == "tone" else {},
            )
            for attribute, groups in TAXONOMIES.items()
        },
        title="ViT (supervised)",
        licence=LICENCE,
        origin=ORIGIN,
    )


@cache
def tone_ita() -> ToneItaJudge:
    """The panel's colorimeter of skin tone."""
    return ToneItaJudge(
        name="tone-ita",
        boxes=SKIN_BOXES,
        spread=TONE_SPREAD,
        smallest_share=SMALLEST_SKIN_SHARE,
        title="Skin colorimetry (ITA)",
        licence=LICENCE,
        origin="written for Evenhand from published formulas; boxes and skin window set on labelled renders",
    )


@cache
def scorer() -> ClipScorer:
    """The bundled CLIP for text-image alignment; it is never a judge."""
    return ClipScorer(folder=ROOT / "clip")
