"""Alignment of perfect images: of people as the training data show them, and of evenly mixed people.

    python -m evenhand.bench.studies.even_alignment

The renderer of the bundled model draws every occupation exactly as captioned, so that a difference in
alignment is a preference of the scorer for the groups that it saw with an occupation. A fair method cannot
avoid it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.mini.autoencoder import through_autoencoder
from evenhand.bench.mini.law import FINE_TONES, TAXONOMIES, TONE_GROUPS, fine_law, occupations
from evenhand.bench.mini.world import STYLES, render
from evenhand.bench.prompts.plan import make_plan
from evenhand.bench.stages.resources import load_scorer
from evenhand.bench.suites.suite import Suite, load_suite

GENDERS = TAXONOMIES["gender"]


def even_shares() -> NDArray[np.float64]:
    """Shares ``(2, 5, 2)`` of gender, fine tone and age in which every group of every attribute is equal."""
    of_group = [list(TONE_GROUPS.values()).count(TONE_GROUPS[fine]) for fine in FINE_TONES]
    tones = 1 / np.array(of_group, float)
    shares = np.ones((2, 1, 2)) * tones[:, None]
    even: NDArray[np.float64] = shares / shares.sum()
    return even


def alignment(suite: Suite, *, even: bool, copies: int, seed: int = 0) -> pd.DataFrame:
    """CLIP scores of rendered images of the suite's neutral prompts.

    Args:
        suite: A suite of the bundled model.
        even: Whether groups are equally frequent; otherwise they are as frequent as in the training data.
        copies: Images per prompt.
        seed: Seed of the groups and of the renderer.

    Returns:
        One row per image: ``concept``, ``gender`` and ``score``.
    """
    neutral = [item.prompt for item in make_plan(suite)[0] if item.prompt.kind == "neutral"]
    prompts = list({prompt.text: prompt for prompt in neutral}.values()) * copies
    rng, shares = np.random.default_rng(seed), fine_law()
    rows = []
    for prompt in prompts:
        index = occupations().index(prompt.concept)
        cell = even_shares() if even else shares[index]
        drawn = np.unravel_index(rng.choice(cell.size, p=cell.ravel()), cell.shape)
        rows.append((0, index, *drawn, rng.integers(len(STYLES))))
    images = through_autoencoder(render(np.array(rows), seed=seed))
    assert suite.scorer is not None
    scorer = load_scorer(suite.scorer)
    texts = scorer.embed_texts([prompt.text for prompt in prompts])
    return pd.DataFrame(
        {
            "concept": [prompt.concept for prompt in prompts],
            "gender": [GENDERS[row[2]] for row in rows],
            "score": 100 * (scorer.embed(images) * texts).sum(axis=1, dtype=float),
        }
    )


def by_occupation(even: pd.DataFrame) -> pd.DataFrame:
    """What evenly mixed people cost each occupation, from the rows of ``alignment(even=True)``.

    Returns:
        One row per concept: the mean score of each gender, the larger share of a gender in the training data,
        and the relative loss of alignment if both become equally frequent.
    """
    scores = even.pivot_table(index="concept", columns="gender", values="score")[list(GENDERS)]
    shares = pd.DataFrame(fine_law().sum(axis=(2, 3)), index=occupations(), columns=GENDERS).loc[scores.index]
    trained = (scores * shares).sum(axis=1)
    return scores.assign(share=shares.max(axis=1), loss=1 - scores.mean(axis=1) / trained)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both means with their standard errors, and the table by occupation."""
    parser = argparse.ArgumentParser(description="Alignment of perfect images, as trained and even.")
    parser.add_argument("--copies", type=int, default=6, help="images per prompt")
    copies = parser.parse_args(arguments).copies
    suite = load_suite("mini")
    for even, name in ((False, "as trained"), (True, "even")):
        rows = alignment(suite, even=even, copies=copies)
        scores = rows["score"].to_numpy()
        mean, error = scores.mean(), scores.std(ddof=1) / len(scores) ** 0.5
        sys.stdout.write(f"{name}: {mean:.2f} (standard error {error:.2f}, n {len(rows)})\n")
    sys.stdout.write(f"\n{by_occupation(rows).sort_values('loss').round(3).to_string()}\n")


if __name__ == "__main__":
    main()
