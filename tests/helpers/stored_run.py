"""A small run folder with images and labels that are known one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from helpers.report import ATTRIBUTES, JUDGES, a_result

from evenhand.bench.results.result import Result
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.storage.stored_run import StoredRun, load_run
from evenhand.bench.suites.suite import Suite, load_suite

METHODS = ("base", "mist", "uce")
CONCEPTS = ("nurse", "CEO")
SEEDS = 3
IMAGES = len(METHODS) * (len(CONCEPTS) * (SEEDS + 1) + 1)
"""Neutral prompts with three seeds and an explicit one of every concept, and one prompt without people."""


def a_stored_run(
    folder: Path,
    *,
    methods: Sequence[str] = METHODS,
    concepts: Sequence[str] = CONCEPTS,
    seeds: int = SEEDS,
    side: int = 64,
) -> StoredRun:
    """Write the run; the first method is the baseline.

    The panel perceives a light adult woman in every image, except:

    - the second method draws a man for seed 1 of the first concept,
    - the last method draws a dark woman for seed 0 of the last concept,
    - explicit prompts name a man and all images of them show one, except the second method's for the first
      concept,
    - judge vit takes the last method's image of seed 2 of the first concept for a man, so that the panel's
      gender is undetermined.
    """
    folder.mkdir(exist_ok=True)
    run_folder = RunFolder(folder)
    suite = load_suite("mini-quick")
    run_folder.initialize(suite)
    results = [a_result(label, concepts=concepts, of=min(len(methods), 9)) for label in methods]
    run_folder.write_results(of_suite(results, suite))
    rows = [row for method in methods for row in _images(method, concepts, seeds)]
    rng = np.random.default_rng(0)
    for row in rows:
        run_folder.images.put(row["key"], rng.integers(0, 255, (side, side, 3), dtype=np.uint8))
        row["path"] = run_folder.images.relative_path(row["key"])
    run_folder.image_table.finish(pd.DataFrame(rows))
    answers = [answer for row in rows for answer in _answers(row, methods, concepts)]
    run_folder.labels.finish(pd.DataFrame(answers))
    return load_run(folder)


def of_suite(results: Sequence[Result], suite: Suite) -> list[Result]:
    """The results as those of a run of ``suite``."""
    changed = {"suite_digest": suite.digest()}
    return [result.model_copy(update={"spec": result.spec.model_copy(update=changed)}) for result in results]


def _images(method: str, concepts: Sequence[str], seeds: int) -> list[dict]:
    prompts = [(f"a photo of a {c}", c, "neutral", "", seed) for c in concepts for seed in range(seeds)]
    prompts += [(f"a photo of a male {c}", c, "explicit", "gender=man", 0) for c in concepts]
    prompts += [("a photo of a cat", "cat", "unrelated", "", 0)]
    return [
        {
            "key": hashlib.sha256(f"{method} {prompt} {seed}".encode()).hexdigest(),
            "path": "",
            "method": method,
            "prompt_id": hashlib.sha256(prompt.encode()).hexdigest()[:16],
            "prompt": prompt,
            "text": prompt if method != "uce" else f"{prompt}, rewritten",
            "concept": concept,
            "template": "photo",
            "kind": kind,
            "cell": cell,
            "seed_index": seed,
            "seed": 1000 + seed,
            "status": "ok",
            "alignment": 70.0,
        }
        for prompt, concept, kind, cell, seed in prompts
    ]


def _answers(row: dict, methods: Sequence[str], concepts: Sequence[str]) -> list[dict]:
    if row["kind"] == "unrelated":
        return []
    shown = {"gender": "woman", "tone": "light", "age": "adult"}
    first, last, second = concepts[0], concepts[-1], methods[min(1, len(methods) - 1)]
    place = (row["method"], row["concept"], row["seed_index"])
    explicit = row["kind"] == "explicit"
    if explicit and place[:2] != (second, first):
        shown["gender"] = "man"
    if not explicit and place == (second, first, 1):
        shown["gender"] = "man"
    if not explicit and place == (methods[-1], last, 0):
        shown["tone"] = "dark"
    split = not explicit and place == (methods[-1], first, 2)
    rows = []
    for judge, (_, family) in (JUDGES | {"panel": ("", "panel")}).items():
        for attribute in ATTRIBUTES if judge != "tone-ita" else ["tone"]:
            label = "man" if split and (judge, attribute) == ("vit", "gender") else shown[attribute]
            undetermined = split and (judge, attribute) == ("panel", "gender")
            rows.append(
                {
                    "key": row["key"],
                    "judge": judge,
                    "judge_version": "1",
                    "family": family,
                    "attribute": attribute,
                    "label": "" if undetermined else label,
                    "confidence": 0.9,
                    "status": "inconsistent" if undetermined else "ok",
                    "probabilities": [0.9, 0.1],
                }
            )
    return rows
