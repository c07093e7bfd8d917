"""Writes the CSVs of the bundled prompt sets: ``python -m evenhand.bench.prompts.builders.build``.

The rows come from the lists in ``sources/`` and from the words that the bundled model was trained on; a
test compares the committed files with this script's output. A set that changes gets a new version in its
datasheet. Rows of one occupation follow one another, and each occupation starts its variants one further
on than the last: evenly spaced rows then meet every template and every cell.
"""

from __future__ import annotations

import csv
import io

from evenhand.bench.prompts.builders import (
    control_sets,
    development_set,
    mini_sets,
    over_correction_sets,
    published_sets,
    winobias_sets,
)
from evenhand.bench.prompts.bundled import FOLDER
from evenhand.bench.prompts.prompt_set import COLUMNS, SEEDS, format_seeds, load_datasheet
from evenhand.metrics.terms import format_cell

SETS = {
    "winobias-36": winobias_sets.winobias_36,
    "winobias-36-successful": winobias_sets.winobias_36_successful,
    "winobias-35": winobias_sets.winobias_35,
    "winobias-35-time": winobias_sets.winobias_35_time,
    "winobias-40": mini_sets.winobias_40,
    "intersectional-mini": mini_sets.intersectional_mini,
    "controls-mini": mini_sets.controls_mini,
    "development-mini": mini_sets.development_mini,
    "development": development_set.development,
    "intersectional": control_sets.intersectional,
    "controls": control_sets.controls,
    "over-correction-mini": over_correction_sets.over_correction_mini,
    "over-correction": over_correction_sets.over_correction,
    "stable-bias": published_sets.stable_bias,
    "stable-bias-identities": published_sets.stable_bias_identities,
    "dall-eval": published_sets.dall_eval,
    "heim-bias": published_sets.heim_bias,
    "debias-vl": published_sets.debias_vl,
    "entigen": published_sets.entigen,
    "holistic-bias": published_sets.holistic_bias,
}


def build(name: str) -> str:
    """The CSV of a bundled set, with the comment line that names its source and licence."""
    sheet = load_datasheet(name)
    rows = SETS[name]()
    with_seeds = any(row.seeds for row in rows)
    text = io.StringIO()
    text.write(
        f"# Evenhand prompt set {name}, version {sheet.version}. {sheet.source} Licence: {sheet.licence}\n"
    )
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*COLUMNS, SEEDS) if with_seeds else COLUMNS)
    for row in rows:
        fields = [row.prompt, row.concept, row.template, row.kind, format_cell(row.cell)]
        writer.writerow([*fields, format_seeds(row.seeds)] if with_seeds else fields)
    return text.getvalue()


def main() -> None:
    """Write every set beside its datasheet."""
    for name in SETS:
        (FOLDER / f"{name}.csv").write_text(build(name), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
