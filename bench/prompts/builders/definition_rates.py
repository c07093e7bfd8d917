"""Measures which defined words the bundled model draws as they define.

Run ``python -m evenhand.bench.prompts.builders.definition_rates``; it draws and judges about 1,000 images and
writes ``sources/definition_rates.csv``, from which ``over-correction-mini`` is built.

Words are tested in pairs that differ in gender only: a model that draws a man for every word that it does not
know would pass all words for men. A pair is selected on ``SELECTION`` noise and confirmed on other noise, so
that the selection does not inflate the confirmed rates. No suite uses either.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from evenhand.bench.mini.calibrate import panel_labels
from evenhand.bench.mini.nearest_render import nearest_gender
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.prompts.builders.mini_sets import CAPTIONS
from evenhand.bench.prompts.builders.over_correction_sets import PAIRS, Rate, passing, text_of
from evenhand.bench.prompts.builders.rows import SOURCES
from evenhand.bench.prompts.plan import noise_seed
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics.estimation.panel import PANEL

SELECTION, CONFIRMATION = range(1000, 1002), range(2000, 2002)
"""Seed indices per template; suites use indices from 0."""


def measured(pairs: Sequence[tuple[str, str]], *, phase: str, noise: range) -> list[Rate]:
    """The rates of both words of all pairs over all templates; draws the images."""
    words = [item for pair in pairs for item in zip(pair, ("woman", "man"), strict=True)]
    prompts = [text_of(word, template) for word, _ in words for template in CAPTIONS]
    planned = [(text, noise_seed(text, index)) for text in prompts for index in noise]
    texts, seeds = zip(*planned, strict=True)
    images = Sampler(load_model("mini"), load_suite("mini").protocol)(texts, seeds)
    labels = panel_labels(images)
    votes = labels[(labels["judge"] == PANEL) & (labels["attribute"] == "gender")].sort_values("key")
    panel, nearest = list(votes["label"]), nearest_gender(images)
    size = len(CAPTIONS) * len(noise)
    found = []
    for number, (word, group) in enumerate(words):
        part = slice(number * size, (number + 1) * size)
        found.append(Rate(word, group, phase, size, panel[part].count(group), nearest[part].count(group)))
    return found


def main() -> None:
    """Measure all pairs, then the selected ones on new noise; write the counts."""
    selection = measured(PAIRS, phase="selection", noise=SELECTION)
    confirmation = measured(passing(selection), phase="confirmation", noise=CONFIRMATION)
    comment = (
        "# our own measurement: images by the baseline of the bundled model (protocol "
        f"{load_suite('mini').protocol.version}) that show the gender that a word defines, by the panel of "
        "suite mini and by the nearest render; undetermined images do not. Written by python -m "
        "evenhand.bench.prompts.builders.definition_rates\n"
    )
    table = pd.DataFrame([*selection, *confirmation]).to_csv(index=False, lineterminator="\n")
    (SOURCES / "definition_rates.csv").write_text(comment + table, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
