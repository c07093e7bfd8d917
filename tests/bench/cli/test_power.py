"""``evenhand power`` prints the numbers of images that claims need."""

import json

from evenhand.metrics.statistics import sample_size as n


def test_the_command_prints_the_usual_claims(evenhand):
    outcome = evenhand("power")
    assert outcome.code == 0
    rows = [line.split() for line in outcome.out.splitlines()]
    assert ["half", "width", "0.1", "93", "93", "3348"] in rows
    assert ["cell", "0.02", "149", "149", "5364"] in rows


def test_the_command_accounts_for_judge_and_templates(evenhand):
    options = ("--half-width", 0.1, "--sensitivity", 0.9, "--specificity", 0.9, "--correlation", 0.01)
    found = json.loads(evenhand("power", *options, "--concepts", 10, "--json").out)
    (need,) = found["needs"]
    assert need["claim"] == "half width" and need["independent"] == 93
    expected = n.images_of_templates(93 * 1.5625, templates=5, correlation=0.01)
    assert need["images"] == expected > 146 and need["total"] == 10 * expected
    assert found["design"]["sensitivity"] == 0.9


def test_the_command_reports_an_unreachable_size(evenhand):
    outcome = evenhand("power", "--half-width", 0.1, "--correlation", 0.2)
    assert outcome.code == 2 and "use at least 19 templates" in outcome.err and not outcome.out
