"""The hierarchy of images (rows, clusters, leaves) and the bootstrap over it.

A row is the unit that a metric scores: a concept, or for explicit prompts the requested cell. Its clusters
are templates (or concepts) and its leaves are seeds. All methods share one layout and one set of resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from evenhand.metrics.representation import FloatArray, by_group
from evenhand.metrics.statistics.uncertainty import (
    cluster_weights,
    crossed_weights,
    resample_rows,
    whole_cluster_weights,
)

TOGETHER = 4
"""Number of tables resampled in one pass."""

BLOCK = 2**17
"""Number of weights multiplied at a time, chosen to fit into a processor's cache."""

Units = Literal["nested", "clusters", "leaves", "crossed"]
"""What is resampled within a row: clusters and then their leaves, whole clusters, leaves only, or whole
clusters that are the same in all rows of a draw."""


@dataclass(frozen=True)
class Layout:
    """Row and leaf of each image.

    Attributes:
        names: Names of the ``R`` rows.
        slots: ``(n,)`` positions of the layout's images among all images of a method.
        row: ``(n,)`` row of each image.
        leaf: ``(n,)`` leaf of each image within its row.
        sizes: For each row, the number of leaves of each cluster.
        crossed: Whether all rows have the same clusters, and more than one.
    """

    names: tuple[str, ...]
    slots: NDArray[np.int64]
    row: NDArray[np.int64]
    leaf: NDArray[np.int64]
    sizes: tuple[tuple[int, ...], ...]
    crossed: bool = False

    def sums(self, values: FloatArray) -> FloatArray:
        """Sums of image values ``(n, C)`` by leaf, ``(R, W, C)``."""
        width = max(sum(row) for row in self.sizes)
        table = np.zeros((len(self.names), width, values.shape[1]))
        np.add.at(table, (self.row, self.leaf), values)
        return table

    def counts(self, codes: NDArray[np.int64], groups: int) -> FloatArray:
        """Images by leaf and label, ``(R, W, K + 1)``, from codes ``(n,)``; the last is undetermined."""
        shape = (len(self.names), max(sum(row) for row in self.sizes), groups + 1)
        place = np.ravel_multi_index((self.row, self.leaf, codes), shape)
        return np.bincount(place, minlength=int(np.prod(shape))).reshape(shape).astype(float)


def arrange(
    slots: ArrayLike,
    *,
    row: Sequence[str],
    cluster: Sequence[str],
    leaf: Sequence[str],
    order: Sequence[str] = (),
) -> Layout:
    """The layout of images; images with the same row, cluster and leaf share that leaf.

    Args:
        slots: ``(n,)`` positions of the images.
        row: Row name of each image.
        cluster: Cluster of each image within its row.
        leaf: Leaf of each image within its cluster.
        order: Order of the rows; alphabetical if empty.
    """
    names = tuple(name for name in order if name in set(row)) or tuple(sorted(set(row)))
    number = {name: position for position, name in enumerate(names)}
    frame = pd.DataFrame(
        {"row": [number[name] for name in row], "cluster": list(cluster), "leaf": list(leaf)}
    )
    leaves = frame.drop_duplicates().sort_values(["row", "cluster", "leaf"], ignore_index=True)
    leaves["position"] = leaves.groupby("row").cumcount()
    placed = frame.merge(leaves, on=["row", "cluster", "leaf"], how="left")
    clusters = leaves.groupby(["row", "cluster"], sort=True).size()
    sizes = clusters.groupby("row", sort=True).agg(tuple)
    of_row = clusters.reset_index().groupby("row")["cluster"].agg(tuple)
    return Layout(
        names=names,
        slots=np.asarray(slots, np.int64),
        row=placed["row"].to_numpy(np.int64),
        leaf=placed["position"].to_numpy(np.int64),
        sizes=tuple(sizes),
        crossed=of_row.nunique() == 1 and len(of_row.iloc[0]) > 1,
    )


