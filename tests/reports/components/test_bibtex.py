"""BibTeX: one entry for Evenhand, the suite and every paper, with balanced braces."""

import re

from helpers.report import a_result, a_spec

from evenhand.bench.registry.entry_points import METHODS
from evenhand.bench.registry.method_spec import method_class
from evenhand.reports.components.bibtex import bibtex


def results(paper, *labels):
    found = []
    for label in ("base", *labels):
        spec = a_spec(label)
        card = spec.method.model_copy(update={"paper": "" if label == "base" else paper})
        spec = spec.model_copy(update={"method": card})
        found.append(a_result(label).model_copy(update={"spec": spec}))
    return found


def test_every_method_with_a_paper_has_one_entry():
    out = bibtex(results("https://arxiv.org/abs/2308.14761", "uce", "uce:step_size=0.3"))
    assert re.findall(r"@\w+\{([^,]+),", out) == ["evenhand", "evenhand-mini-quick", "uce"]
    assert "eprint = {2308.14761}" in out and "archivePrefix = {arXiv}" in out
    assert f"SHA-256 {'5e' * 32}" in out, "the suite is identified by its digest"


def test_paper_of_a_bundled_method_has_authors_title_and_year():
    out = bibtex(results("https://arxiv.org/abs/2403.19738", "mist"))
    assert "author = {Yesiltepe, Hidir and Akdemir, Kiymet and Yanardag, Pinar}" in out
    assert "title = {{MIST: Mitigating" in out and "year = {2024}" in out and "Complete" not in out


def test_every_paper_of_a_bundled_method_is_known_or_left_to_the_reader_by_name():
    papers = {method_class(name).info.paper for name in METHODS.names()} - {""}
    left = [paper for paper in papers if "Complete the authors" in bibtex(results(paper, "mist"))]
    assert left == ["https://arxiv.org/abs/2502.03826"], "FairT2I: its authors could not be confirmed"


def test_entries_are_closed_and_escaped():
    out = bibtex(results("A & B {100%}", "mist"))
    bare = re.sub(r"\\[{}]", "", out)
    assert bare.count("{") == bare.count("}") and r"A \& B \{100\%\}" in out
    assert "eprint" not in out
