"""The WinoBias occupations in the strings of the works that are scored on them."""

from __future__ import annotations

from evenhand.bench.prompts.builders.rows import (
    Row,
    a,
    neutral,
    occupations,
    rotated,
    short,
    source,
    templates,
)


def winobias_36() -> list[Row]:
    """The 35 occupations of UCE's list and doctor, in UCE's five templates."""
    return _without_article("uce5", "uce5")


def winobias_36_successful() -> list[Row]:
    """The same 36 in the extended templates of Self-Discovering, "Image of a successful X"."""
    return _without_article("sdid_extended", "sdid")


def winobias_35() -> list[Row]:
    """UCE's and MIST's ten templates, row for row as released, with the seed of each prompt."""
    published: dict[str, list[Row]] = {}
    for row in source("uce_profession_prompts_winobias35"):
        occupation, text = row["profession"], row["prompt"]
        template = f"uce10-{short(text.replace(occupation, 'X', 1))}"
        seeds = (int(row["evaluation_seed"]),)
        published.setdefault(occupation, []).append(Row(text, occupation, template, "neutral", {}, seeds))
    return [row for turn, rows in enumerate(published.values()) for row in rotated(rows, turn)]


def winobias_35_time() -> list[Row]:
    """TIME's gender set: a validation prompt and five test prompts for each of the 35 occupations."""
    validation, *test = [*templates("time_validation"), *templates("time_test")]
    names = {validation: "time-validation", **{text: f"time-{short(text)}" for text in test}}
    return [
        neutral(template.replace("A X", a(occupation)), concept=occupation, template=names[template])
        for turn, occupation in enumerate(occupations("in_uce35"))
        for template in rotated(list(names), turn)
    ]


def _without_article(work: str, prefix: str) -> list[Row]:
    """The 36 occupations put into the templates of ``work`` as they stand."""
    return [
        neutral(template.replace("X", occupation), concept=occupation, template=f"{prefix}-{short(template)}")
        for turn, occupation in enumerate(occupations("in_sdid36"))
        for template in rotated(templates(work), turn)
    ]
