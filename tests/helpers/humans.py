"""A finished run with known true labels for the annotation tests, and simulated annotators."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pandas as pd
from helpers.metrics import rows_of

from evenhand.bench.mini.law import FINE_TONES, TAXONOMIES, TONE_GROUPS, occupations
from evenhand.bench.mini.world import render
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics.estimation.panel import vote

CONCEPTS = ("nurse", "mechanic", "CEO")
STYLE = 0


@cache
def _drawn(concepts):
    """Images of every concept, gender, tone and age, and their true labels."""
    indices = [occupations().index(name) for name in concepts]
    specs = np.array([(0, i, g, t, a, STYLE) for i, g, t, a in product(indices, (0, 1), range(5), (0, 1))])
    shown = [
        {
            "gender": TAXONOMIES["gender"][g],
            "tone": TONE_GROUPS[FINE_TONES[t]],
            "age": TAXONOMIES["age"][a],
        }
        for _, _, g, t, a, _ in specs
    ]
    return specs, render(specs, seed=5), shown


def a_run(folder, *, concepts=CONCEPTS, methods=("base", "uce")):
    """A run of suite ``mini`` with neutral and explicit prompts; returns the truth by key."""
    work, suite = RunFolder(folder), load_suite("mini")
    folder.mkdir(parents=True)
    work.initialize(suite)
    specs, images, shown = _drawn(tuple(concepts))
    rows, truth = [], {}
    for method, kind, (spec, image, cell) in product(
        methods, ("neutral", "explicit"), zip(specs, images, shown, strict=True)
    ):
        key = f"{len(rows):064x}"
        work.images.put(key, image)
        truth[key] = cell
        concept = occupations()[spec[1]]
        asked = f"gender={cell['gender']}" if kind == "explicit" else ""
        rows.append((key, method, f"p{len(rows)}", concept, kind, asked))
    table = pd.DataFrame(rows, columns=["key", "method", "prompt_id", "concept", "kind", "cell"])
    table["path"] = [str(work.images.path(key).relative_to(folder)) for key in table["key"]]
    table = table.assign(prompt="", template="t", seed_index=0, status="ok", alignment=0.0)
    work.image_table.finish(table)
    work.labels.finish(_labels(suite, truth))
    return truth


def _labels(suite, truth):
    """Labels of the panel's judges, which sometimes err (one labels only the tone), and of its vote."""
    rng, keys, parts = np.random.default_rng(1), list(truth), []
    for judge in suite.panel:
        known = ("tone",) if judge == "tone-ita" else tuple(suite.taxonomy)
        for name, groups in ((name, suite.taxonomy[name]) for name in known):
            right = np.array([groups.index(truth[key][name]) for key in keys])
            wrong = rng.random(len(keys)) < 0.1
            said = np.where(wrong, (right + 1) % len(groups), right)
            parts.append(rows_of(judge, keys, name, said, taxonomy=suite.taxonomy))
    rows = pd.concat(parts, ignore_index=True)
    return pd.concat([rows, vote(rows, members=suite.panel, taxonomy=suite.taxonomy)], ignore_index=True)


def an_annotator(name, key, truth, *, error=0.05, passing=0.05, seed=0, batch="", taxonomy=None):
    """Rows of a long CSV: one person's answers about the images of an export's key, repeats included."""
    rng = np.random.default_rng(seed)
    taxonomy = taxonomy or load_suite("mini").taxonomy
    rows = []
    for image in key.to_dict("records"):
        for again in (0, 1)[: 1 + int(image["is_repeat"])]:
            for attribute, groups in taxonomy.items():
                label = truth[image["key"]][attribute]
                if rng.random() < error:
                    label = str(rng.choice([group for group in groups if group != label]))
                if rng.random() < passing:
                    label = "cannot_tell"
                rows.append(
                    {
                        "image_id": image["image_id"],
                        "annotator_id": name,
                        "attribute": attribute,
                        "label": label,
                        "n_people": "one",
                        "seconds": "4.0",
                        "batch_id": batch,
                        "is_repeat": again,
                    }
                )
    return pd.DataFrame(rows)
