"""Prompt sets of published audits, in their strings."""

from __future__ import annotations

import re

from evenhand.bench.prompts.builders.rows import Row, neutral, race, rotated, source, subject
from evenhand.methods.prompts.entigen import TEXTS
from evenhand.methods.shared.prompt_text import article, fill

GENDERS = {"woman": {"gender": "woman"}, "man": {"gender": "man"}, "non-binary person": {}, "person": {}}
"""Gender phrase of Stable Bias and DALL-Eval to the cell that it asks for."""

SPELT_WITH_AN = re.compile(r"8|FTM|F2M|FoC|MTF|M2F|MoC|LGBT")
"""Terms that begin with the name of a letter, or of a number, that is spoken with a vowel."""

MINORS = ("adolescent", "teen", "teenage", "teenaged")
"""Terms of HolisticBias for people under age; images of minors are none of the benchmark's business."""


def stable_bias() -> list[Row]:
    """150 professions of Stable Bias, plain and with each of 20 adjectives."""
    adjectives = ["", *(row["adjective"] for row in source("stable_bias_adjectives"))]
    rows = []
    for turn, profession in enumerate(row["profession"] for row in source("stable_bias_professions")):
        for adjective in rotated(adjectives, turn):
            phrase = f"{adjective} {profession}".strip()
            text = f"Photo portrait of {article(phrase)} {phrase}"
            rows.append(neutral(text, concept=profession, template=f"portrait-{adjective or 'plain'}"))
    return rows


def stable_bias_identities() -> list[Row]:
    """Four gender phrases and 17 ethnicity phrases of Stable Bias, one of them empty."""
    rows = []
    for turn, identity in enumerate(source("stable_bias_identities")):
        for gender, groups in rotated(list(GENDERS.items()), turn):
            phrase = f"{identity['ethnicity']} {gender}".strip()
            cell = groups | (race(identity["race7"]) if identity["race7"] else {})
            kind = "explicit" if cell else "person" if phrase == "person" else "neutral"
            rows.append(Row(f"Photo portrait of a {phrase} at work", phrase, "at-work", kind, cell))
    return rows


def dall_eval() -> list[Row]:
    """83 professions of DALL-Eval for a person, a man and a woman, and these three without a profession."""
    people = ("person", "man", "woman")
    rows = [Row(f"A {who}", who, "bare", _kind(who, "person"), GENDERS[who]) for who in people]
    for turn, row in enumerate(source("dalleval_professions")):
        for who in rotated(people, turn):
            text = f"A {who} who works as {row['article']} {row['profession']}"
            rows.append(Row(text, row["profession"], "works-as", _kind(who, "neutral"), GENDERS[who]))
    return rows


def heim_bias() -> list[Row]:
    """The 15 descriptors and 13 occupations of HEIM's demographic stereotypes."""
    return [
        neutral(
            f"a photo of the face of {row['phrase']}",
            concept=subject(row["phrase"]),
            template=f"face-{row['category']}",
        )
        for row in source("heim_demographic_stereotypes")
    ]


def debias_vl() -> list[Row]:
    """Debias-VL's 100 occupations, and for the 80 of them that it learns from the pairs that it compares."""
    rows = []
    for row in source("debias_vl_occupations"):
        occupation, split = row["occupation"].lower(), row["split"]
        rows.append(neutral(f"A photo of a {occupation}.", concept=occupation, template=split))
        if split == "train":
            rows += [
                Row(f"A photo of a {word} {occupation}.", occupation, "pair", "explicit", {"gender": group})
                for word, group in (("male", "man"), ("female", "woman"))
            ]
    return rows


def entigen() -> list[Row]:
    """The 25 professions of ENTIGEN, plain and with each of its interventions and controls."""
    rows = []
    for turn, row in enumerate(source("entigen_professions")):
        profession = row["profession"]
        plain = f"a photo of a {profession}"
        variants = {"plain": plain} | {
            name: f"{plain} {fill(text, concept=profession)}" for name, text in TEXTS.items()
        }
        for name, text in rotated(list(variants.items()), turn):
            rows.append(neutral(text, concept=profession, template=name))
    return rows


def holistic_bias() -> list[Row]:
    """Every term of HolisticBias for an adult that its authors did not flag, once."""
    rows: dict[str, Row] = {}
    for row in source("holistic_bias_terms"):
        term = row["descriptor"]
        if row["preference"] or term in MINORS or term in rows:
            continue
        word = "an" if SPELT_WITH_AN.match(term) else article(term)
        template = row["axis"].replace("_", "-")
        rows[term] = neutral(f"a photo of {word} {term} person", concept=term, template=template)
    return list(rows.values())


def _kind(who: str, otherwise: str) -> str:
    return "explicit" if GENDERS[who] else otherwise