@dataclass(frozen=True)
class Resamples:
    """One set of bootstrap resamples of a layout.

    Attributes:
        weights: ``(R, B, W)``, see :func:`evenhand.metrics.statistics.uncertainty.cluster_weights`.
        picks: ``(B, R)`` rows of each draw; ``None`` if the rows are a fixed list.
        nested: Whether a drawn row contributes a resample of its images, or its images unchanged.
        crossed: Number of clusters resampled for all rows together; 0 if rows are resampled separately.
        transformed: Whether intervals of means over chosen rows are those of
            :func:`evenhand.metrics.statistics.uncertainty.transformed_interval`.
    """

    weights: NDArray[np.unsignedinteger]
    picks: NDArray[np.int64] | None
    nested: bool = True
    crossed: int = 0
    transformed: bool = False

    @classmethod
    def of(
        cls,
        layout: Layout,
        *,
        draws: int,
        rng: np.random.Generator,
        rows: bool,
        units: Units = "nested",
        transformed: bool = False,
    ) -> Resamples:
        """Draws the resamples.

        Args:
            layout: The rows and their images.
            draws: Number of resamples ``B``.
            rng: Random stream.
            rows: Whether rows are resampled as well.
            units: What is resampled within a row.
            transformed: Whether skewness is removed by a transformation where drawn rows keep their images.
        """
        if units == "crossed":
            weights = crossed_weights(layout.sizes, draws=draws, rng=rng)
        elif units == "clusters":
            weights = whole_cluster_weights(layout.sizes, draws=draws, rng=rng)
        else:
            sizes = layout.sizes if units == "nested" else tuple((sum(row),) for row in layout.sizes)
            weights = cluster_weights(sizes, draws=draws, rng=rng)
        count = len(layout.names)
        picks = np.asfortranarray(rng.integers(count, size=(draws, count))) if rows else None
        crossed = len(layout.sizes[0]) if units == "crossed" else 0
        chosen = transformed and picks is not None and units in ("clusters", "leaves")
        return cls(weights, picks, nested=units == "nested", crossed=crossed, transformed=chosen)

    @property
    def clusters(self) -> float:
        """Number of resampled rows, or of crossed clusters if there are fewer; infinite if all are fixed.

        Intervals of aggregates are expanded for it.
        """
        return min(np.inf if self.picks is None else float(self.picks.shape[1]), self.clusters_within)

    @property
    def clusters_within(self) -> float:
        """Number of crossed clusters, for which intervals of rows are expanded; infinite without any."""
        return float(self.crossed) if self.crossed else np.inf

    @property
    def draws(self) -> int:
        """Number of resamples ``B``."""
        return int(self.weights.shape[1])

    @property
    def whole_rows(self) -> bool:
        """Whether a draw is a choice of rows with all of their images, so that their values can be chosen."""
        return self.picks is not None and not (self.nested or self.crossed)

    def chosen(self, values: FloatArray, *, draws: slice = slice(None)) -> FloatArray:
        """The values of the rows of some draws, ``(..., b, R)``.

        Args:
            values: ``(..., 1, R)`` values of the rows, or ``(..., b, R)`` if they differ between draws.
            draws: The ``b`` draws.
        """
        assert self.picks is not None
        rows, count = self.picks[draws].T, values.shape[-2]
        if count > 1:
            rows = rows * count + np.arange(count)
        by_row = np.swapaxes(values, -1, -2)
        return np.swapaxes(np.take(by_row.reshape(*values.shape[:-2], -1), rows, axis=-1), -1, -2)

    def within(self, table: FloatArray) -> FloatArray:
        """Sums of each draw within each row, ``(B, R, C)``, from sums by leaf ``(R, W, C)``."""
        # Counts are integers far below 2^24, which single precision adds exactly and faster.
        whole = bool((table == np.rint(table)).all())
        table = table.astype(np.float32 if whole else float)
        rows, draws, width = self.weights.shape
        # Other values are added in one block, because the order of additions changes the last digits.
        step = max(1, BLOCK // max(width, 1)) if whole else draws
        sums = np.empty((table.shape[-1], rows, draws))
        for row in range(rows):
            for start in range(0, draws, step):
                block = slice(start, start + step)
                sums[:, row, block] = table[row].T @ self.weights[row, block].T.astype(table.dtype)
        return sums.T

    def across(self, within: FloatArray) -> FloatArray:
        """The sums with rows resampled as well, from which the draws of aggregates are computed."""
        if self.picks is None:
            return within
        by_label = np.moveaxis(within, -1, 0)
        # All rows of a crossed draw have the same clusters, so a drawn row keeps the number of the draw.
        drawn = self.chosen(by_label) if self.crossed else resample_rows(by_label, rows=self.picks)
        return np.moveaxis(drawn, 0, -1)

    def of_both(self, table: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The sums of :meth:`within` and of :meth:`across`."""
        within = self.within(table)
        if self.whole_rows:
            return within, by_group(table.sum(axis=1)[self.picks])
        return within, self.across(within)

    def of_each(
        self, tables: Sequence[FloatArray], *, by_row: bool = True
    ) -> Iterator[tuple[FloatArray | None, FloatArray | None]]:
        """:meth:`of_both` for several tables of integers, with few passes over the resamples.

        If drawn rows keep their images (:attr:`whole_rows`), the sums with rows resampled are ``None``: use
        :meth:`chosen`. Then those within rows are ``None`` as well, unless they are needed.

        Args:
            tables: Sums by leaf, ``(R, W, C)`` each.
            by_row: Whether the sums within rows are needed.
        """
        if self.whole_rows:
            rows = self._of_rows(tables) if by_row else repeat(None, len(tables))
            yield from ((within, None) for within in rows)
            return
        for within in self._of_rows(tables):
            yield within, self.across(within)

    def _of_rows(self, tables: Sequence[FloatArray]) -> Iterator[FloatArray]:
        """:meth:`within` of each table."""
        for first in range(0, len(tables), TOGETHER):
            some = tables[first : first + TOGETHER]
            sums = self.within(np.concatenate(some, axis=-1))
            ends = np.cumsum([table.shape[-1] for table in some])
            yield from np.split(sums, ends[:-1], axis=-1)
