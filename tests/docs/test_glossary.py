"""The glossary defines every term once."""

import re

from helpers.paths import ROOT

GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
ROWS = [row for row in re.findall(r"^\| (.+?) \| (.+) \|$", GLOSSARY, re.MULTILINE) if row[0] != "term"]
TERMS = [term for term, _ in ROWS if term != "---"]


def test_no_term_is_defined_twice():
    assert len(TERMS) > 80
    assert sorted({term for term in TERMS if TERMS.count(term) > 1}) == []


def test_the_terms_of_results_and_reports_are_defined():
    used = {
        "baseline",
        "panel",
        "non-voting judge",
        "steering judge",
        "label table",
        "undetermined",
        "estimate",
    }
    used |= {"floor", "gate", "ranked", "not proven", "harm proven", "Pareto front", "dominance", "trade-off"}
    assert used - set(TERMS) == set()
