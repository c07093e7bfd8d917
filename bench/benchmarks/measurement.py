"""Time the measuring of published entries, and compare the bootstrap with a straightforward loop.

    python -m evenhand.bench.benchmarks.measurement reports/entries/*@mini-v1 --methods 16

measures the first methods of these entries, the baseline among them, as one run: all metrics under all
judges, with the bootstrap of their suite. Prints wall clock and processor time, without those of reading.

Without entries, it scores one metric (the mean unbiased squared deviation, corrected for the judge with
resampled anchors) of 20 methods on 36 concepts x 5 templates x 40 seeds with 5,000 draws, then does the same
with a loop for a few draws of one method, in the same process. Prints the ratio of processor times per draw
and method.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.entries import load_entry
from evenhand.bench.leaderboard.suite import known_suite
from evenhand.bench.leaderboard.tables import read_tables
from evenhand.bench.results.result import BASE
from evenhand.bench.stages.measure import measure_plan, metrics_of
from evenhand.bench.stages.resources import load_confusion
from evenhand.metrics.correction.calibration import confusion_matrix, draw_matrices
from evenhand.metrics.correction.correction import inverse_of, invert
from evenhand.metrics.estimation.measure import measure
from evenhand.metrics.representation import FloatArray, squared_deviation, uniform
from evenhand.metrics.statistics.resampling import Layout, Resamples, arrange

CONCEPTS, TEMPLATES, SEEDS = 36, 5, 40
METHODS, DRAWS, LOOPED = 20, 5000, 20
GROUPS = 8
ANCHORS = 60
"""Number of anchors per group."""


def study(rng: np.random.Generator) -> tuple[Layout, list[FloatArray], FloatArray]:
    """The layout, labels by leaf ``(R, W, K + 1)`` of each method, and anchors ``(K, K + 1)``."""
    place = [(o, t, s) for o in range(CONCEPTS) for t in range(TEMPLATES) for s in range(SEEDS)]
    row, cluster, leaf = ([f"{part:03d}" for part in parts] for parts in zip(*place, strict=True))
    layout = arrange(range(len(place)), row=row, cluster=cluster, leaf=leaf)
    tables = [layout.counts(rng.integers(0, GROUPS + 1, len(place)), GROUPS) for _ in range(METHODS)]
    truth = np.pad(0.85 * np.eye(GROUPS) + 0.15 / GROUPS, [(0, 0), (0, 1)])
    return layout, tables, np.stack([rng.multinomial(ANCHORS, each) for each in truth]).astype(float)


def vectorised(
    layout: Layout, tables: Sequence[FloatArray], anchors: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Draws ``(METHODS, DRAWS)`` by the code of the benchmark."""
    resamples = Resamples.of(layout, draws=DRAWS, rng=rng, rows=True)
    inverse = inverse_of(draw_matrices(anchors, draws=DRAWS, rng=rng))
    drawn = []
    for table in tables:
        _, across = resamples.of_both(table)
        found = invert(across[..., :-1], inverse)
        drawn.append(squared_deviation(found.shares, uniform(GROUPS), found.noise).mean(axis=-1))
    return np.stack(drawn)


def looped(table: FloatArray, anchors: FloatArray, rng: np.random.Generator) -> FloatArray:
    """``LOOPED`` draws of one method, image by image."""
    labels = table.reshape(CONCEPTS, TEMPLATES, SEEDS, GROUPS + 1).argmax(axis=-1)
    drawn = []
    for _ in range(LOOPED):
        rows = np.stack([rng.multinomial(ANCHORS, each / each.sum()) for each in anchors])
        inverse = np.linalg.inv(confusion_matrix(rows.astype(float))[:, :-1])
        values = []
        for concept in rng.integers(CONCEPTS, size=CONCEPTS):
            counts = np.zeros(GROUPS)
            for template in rng.integers(TEMPLATES, size=TEMPLATES):
                for seed in rng.integers(SEEDS, size=SEEDS):
                    label = labels[concept, template, seed]
                    if label < GROUPS:
                        counts[label] += 1
            n = counts.sum()
            observed = counts / n
            shares = observed @ inverse
            covariance = (np.diag(observed) - np.outer(observed, observed)) / (n - 1)
            noise = np.trace(inverse.T @ covariance @ inverse)
            values.append(((shares - 1 / GROUPS) ** 2).sum() - noise)
        drawn.append(np.mean(values))
    return np.array(drawn)


def time_entries(paths: Sequence[Path], *, methods: int) -> None:
    """Measure the first entries in the folders ``paths``, the baseline first, and print the time."""
    loaded = {path: load_entry(path) for path in paths}
    chosen = sorted(loaded, key=lambda path: loaded[path].result.spec.method.name != BASE)[:methods]
    first = loaded[chosen[0]].result
    suite = known_suite(first.spec)
    if suite is None:
        raise EvenhandError(f"suite {first.spec.suite!r} of {chosen[0].name} is not registered; install it")
    known = suite.of(first)
    tables = [read_tables(path, loaded[path], known) for path in chosen]
    images = pd.concat([each.images for each in tables], ignore_index=True)
    labels = pd.concat([each.labels for each in tables], ignore_index=True)
    cards = [loaded[path].result.spec.method for path in chosen]
    asked = known.suite.non_voting_judges
    plan = measure_plan(
        known.evaluation_config,
        known.concepts,
        confusion=load_confusion(known.evaluation_config.calibration),
        metrics=metrics_of(known.evaluation_config),
        steering={card.label: card.steering_judge for card in cards if card.steering_judge in asked},
        base=cards[0].label,
    )
    wall, processor = time.monotonic(), time.process_time()
    measure(images, labels.drop_duplicates(["key", "judge", "attribute"]), plan=plan)
    wall, processor = time.monotonic() - wall, time.process_time() - processor
    sys.stdout.write(
        f"{len(chosen)} methods, {len(images)} images, {plan.draws} draws: "
        f"{wall:.1f} s, processor time {processor:.1f} s\n"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Time entries, or the bootstrap and the loop."""
    parser = argparse.ArgumentParser(description="Time the measuring of entries, or the bootstrap.")
    parser.add_argument("entries", type=Path, nargs="*", help="folders of entries of one suite")
    parser.add_argument("--methods", type=int, default=16, help="number of entries to measure")
    given = parser.parse_args(arguments)
    if given.entries:
        time_entries(given.entries, methods=given.methods)
    else:
        compare()


def compare() -> None:
    """Time both, check that they agree, and print the ratio of their times."""
    rng = np.random.default_rng(0)
    layout, tables, anchors = study(rng)
    started = time.process_time()
    with threadpool_limits(1, user_api="blas"):
        fast = vectorised(layout, tables, anchors, rng)
    middle = time.process_time()
    slow = looped(tables[0], anchors, rng)
    ended = time.process_time()
    error = fast[0].std() / np.sqrt(LOOPED)
    if abs(slow.mean() - fast[0].mean()) > 5 * error:
        sys.exit(f"the loop finds {slow.mean():.5f}, the code {fast[0].mean():.5f}: they must agree")
    each = (middle - started) / fast.size, (ended - middle) / slow.size
    size = f"{METHODS} methods x {DRAWS} draws x {CONCEPTS * TEMPLATES * SEEDS} images"
    ratio = each[1] / each[0]
    sys.stdout.write(f"{size}: {middle - started:.1f} s; the loop takes {ratio:.0f} times as long\n")


if __name__ == "__main__":
    main()
