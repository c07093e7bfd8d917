"""A run with its folder: its tables as data frames, and its images and charts in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from evenhand.bench.errors import EvenhandError
from evenhand.bench.results.result import BASE, Result, Run
from evenhand.bench.results.summary import summary

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from evenhand.reports.gallery.notebook import NotebookPage


class StoredRun(Run):
    """A run in its folder, as :func:`evaluate` and :func:`load_run` return it.

    In a notebook, the last expression of a cell shows it: the run itself as its table of results.
    """

    def images_frame(self) -> pd.DataFrame:
        """One row per image: what it was asked to show, how the panel perceives it, and its file.

        Returns:
            A data frame with the columns ``key``, ``path``, ``method``, ``prompt_id``, ``prompt``, ``text``
            (what the model was given), ``concept``, ``template``, ``kind``, ``cell`` (the groups that the
            prompt names), ``seed_index``, ``seed``, ``status`` and ``alignment``; for each attribute
            ``perceived_<attribute>``, which is empty for images that are not labelled; and ``changed``,
            ``disobeyed`` and ``disagreed``, which name the attributes for which the perceived group differs
            from that of the baseline's image, the image shows another group than an explicit prompt names,
            and voting judges disagree.

        Raises:
            EvenhandError: A table of the run cannot be read.
        """
        from evenhand.bench.storage.frames import images_frame
        from evenhand.bench.storage.run_folder import RunFolder

        return images_frame(RunFolder(Path(self.folder)), self.results, self.labels_frame())

    def labels_frame(self) -> pd.DataFrame:
        """One row per image, judge and attribute: the label, its status and its confidence.

        Returns:
            A data frame with the columns ``key`` (of the image), ``judge``, ``judge_version``, ``family``,
            ``attribute``, ``label``, ``confidence``, ``status`` and ``probabilities``. The rows of judge
            ``panel`` are the votes.

        Raises:
            EvenhandError: The label table cannot be read.
        """
        from evenhand.bench.storage.frames import labels_frame
        from evenhand.bench.storage.run_folder import RunFolder

        return labels_frame(RunFolder(Path(self.folder)), self.results)

    def table(self) -> pd.DataFrame:
        """The table at the end of a run as a data frame of texts, one row per method."""
        import pandas as pd

        columns, rows = summary(self.results)
        return pd.DataFrame(rows, columns=columns).set_index("method")

    def plot(self, what: Literal["distance", "shares"] = "distance") -> alt.FacetChart:
        """A chart of the run for a notebook.

        Args:
            what: ``"distance"`` for the distance from the target of every method and attribute set, or
                ``"shares"`` for the share of the first group of every attribute and concept.

        Raises:
            EvenhandError: Nothing of that kind was measured, or ``what`` is unknown.
        """
        from evenhand.reports.components.plots import PLOTS

        if what not in PLOTS:
            raise EvenhandError(f"unknown plot {what!r}; choose one of {', '.join(map(repr, PLOTS))}")
        return PLOTS[what](self.results)

    def gallery(self, where: str = "") -> NotebookPage:
        """The images of the run with filters, for a notebook.

        Args:
            where: A query on :meth:`images_frame`, such as ``"concept == 'nurse' and changed != ''"``. The
                other methods' images of the same prompt and seed are shown beside those that it selects.

        Raises:
            EvenhandError: No image is selected, or too many for a notebook.
        """
        from evenhand.reports.gallery.notebook import notebook_gallery

        return notebook_gallery(
            self.images_frame(), self.labels_frame(), self.results, folder=Path(self.folder), where=where
        )


def check_one_run(results: Sequence[Result], folder: Path, *, baseline: bool) -> None:
    """Check that results are of one run.

    Args:
        results: The results in a folder; at least one.
        folder: The folder of the run.
        baseline: Whether the run has a baseline.

    Raises:
        EvenhandError: The result of the baseline is missing, or results are of different suites.
    """
    labels = [result.spec.method.label for result in results]
    if baseline and BASE not in labels:
        raise EvenhandError(
            f"{folder}: result of the baseline is missing; run the same `evenhand run` command again"
        )
    for label, result in zip(labels, results, strict=True):
        if result.spec.suite_digest != results[0].spec.suite_digest:
            raise EvenhandError(
                f"{folder}: results of {labels[0]!r} and {label!r} are of different suites; remove the one "
                "that is of another run, and use `evenhand compare` for methods of several runs"
            )
