"""BibTeX of a run: Evenhand, the suite, and the papers of its methods."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

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
    """The paper of a method; of one that is not in ``papers.toml``, the reader completes the authors."""
    known = _papers().get(paper)
    fields = {"author": f"{{{latex(known.author)}}}"} if known else {}
    fields["title"] = f"{{{{{latex(known.title)}}}}}" if known else f"{{{latex(title)}}}"
    if known:
        fields["year"] = f"{{{known.year}}}"
    found = ARXIV.search(paper)
    if found:
        fields |= {"eprint": f"{{{found[1]}}}", "archivePrefix": "{arXiv}"}
    if not known:
        fields["note"] = f"{{{latex(paper)}. Complete the authors and the title from there.}}"
    elif not found:
        fields["url"] = f"{{{paper}}}"
    return _entry("misc", slug(name), fields)


@dataclass(frozen=True)
class _Known:
    """A paper of ``data/papers.toml``."""

    author: str
    title: str
    year: int


@cache
def _papers() -> dict[str, _Known]:
    """Address of a paper to what a citation needs."""
    text = files("evenhand.reports").joinpath("data", "papers.toml").read_text("utf-8")
    return {address: _Known(**paper) for address, paper in tomllib.loads(text).items()}


def _entry(kind: str, key: str, fields: dict[str, str]) -> str:
    body = ",\n".join(f"  {name} = {value}" for name, value in fields.items())
    return f"@{kind}{{{key},\n{body}\n}}\n"
