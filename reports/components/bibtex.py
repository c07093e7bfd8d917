"""BibTeX of a run: Evenhand, the suite, and the papers of its methods."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evenhand.bench.results.result import Result
from evenhand.bench.results.text import slug
from evenhand.reports.components.exports import latex

ARXIV = re.compile(r"arxiv\.org/abs/(\d{4}\.\d{4,5})")


def bibtex(results: Sequence[Result]) -> str:
    """One entry for Evenhand, one for the suite or audit, and one for each method with a paper."""
    spec, version = results[0].spec, results[0].environment.evenhand
    kind = "Audit" if spec.external else "Suite"
    suite = {
        "author": "{The Evenhand developers}",
        "title": f"{{{kind} {latex(spec.suite)}, version {latex(spec.suite_version)}}}",
        "note": f"{{SHA-256 {spec.suite_digest}}}",
    }
    evenhand = {
        "author": "{The Evenhand developers}",
        "title": "{Evenhand: fairness audits and benchmarks of text-to-image models}",
        "version": f"{{{latex(version)}}}",
    }
    entries = [
        _entry("software", "evenhand", evenhand),
        _entry("misc", f"evenhand-{slug(spec.suite)}", suite),
    ]
    methods = {result.spec.method.name: result.spec.method for result in results if not spec.external}
    papers = {name: card for name, card in methods.items() if card.paper}
    return "\n".join([*entries, *(_paper(name, card.title, card.paper) for name, card in papers.items())])


def _paper(name: str, title: str, paper: str) -> str:
    """The paper of a method; its authors are left to the reader, because a card does not have them."""
    fields = {"title": f"{{{latex(title)}}}"}
    found = ARXIV.search(paper)
    if found:
        fields |= {"eprint": f"{{{found[1]}}}", "archivePrefix": "{arXiv}"}
    fields["note"] = f"{{{latex(paper)}. Complete the authors and the title from there.}}"
    return _entry("misc", slug(name), fields)


def _entry(kind: str, key: str, fields: dict[str, str]) -> str:
    body = ",\n".join(f"  {name} = {value}" for name, value in fields.items())
    return f"@{kind}{{{key},\n{body}\n}}\n"
