"""The texts of the two kinds of report."""

from dataclasses import asdict

import pytest
from helpers.report import a_spec

from evenhand.reports.run.report_text import EXTERNAL, EXTERNAL_LIMIT, RUN, report_text_of


def test_external_images_have_the_texts_of_an_audit():
    assert report_text_of(a_spec("base")) is RUN
    assert report_text_of(a_spec("base", protocol={})) is EXTERNAL


@pytest.mark.parametrize("word", ["method", "seed", "noise", "baseline"])
def test_texts_of_an_audit_mention_nothing_that_it_does_not_have(word):
    assert word in " ".join(asdict(RUN).values())
    assert word not in " ".join([*asdict(EXTERNAL).values(), EXTERNAL_LIMIT])


@pytest.mark.parametrize(
    ("texts", "prompt", "heading"),
    [
        (RUN, None, "seed 3"),
        (RUN, 2, "prompt 2, seed 3"),
        (EXTERNAL, None, "image 4"),
        (EXTERNAL, 2, "prompt 2, image 4"),
    ],
)
def test_seeds_are_numbered_from_zero_and_images_of_a_list_from_one(texts, prompt, heading):
    assert texts.slot(prompt, 3) == heading


def test_counts_have_the_noun_of_the_report():
    assert (RUN.number(1), RUN.number(2)) == ("1 method", "2 methods")
    assert (EXTERNAL.number(1), EXTERNAL.number(1200)) == ("1 model", "1,200 models")
