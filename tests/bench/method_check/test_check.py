"""A method is checked clause by clause, and its cost is compared with its budget."""

import pytest
from helpers.local_methods import polite

from evenhand.bench.method_check.check import check, clauses, costs, verdict
from evenhand.bench.method_check.subject import subject_at


@pytest.mark.slow
def test_a_method_that_keeps_the_contract_passes_or_skips_every_clause(tmp_path):
    subject = subject_at(str(polite(tmp_path)))
    found = {one.name: one.status for one in check(subject)}
    assert list(found) == list(clauses())
    skipped = {name for name, status in found.items() if status == "skipped"}
    assert skipped == {"space_holds_released_values", "does_nothing_at_zero_strength"}
    assert set(found.values()) == {"passed", "skipped"}
    assert costs(subject) == [("images", 0, 0), ("judgements", 0, 0), ("evaluations", 0, 0)]


def test_clauses_about_a_fit_are_left_out_where_it_fails(tmp_path):
    path = polite(
        tmp_path, ("    def fit(self, task):\n", "    def fit(self, task):\n        raise KeyError('x')\n")
    )
    found = list(check(subject_at(str(path))))
    assert [one.name for one in found] == ["documented", "space_holds_released_values", "fits"]
    assert (found[-1].status, found[-1].detail) == ("failed", "KeyError: 'x'")


def test_a_verdict_has_the_sentence_of_its_clause(tmp_path):
    found = verdict(subject_at(str(polite(tmp_path))), clauses()["documented"])
    assert found.sentence == "The card is complete and every parameter has a meaning"
    assert (found.status, found.detail) == ("passed", "1 parameters")


@pytest.mark.slow
def test_the_command_prints_verdicts_and_costs_and_fails_with_the_method(evenhand, tmp_path):
    outcome = evenhand("method", "check", "--path", f"{polite(tmp_path)}:Polite")
    assert outcome.code == 0
    assert "passed  The same task gives the same intervention" in outcome.out
    assert "cost of the fit  declared  used" in outcome.out
    line = "    intervention_type: ClassVar[type[Intervention]] = PoliteIntervention\n"
    outcome = evenhand("method", "check", "--path", polite(tmp_path, (line, "")))
    assert outcome.code == 2
    assert "failed" in outcome.out


@pytest.mark.parametrize("given", [(), ("mist", "--path", "x.py")])
def test_the_command_needs_a_name_or_a_path(evenhand, given):
    outcome = evenhand("method", "check", *given)
    assert outcome.code == 2
    assert "give the NAME of an installed method or --path FILE.py:CLASS" in outcome.err
