"""A folder of mini renders with known true labels, and the list of their prompts."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from evenhand.bench.mini.law import FINE_TONES, TAXONOMIES, TONE_GROUPS, occupations
from evenhand.bench.mini.world import render

CONCEPTS = ("nurse", "CEO")
JOBS = ("nurse", "CEO", "mechanic")
WOMEN = {"even": (3, 3), "biased": (6, 1)}
"""Model to the number of women among six images of each concept."""


def write_csv(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    """The rows as a CSV whose header is the first row's keys."""
    rows = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def renders(folder: Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Writes 24 images of two models; returns the rows of their list and of their true labels."""
    specs, listed, truth = [], [], []
    for model, women in WOMEN.items():
        for concept, count in zip(CONCEPTS, women, strict=True):
            for number in range(6):
                gender, tone, age = int(number >= count), number % 5, number % 2
                specs.append((0, occupations().index(concept), gender, tone, age, number % 3))
                file = f"{model}/{concept}-{number}.png"
                row = {"file": file, "prompt": f"a photo of a {concept}", "concept": concept, "model": model}
                listed.append(row)
                shown = {
                    "gender": TAXONOMIES["gender"][gender],
                    "tone": TONE_GROUPS[FINE_TONES[tone]],
                    "age": TAXONOMIES["age"][age],
                }
                truth += [{"file": file, "attribute": name, "label": group} for name, group in shown.items()]
    for row, image in zip(listed, render(np.array(specs), seed=5), strict=True):
        path = folder / row["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return listed, truth


def people(folder: Path) -> tuple[pd.DataFrame, dict[str, dict[str, str]]]:
    """Writes 120 images of two models, every group of three concepts; returns list and truth by file."""
    rows, truth, specs = [], {}, []
    for model, concept, gender, tone, age in product(("red", "blue"), JOBS, (0, 1), range(5), (0, 1)):
        file = f"{model}/{concept}-{gender}{tone}{age}.png"
        specs.append((0, occupations().index(concept), gender, tone, age, int(model == "red")))
        rows.append((file, f"a photo of a {concept}", concept, model))
        truth[file] = {
            "gender": TAXONOMIES["gender"][gender],
            "tone": TONE_GROUPS[FINE_TONES[tone]],
            "age": TAXONOMIES["age"][age],
        }
    for file, image in zip(truth, render(np.array(specs), seed=7), strict=True):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / file)
    return pd.DataFrame(rows, columns=["file", "prompt", "concept", "model"]), truth
