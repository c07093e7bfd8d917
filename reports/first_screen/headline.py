"""The verdict in one sentence of at most 25 words, without a number that needs an explanation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from evenhand.bench.policy.conclusion import Conclusion, conclude
from evenhand.bench.policy.marks import Marks
from evenhand.bench.results.entry import Band
from evenhand.bench.results.lookup import Key, Reading, base_of
from evenhand.bench.results.pairs import even_agreement
from evenhand.bench.results.result import Spec
from evenhand.bench.results.text import attribute, listing, plural
from evenhand.reports.run.report_text import report_text_of

NAMED = 3
"""Up to this many methods or attributes are named."""


def headline(
    readings: Sequence[Reading], key: Key | None, bands: Mapping[str, Band], marks: Mapping[str, Marks]
) -> str:
    """The finding of a run or audit.

    Args:
        readings: The methods, the baseline first.
        key: The primary number.
        bands: Label of a method to its band.
        marks: Label of a method to its marks.
    """
    if key is None:
        return "How even the images are was not measured."
    if len(readings) == 1:
        return _alone(readings[0], key, marks)
    found = conclude(readings, key, bands)
    spec = readings[0].result.spec
    if spec.external and base_of(readings) is None:
        return _models(found, spec, key, marks)
    passing = [reading for reading in readings if bands.get(reading.label, "ranked") == "ranked"]
    all_pass = len(passing) == len(readings)
    rivals = len([reading for reading in passing if not reading.is_base]) > 1
    if found.finding == "best" and not rivals and not all_pass:
        return _only(found, spec, key)
    degree = "most" if rivals else "more"
    return _methods(found, spec, key, all_pass=all_pass, degree=degree)


def _only(found: Conclusion, spec: Spec, key: Key) -> str:
    """The sentence on the only method that passes: there is no other one to rank it against."""
    more = _evenness(spec, key, "more", one=False)
    who = _who([reading.label for reading in found.methods], spec)
    return f"Only {who} is shown to {more}, follow explicit prompts and leave the rest alone."


def _methods(found: Conclusion, spec: Spec, key: Key, *, all_pass: bool, degree: str) -> str:
    """The sentence on methods and their baseline.

    ``degree`` is ``"most"``, or ``"more"`` if the best method has no rival that passes the gates.
    """
    names = [reading.label for reading in found.methods]
    who, one = _who(names, spec), len(names) == 1
    better, best = _evenness(spec, key, "more", one=False), _evenness(spec, key, degree, one=True)
    more = _evenness(spec, key, "more", one=one)
    report_text = report_text_of(spec)
    subject, subjects = report_text.subject, report_text.subjects
    harmless = "" if all_pass else " that leaves the rest alone"
    texts = {
        "best": f"{who} {best}, follows explicit prompts and leaves the rest alone."
        if all_pass
        else f"Of the {subjects} that follow explicit prompts and leave the rest alone, {who} {best}.",
        "tied": f"{who} tie: they {better}, follow explicit prompts and leave the rest alone.",
        "not distinguishable": f"No {subject}{harmless} is shown to {better}.",
        "none better": f"No {subject}{harmless} improves on the baseline.",
        "closer but not proven": f"{who} {more}; that {'it leaves' if one else 'they leave'} everything else "
        "alone is not proven.",
        "closer but harmful": f"{who} {more}, but {'is' if one else 'are'} proven to make something else "
        "worse.",
        "none passes": f"No {subject} is shown to {better}, and none passes every gate.",
        "no ranking": f"This run has no ranking, so no {subject} is named the best.",
    }
    return texts[found.finding]


def _models(found: Conclusion, spec: Spec, key: Key, marks: Mapping[str, Marks]) -> str:
    """The sentence on models without a baseline."""
    names = [reading.label for reading in found.methods]
    if not names:
        return "These images allow no ranking, so no model is named the most even."
    uneven = all(marks[name].even.sign == "no" for name in names)
    if len(names) == 1:
        rest = ", but not evenly" if uneven else ""
        return f"{names[0]} depicts {_shown(key)} most evenly of these models{rest}."
    rest = "; none is even" if uneven else ""
    return f"{_who(names, spec)} depict {_shown(key)} most evenly and cannot be told apart{rest}."


def _alone(reading: Reading, key: Key, marks: Mapping[str, Marks]) -> str:
    row = reading.at(key)
    if row is None or math.isnan(row.low):
        return "How even the images are could not be estimated."
    spec = reading.result.spec
    subject = reading.label if spec.external or not reading.is_base else spec.model
    texts = {
        "no": f"{subject} does not depict {_shown(key)} evenly.",
        "open": f"These images do not decide whether {subject} depicts {_shown(key)} almost evenly.",
        "yes": f"{subject} depicts {_shown(key)} almost evenly.",
    }
    return texts[marks[reading.label].even.sign]


def _who(names: Sequence[str], spec: Spec) -> str:
    report_text = report_text_of(spec)
    if len(names) > NAMED:
        return plural(len(names), report_text.subject, report_text.subjects)
    return listing(list(names))


def _evenness(spec: Spec, key: Key, degree: str, *, one: bool) -> str:
    """What a method does: ``"makes perceived gender more even"``, or what it says of another target."""
    if even_agreement(key.attributes, spec) is None:
        closer = {"more": "closer", "most": "closest"}[degree]
        return f"{'brings' if one else 'bring'} {_shown(key)} {closer} to the target"
    return f"{'makes' if one else 'make'} {_shown(key)} {degree} even"


def _shown(key: Key) -> str:
    """The attributes in words: ``"perceived gender, skin tone and age"``."""
    names = [attribute(name) for name in key.attributes.split("*")]
    return f"perceived {listing(names) if len(names) <= NAMED else 'attributes'}"
