"""The judges of the mini suites, as created by the entry points.

``clip-s``, ``vit`` and ``tone-ita`` are the panel: three families of judges with different errors.
``clip-xs`` is a weaker version of ``clip-s`` and the steering judge of methods. ``clip-weak`` is deliberately
inaccurate, for studies of the effect of such a judge; do not use it in a panel. ``CARD.md`` says how the
judges were trained and measured.
"""

from __future__ import annotations

from functools import cache
from typing import TypeVar

from evenhand.bench.mini import ROOT
from evenhand.bench.mini.autoencoder import SIDE, autoencoder_version, reconstruction_error
from evenhand.bench.mini.law import TAXONOMIES, TONE_GROUPS
from evenhand.metrics.judges.base import Domain, Judge, Reference
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
"""The words of the training captions of the CLIP judges; they do not know other words."""

TEMPLATES = (
    "a photo of {}",
    "{}",
    "a portrait of {}",
    "a picture of {}",
    "an image of {}",
    "a photo of the face of {}",
)

RENDERS = Domain(
    f"images of the bundled model, {SIDE} x {SIDE} pixels",
    largest_side=SIDE,
    reference=Reference(
        version=f"autoencoder-{autoencoder_version()}", distance=reconstruction_error, limit=12
    ),
)
"""These judges know emoji-like heads only, and would label a photograph. The distance is at most 9.3 for 200
renders, and at most 7.1 for 99 in 100 images of edited models. It is at least 15 for 169 photographs."""

SKIN_BOXES = ((13 / 64, 34 / 64, 25 / 64, 41 / 64), (24 / 64, 21 / 64, 33 / 64, 30 / 64))
"""Cheek and brow: the two regions that are skin on all 60 heads and never covered by a prop."""

TONE_SPREAD = 1.5
"""Largest standard deviation of the angle within one style and tone of the labelled renders, in degrees."""

SMALLEST_SKIN_SHARE = 0.5
"""Minimum share of skin-coloured pixels; at least 0.7 of the boxes on labelled renders."""


J = TypeVar("J", bound=Judge)


def _of_renders(judge: J) -> J:
    """The judge, which refuses images that are not of the bundled model."""
    judge.domain = RENDERS
    return judge


def _clip(name: str, title: str) -> OpenClipJudge:
    judge = OpenClipJudge(
        name=name,
        folder=ROOT / "weights" / name,
        title=title,
        words=WORDS,
        templates=TEMPLATES,
        licence=LICENCE,
        origin=ORIGIN,
    )
    return _of_renders(judge)


@cache
def clip_xs() -> OpenClipJudge:
    """The steering judge: a two-layer CLIP, a non-voting judge outside the panel."""
    return _clip("clip-xs", "CLIP XS (open_clip, zero-shot)")


@cache
def clip_weak() -> OpenClipJudge:
    """A deliberately inaccurate judge: ``clip-xs``, stopped so early that it mainly sees the occupation."""
    return _clip("clip-weak", "CLIP weak (open_clip, zero-shot, deliberately inaccurate)")


@cache
def clip_s() -> OpenClipJudge:
    """The CLIP of the panel: three layers, patches of eight pixels."""
    return _clip("clip-s", "CLIP S (open_clip, zero-shot)")


@cache
def vit() -> ImageClassificationJudge:
    """The supervised judge of the panel: a small vision transformer per attribute."""
    judge = ImageClassificationJudge(
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
    return _of_renders(judge)


@cache
def tone_ita() -> ToneItaJudge:
    """The skin tone colorimeter of the panel."""
    judge = ToneItaJudge(
        name="tone-ita",
        boxes=SKIN_BOXES,
        spread=TONE_SPREAD,
        smallest_share=SMALLEST_SKIN_SHARE,
        title="Skin colorimetry (ITA)",
        licence=LICENCE,
        origin="written for Evenhand from published formulas; boxes and skin window set on labelled renders",
    )
    return _of_renders(judge)


@cache
def scorer() -> ClipScorer:
    """The bundled CLIP for text-image alignment; never used as a judge."""
    return ClipScorer(folder=ROOT / "clip")
