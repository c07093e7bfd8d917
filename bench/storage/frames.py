"""The images, labels and embeddings of a run folder."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.bench.results.image_facts import image_facts, voting_judges
from evenhand.bench.results.result import BASE, Result
from evenhand.bench.results.text import PANEL
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.suites.audit_config import Audit


def images_frame(run_folder: RunFolder, results: Sequence[Result], labels: pd.DataFrame) -> pd.DataFrame:
    """One row per image: its method, prompt and seed, how the panel perceives it, and its file.

    Args:
        run_folder: The folder.
        results: The results of the run; images of other methods are left out.
        labels: The labels of :func:`labels_frame`.

    Returns:
        The rows of :func:`evenhand.bench.results.image_facts.image_facts`; empty if the folder has no
        images. ``path`` is empty where there is no image.

    Raises:
        EvenhandError: An image has an invalid key, or an invalid cell.
    """
    table = run_folder.image_table.read(whole=True)
    if not len(table):
        return table
    order = {result.spec.method.label: place for place, result in enumerate(results)}
    table = table[table["method"].isin(list(order))].drop(columns="folder", errors="ignore")
    # The file follows from the key, so a table cannot name a file outside the folder.
    store, root = run_folder.images, run_folder.root.as_posix()
    paths = [
        f"{root}/{store.relative_path(key)}" if path else ""
        for key, path in zip(table["key"], table["path"], strict=True)
    ]
    table = table.assign(path=paths, _order=table["method"].map(order))
    table = table.sort_values(["_order", "kind", "concept", "prompt", "seed_index"], kind="stable")
    spec = results[0].spec
    try:
        return image_facts(
            table.drop(columns="_order").reset_index(drop=True),
            labels,
            attributes=list(spec.attributes),
            voting=voting_judges(spec.judges),
            base=_base(results),
        )
    except ValueError as fault:  # a cell that is not of the form gender=woman
        raise EvenhandError(f"{run_folder.image_table.path}: {fault}; run the suite again") from fault


def labels_frame(run_folder: RunFolder, results: Sequence[Result]) -> pd.DataFrame:
    """The answers of every judge and the votes of the panel: one row per image, judge and attribute.

    Labels of earlier versions of a judge are left out.

    Args:
        run_folder: The folder.
        results: The results of the run.
    """
    rows = run_folder.labels.read(compact=True, whole=True)
    if not len(rows):
        return pd.DataFrame(columns=[*run_folder.labels.keys, "family", "label", "confidence", "status"])
    version = rows["judge"].astype(object).map(_judge_versions(results))
    return rows[(rows["judge"] == PANEL) | (rows["judge_version"].astype(object) == version)].reset_index(
        drop=True
    )


def judged_tables(run_folder: RunFolder) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The image table and the label table of a run, for analyses of its judges.

    A run that was repeated with another version of a judge keeps the labels of both. Only those of the
    version in the results are returned; labels of judges that no result states are kept.

    Args:
        run_folder: The folder of a run or audit.

    Raises:
        EvenhandError: The folder is not a run, its images are not judged, or a result or table is damaged.
    """
    images, labels = run_folder.image_table.read(whole=True), run_folder.labels.read(whole=True)
    if images.empty or labels.empty:
        command = "audit" if isinstance(run_folder.spec(), Audit) else "run"
        raise EvenhandError(
            f"{run_folder.root}: run has no judged images; run the same `evenhand {command}` command again"
        )
    stated = labels["judge"].map(_judge_versions(map(Result.load, run_folder.result_paths())))
    return images, labels[stated.isna() | (labels["judge_version"] == stated)]


def unrelated_keys(images: pd.DataFrame) -> set[str]:
    """Keys of the images of unrelated prompts that were generated; preservation compares their embeddings."""
    return set(images.loc[(images["kind"] == "unrelated") & (images["status"] == "ok"), "key"])


def stored_vectors(run_folder: RunFolder, keys: Collection[str]) -> dict[str, NDArray[np.float32]]:
    """Key to embedding of some images of a run with a scorer.

    Args:
        run_folder: The folder of the run.
        keys: Keys of images that were generated.

    Raises:
        EvenhandError: The table of embeddings is missing or damaged, or lacks an image.
    """
    if not keys:
        return {}
    table = run_folder.vectors
    table.check_finished()
    rows = table.read(whole=True)
    found = {key: vector for key, vector in zip(rows["key"], rows["vector"], strict=True) if key in keys}
    if lost := sorted(set(keys) - found.keys()):
        raise EvenhandError(
            f"{table.path}: embedding of image {lost[0]} is missing; run the same `evenhand run` command "
            "again"
        )
    return found


def _judge_versions(results: Iterable[Result]) -> dict[str, str]:
    """Name of a judge to its version in the results."""
    return {judge.name: judge.version for result in results for judge in result.spec.judges}


def _base(results: Sequence[Result]) -> str | None:
    """Label of the baseline; external images need not start from the same noise, so they have none."""
    labels = [r.spec.method.label for r in results if r.spec.method.name == BASE and not r.spec.external]
    return labels[0] if labels else None
