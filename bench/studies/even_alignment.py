"""Is lost alignment a worse image, or a scorer that prefers who usually has an occupation?

    python -m evenhand.bench.studies.even_alignment
    python -m evenhand.bench.studies.even_alignment --entries reports/entries --suite mini-2

The first compares perfect images: of people as the training data show them, and of evenly mixed people. The
renderer of the bundled model draws every occupation exactly as captioned, so that a difference in alignment
is a preference of the scorer for the groups that it saw with an occupation. A fair method cannot avoid it.

The second compares published rows with their baseline on images that show the same people: the same
occupation, and the same groups of every attribute, as the panel perceives them. There such a preference has
no effect.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.leaderboard.entries import load_entry
from evenhand.bench.leaderboard.suite import suite_of
from evenhand.bench.leaderboard.tables import read_tables
from evenhand.bench.mini.autoencoder import through_autoencoder
from evenhand.bench.mini.law import FINE_TONES, TAXONOMIES, TONE_GROUPS, fine_law, occupations
from evenhand.bench.mini.world import STYLES, render
from evenhand.bench.prompts.plan import make_plan
from evenhand.bench.results.result import BASE
from evenhand.bench.stages.resources import load_scorer
from evenhand.bench.suites.suite import Suite, load_suite
from evenhand.metrics.estimation.panel import vote
from evenhand.metrics.statistics.paired_loss import mean_loss
from evenhand.metrics.statistics.uncertainty import ALPHA

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


class Compared(NamedTuple):
    """A difference in alignment with its 95 % interval, and the share of the method's images compared."""

    value: float
    low: float
    high: float
    share: float


def among_same_people(images: pd.DataFrame, base: pd.DataFrame) -> Compared:
    """Mean difference in alignment between images of a method and of the baseline that show the same people.

    The strata are concept and people; those that one side lacks are left out. A stratum with ``m`` images of
    the method and ``n`` of the baseline has the weight ``m n / (m + n)``, as in least squares with one level
    for each stratum. The interval is Student's over concepts.

    Args:
        images: Rows of the method: ``concept``, ``people`` (any label) and ``alignment``.
        base: The same of the baseline.
    """
    own, others = (
        one.groupby(["concept", "people"])["alignment"].agg(["mean", "size"]) for one in (images, base)
    )
    pairs = own.join(others.add_suffix("_base"), how="inner")
    weight = pairs["size"] * pairs["size_base"] / (pairs["size"] + pairs["size_base"])
    gained = weight * (pairs["mean"] - pairs["mean_base"])
    of_concept = pd.DataFrame({"gained": gained, "weight": weight}).groupby("concept").sum()
    value, low, high, _ = mean_loss(of_concept["gained"], of_concept["weight"], levels=(ALPHA / 2, ALPHA / 2))
    return Compared(value, low, high, float(pairs["size"].sum() / len(images)))


def people_of(entry: Path) -> tuple[str, pd.DataFrame]:
    """The label of an entry's method, and the people in its neutral images.

    Returns:
        The label, and one row per scored image whose groups the panel could tell: ``concept``, ``people``
        (the groups of all attributes) and ``alignment``.
    """
    loaded = load_entry(entry)
    known = suite_of(loaded.result, name=entry.name)
    tables = read_tables(entry, loaded, known)
    votes = vote(tables.labels, members=known.suite.panel, taxonomy=known.suite.taxonomy)
    told = votes[votes["status"] == "ok"]
    people = told.pivot(index="key", columns="attribute", values="label").dropna().agg("/".join, axis=1)
    neutral = tables.images[tables.images["kind"] == "neutral"]
    rows = neutral.assign(people=neutral["key"].map(people))[["concept", "people", "alignment"]]
    return loaded.result.spec.method.label, rows.dropna()


def published_rows(entries: Path, suite: str) -> pd.DataFrame:
    """The rows of a suite: difference in mean alignment to the baseline, and that among the same people."""
    known = load_suite(suite)
    rows = dict(map(people_of, sorted(entries.glob(f"*@{known.name}-v{known.version}"))))
    base, found = rows[BASE], {}
    for label, images in rows.items():
        whole = images["alignment"].mean() - base["alignment"].mean()
        found[label] = {"difference": whole} | among_same_people(images, base)._asdict()
    return pd.DataFrame(found).T.sort_values("value")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of published rows, or of perfect images both means and the table by occupation."""
    parser = argparse.ArgumentParser(description="Alignment of perfect images, or of published rows.")
    parser.add_argument("--copies", type=int, default=6, help="perfect images per prompt")
    parser.add_argument("--entries", type=Path, help="folder of published entries")
    parser.add_argument("--suite", default="mini-2", help="suite of the entries")
    given = parser.parse_args(arguments)
    if given.entries:
        sys.stdout.write(f"{published_rows(given.entries, given.suite).round(2).to_string()}\n")
        return
    _print_perfect_images(given.copies)


def _print_perfect_images(copies: int) -> None:
    suite = load_suite("mini")
    for even, name in ((False, "as trained"), (True, "even")):
        rows = alignment(suite, even=even, copies=copies)
        scores = rows["score"].to_numpy()
        mean, error = scores.mean(), scores.std(ddof=1) / len(scores) ** 0.5
        sys.stdout.write(f"{name}: {mean:.2f} (standard error {error:.2f}, n {len(rows)})\n")
    sys.stdout.write(f"\n{by_occupation(rows).sort_values('loss').round(3).to_string()}\n")


if __name__ == "__main__":
    main()
