"""The map of clauses: complete, and never more than the report contributes."""

from itertools import groupby

from evenhand.reports.sign_off.clauses import CLAUSES, clauses_table


def test_every_clause_says_what_is_covered_and_what_is_not():
    for clause in CLAUSES:
        assert all(clause), clause.place
        assert clause.covered.endswith(".") and clause.missing.endswith("."), clause.place


def test_every_clause_is_listed_once_and_each_framework_is_one_group():
    places = [(clause.framework, clause.place) for clause in CLAUSES]
    assert len(set(places)) == len(places)
    frameworks = [name for name, _ in groupby(clause.framework for clause in CLAUSES)]
    assert [name for name, _, _ in clauses_table().groups] == frameworks
    assert len(frameworks) == len(set(frameworks))


def test_table_has_the_texts_of_the_clauses_and_claims_no_conformity():
    table = clauses_table()
    assert table.columns == ["Clause", "Covered", "Not covered"]
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        [clause.place, clause.covered, clause.missing] for clause in CLAUSES
    ]
    assert "No clause is fulfilled by this report alone" in table.about


def test_what_was_not_tested_is_covered_by_nothing():
    nothing = [clause.place for clause in CLAUSES if clause.covered.startswith("Nothing")]
    assert nothing == ["Article 50(2) and (4)", "MS-2.11-003"]
