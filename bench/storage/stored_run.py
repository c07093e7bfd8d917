"""A finished run, read back from its folder: its results, tables, images and charts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from evenhand.bench.errors import EvenhandError
from evenhand.bench.results.result import BASE, ImageRow, Result, Run
from evenhand.bench.results.summary import summary
from evenhand.bench.results.text import PANEL, UNDETERMINED
from evenhand.bench.storage.files import folder_name
from evenhand.bench.storage.run_folder import SUITE_FILE, RunFolder, RunSpec
from evenhand.bench.suites.suite import Suite

if TYPE_CHECKING:
    import altair as alt

    from evenhand.reports.gallery.notebook import NotebookPage

SHOWN_PER_CONCEPT = 8
"""Maximum number of images that a report shows per concept, kind and method."""


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

        return labels_frame(RunFolder(Path(self.folder)), self.results)

    def table(self) -> pd.DataFrame:
        """The table at the end of a run as a data frame of texts, one row per method."""
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


def load_run(folder: str | Path) -> StoredRun:
    """Load a finished run, with everything that its report shows.

    Raises:
        EvenhandError: The folder is not a run, has no results yet, results are of several runs, or one of its
            files is damaged or missing.
    """
    run_folder = RunFolder(Path(folder))
    spec = run_folder.spec()
    results = {path: Result.load(path) for path in run_folder.result_paths()}
    if not results:
        raise EvenhandError(f"{folder}: run has no results yet; run the same `evenhand run` command again")
    _check_one_run(results, run_folder, spec)
    images, labels = run_folder.image_table, run_folder.labels
    for table in (images, labels):
        table.check_finished()
    timings = run_folder.timings()
    ordered = sorted(results.values(), key=lambda r: (r.spec.method.label != BASE, r.spec.method.label))
    return StoredRun(
        folder=str(folder),
        results=ordered,
        timings=[timings[r.spec.method.label] for r in ordered if r.spec.method.label in timings],
        # Do not trust folders in the table: images are always inside the run folder.
        images=shown_images(images.read(whole=True).assign(folder=""), labels.read(compact=True, whole=True)),
    )


def _check_one_run(results: Mapping[Path, Result], run_folder: RunFolder, spec: RunSpec) -> None:
    """Check that results are those of the run of this folder, each in its own file.

    Raises:
        EvenhandError: A result is in the file of another method, the result of the baseline is missing, or
            results are of different suites or of another one than that of the folder.
    """
    root = run_folder.root
    labels = {path: result.spec.method.label for path, result in results.items()}
    for path, label in labels.items():
        if path.name != (name := f"{folder_name(label)}.json"):
            raise EvenhandError(
                f"{path}: result of {label!r} must be in the file {name}; remove {path.name}, and run the "
                "same `evenhand run` or `evenhand audit` command again"
            )
    if isinstance(spec, Suite) and BASE not in labels.values():
        raise EvenhandError(
            f"{root}: result of the baseline is missing; run the same `evenhand run` command again"
        )
    digests = {labels[path]: result.spec.suite_digest for path, result in results.items()}
    first, *others = digests
    for other in others:
        if digests[other] != digests[first]:
            raise EvenhandError(
                f"{root}: results of {first!r} and {other!r} are of different suites; remove the one "
                "that is of another run, and use `evenhand compare` for methods of several runs"
            )
    if isinstance(spec, Suite) and digests[first] != spec.digest():
        raise EvenhandError(
            f"{root / SUITE_FILE}: suite is not the one of the results in the folder; remove the file and "
            "run the same `evenhand run` command again"
        )


def shown_images(images: pd.DataFrame, labels: pd.DataFrame) -> list[ImageRow]:
    """The first images of every method, kind and concept, with the labels of the panel.

    Args:
        images: The image table.
        labels: The label table.
    """
    if not len(images) or not len(labels):
        return []
    images = images[images["path"] != ""].sort_values(["method", "seed_index", "prompt_id"])
    place = images.groupby(["method", "kind", "concept"], sort=False, dropna=False).cumcount()
    # Of a million images, rows become Python objects only for the few that are shown.
    images = images[place < SHOWN_PER_CONCEPT]
    panel = labels[(labels["judge"] == PANEL) & labels["key"].isin(set(images["key"]))]
    perceived: dict[str, dict[str, str]] = {}
    for key, attribute, label in zip(panel["key"], panel["attribute"], panel["label"], strict=True):
        perceived.setdefault(key, {})[attribute] = label or UNDETERMINED
    return [_image_row(row, perceived.get(row["key"], {})) for row in images.to_dict("records")]


def _image_row(row: Mapping[Hashable, object], labels: dict[str, str]) -> ImageRow:
    known = {name: row[name] for name in ImageRow.model_fields if name in row}
    return ImageRow.model_validate(known | {"labels": labels})
