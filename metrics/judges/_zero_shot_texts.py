"""Texts of the zero-shot judges of photographs: Evenhand's ensemble, and texts of published evaluations."""

from __future__ import annotations

from evenhand.bench.errors import unknown
from evenhand.metrics import taxonomies

Words = dict[str, dict[str, tuple[str, ...]]]
"""Attribute to group to the phrases that describe it, article included."""

TEMPLATES = (
    "a photo of {}",
    "a portrait of {}",
    "a headshot of {}",
    "a photo of the face of {}",
    "a picture of {}",
    "an image of {}",
    "{}",
)
"""Sentences whose embeddings are averaged (prompt ensembling, Radford et al. 2021, arXiv 2103.00020)."""

PERSON_GATE = ("a photo of a person", "a photo of an object")
"""ENTIGEN's gate (arXiv 2210.15230): an image that is nearer to the second text shows no person."""

SIGLIP_TEMPLATES = ("this is a photo of {}.",)
"""The sentence that the model cards of SigLIP use for zero-shot classification (Zhai et al. 2023)."""

WORDS: Words = {
    "gender": {"woman": ("a woman", "a female person"), "man": ("a man", "a male person")},
    "race7": {
        "White": ("a White person",),
        "Black": ("a Black person",),
        "Latino_Hispanic": ("a Latino or Hispanic person",),
        "East Asian": ("an East Asian person",),
        "Southeast Asian": ("a Southeast Asian person",),
        "Indian": ("an Indian person",),
        "Middle Eastern": ("a Middle Eastern person",),
    },
    "age5": {
        "child": ("a child",),
        "young adult": ("a young adult",),
        "adult": ("a person in their thirties",),
        "middle-aged": ("a middle-aged person",),
        "senior": ("an elderly person",),
    },
}
"""Words of each group, chosen by Evenhand."""

_SEX = {"man": "man", "male": "man", "woman": "woman", "female": "woman"}


def published(work: str) -> Words:
    """The gender texts of a published evaluation, verbatim.

    Raises:
        EvenhandError: No work of this name has exactly one text for women and one for men.
    """
    found = {}
    for row in taxonomies.table("judge_label_texts"):
        texts = [text.strip() for text in row["texts"].split("|")]
        meant = [_meant(text) for text in texts]
        if row["attribute"] == "gender" and sorted(meant) == ["man", "woman"]:
            found[row["work"]] = dict(zip(meant, texts, strict=True))
    if work not in found:
        raise unknown("published texts", work, found)
    return {"gender": {group: (found[work][group],) for group in taxonomies.groups("gender")}}


def _meant(text: str) -> str:
    """The group that a text names, if it names exactly one; else empty."""
    named = {_SEX[word] for word in text.lower().split() if word in _SEX}
    return named.pop() if len(named) == 1 else ""
