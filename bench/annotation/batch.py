"""Exports images of a run as an annotation batch: the sample, the web page, the spreadsheet and the key."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evenhand.bench.annotation.files import KEY_COLUMNS, image_id, key_folder
from evenhand.bench.annotation.form import questions_of, version_of
from evenhand.bench.annotation.sample import sample_by_kind, sample_by_method, strata_of, with_baseline
from evenhand.bench.errors import EvenhandError
from evenhand.bench.external_images.anchor_file import read_anchors
from evenhand.bench.storage.files import write_atomically
from evenhand.bench.storage.run_folder import RunFolder, RunSpec
from evenhand.metrics.annotation.answers import ANSWER_COLUMNS, BETWEEN, CANNOT_TELL, CLOSED, OTHER
from evenhand.metrics.annotation.readers import THUMBNAIL
from evenhand.metrics.annotation.sampling import shuffled
from evenhand.metrics.estimation.anchors import check_anchors
from evenhand.metrics.statistics.uncertainty import stream
from evenhand.metrics.terms import format_cell
from evenhand.reports.annotation.page import Form, Item, embed, write_page

SHARE = 0.05
"""Share of gold images, and of images that are shown twice, in a sample."""


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Attributes:
        batch: Name of the batch.
        page: Path of the annotation page.
        sheet: Path of the spreadsheet with the same images.
        key: Path of the key, which identifies the images and stays in the run.
        images: Number of sampled images.
        repeats: Number of images that are shown twice.
        gold: Number of gold images.
        strata: Size and sample size of the strata: columns ``stratum``, ``images``, ``drawn``.
    """

    batch: str
    page: Path
    sheet: Path
    key: Path
    images: int
    repeats: int
    gold: int
    strata: pd.DataFrame


def export_images(
    run: Path,
    out: Path,
    *,
    n: int,
    explicit: int,
    min_per_group: int,
    per_method: int = 0,
    methods: Sequence[str] = (),
    gold: Path | None = None,
    seed: int = 0,
) -> Exported:
    """Sample images of a run and write an annotation batch for people.

    ``out`` can be given to annotators as it is: it has the web page, the spreadsheet with thumbnails, and the
    allowed labels. The key that identifies the images is ``RUN/annotation/<batch>.csv``.

    Args:
        run: Folder of a finished run.
        out: Folder to write; must be new or empty.
        n: Number of images of neutral prompts.
        explicit: Approximate number of images of explicit prompts; 0 for none.
        min_per_group: Minimum number of images of each group of the panel vote among neutral prompts; of each
            method if ``per_method`` is given.
        per_method: Number of images of each method, instead of ``n`` and ``explicit``; 0 to ignore methods.
        methods: The methods for ``per_method``; all if empty.
        gold: CSV ``key,attribute,label`` of images with agreed labels; none if ``None``.
        seed: Seed of the sample.

    Raises:
        EvenhandError: The folder is not a run or has no labels, ``out`` is not empty, an image is missing,
            the gold labels are not valid, a method is unknown, or ``n`` is too small for the strata.
    """
    run_folder = RunFolder(run)
    suite = run_folder.spec()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise EvenhandError(f"{out}: output folder is not empty; choose an empty or new --out")
    rng = stream(seed, "humans")
    frame = strata_of(run_folder, suite, by_method=per_method > 0)
    if per_method:
        sides = with_baseline(frame, suite, methods)
        drawn = sample_by_method(frame, sides, n=per_method, min_per_group=min_per_group, rng=rng)
    else:
        drawn = sample_by_kind(frame, n=n, explicit=explicit, min_per_group=min_per_group, rng=rng)
    agreed = _gold(gold, suite, run_folder, drawn=drawn, rng=rng)
    chosen = _with_gold(drawn, agreed, rng=rng)
    chosen["image_id"] = [image_id(run_folder.images.path(key)) for key in chosen["key"]]
    repeats = set(rng.permutation(drawn["key"])[: max(1, round(SHARE * len(drawn)))])
    chosen["is_repeat"] = chosen["key"].isin(repeats).astype(int)
    return _write(run_folder, suite, out, chosen, frame, seed=seed)


def _gold(
    path: Path | None, suite: RunSpec, run_folder: RunFolder, *, drawn: pd.DataFrame, rng: np.random.Generator
) -> dict[str, dict[str, str]]:
    """A sample of the gold images: keys to attributes to labels."""
    if path is None:
        return {}
    keys = {key: key for key in run_folder.image_table.read(whole=True)["key"]}
    table = read_anchors(path, keys=keys, taxonomy=suite.taxonomy, what="file of gold labels").table
    agreed = check_anchors(table, taxonomy=suite.taxonomy)
    count = max(1, round(SHARE * len(drawn)))
    chosen = sorted(rng.permutation(sorted(set(agreed["key"])))[:count])
    return {
        str(key): dict(zip(rows["attribute"], rows["label"], strict=True))
        for key, rows in agreed[agreed["key"].isin(chosen)].groupby("key", sort=True)
    }


def _with_gold(
    drawn: pd.DataFrame, agreed: dict[str, dict[str, str]], *, rng: np.random.Generator
) -> pd.DataFrame:
    """The sample and the gold images that are not in it, in random order."""
    added = pd.DataFrame({"key": [key for key in agreed if key not in set(drawn["key"])]})
    table = pd.concat([drawn, added], ignore_index=True) if len(added) else drawn
    gold = [format_cell(agreed.get(key, {})) for key in table["key"]]
    return shuffled(table.assign(gold=gold), rng=rng)


def _write(
    run_folder: RunFolder, suite: RunSpec, out: Path, chosen: pd.DataFrame, frame: pd.DataFrame, *, seed: int
) -> Exported:
    questions = questions_of(suite.taxonomy)
    ids = sorted(chosen["image_id"])
    batch = hashlib.sha256(f"{suite.digest()} {seed} {' '.join(ids)}".encode()).hexdigest()[:10]
    items = [
        Item(image, run_folder.images.path(key))
        for image, key in zip(chosen["image_id"], chosen["key"], strict=True)
    ]
    repeats = chosen[chosen["is_repeat"] == 1]
    out.mkdir(parents=True, exist_ok=True)
    page, sheet, key = out / "annotate.html", out / "sheet.csv", key_folder(run_folder) / f"{batch}.csv"
    form = Form(
        batch=batch,
        version=version_of(questions),
        columns=tuple(name for name in ANSWER_COLUMNS if name != "is_gold"),
        between=BETWEEN,
        folder=run_folder.root,
        items=tuple(items),
        repeats=tuple(repeats["image_id"]),
        questions=questions,
    )
    write_page(form, page)
    _write_sheet(sheet, form, suite)
    write_atomically(key, chosen.reindex(columns=list(KEY_COLUMNS)).to_csv(index=False).encode())
    sizes = frame.groupby("stratum", sort=True).size()
    counts = chosen["stratum"].value_counts().reindex(sizes.index, fill_value=0)
    strata = pd.DataFrame({"stratum": sizes.index, "images": sizes.to_numpy(), "drawn": counts.to_numpy()})
    gold = int((chosen["gold"] != "").sum())
    return Exported(batch, page, sheet, key, len(chosen), len(repeats), gold, strata[strata["drawn"] > 0])


def _write_sheet(path: Path, form: Form, suite: RunSpec) -> None:
    """Write the spreadsheet, its thumbnails, and a file with the allowed values of each column."""
    attributes = list(suite.taxonomy)
    facts = [name for name in CLOSED if name != "n_people"]
    folder = path.parent / "images"
    folder.mkdir()
    rows = []
    for item in form.items:
        media, data = embed(item.path, folder=form.folder)
        name = f"{item.id}.{media.removeprefix('image/')}"
        (folder / name).write_bytes(data)
        rows.append({"image_id": item.id, THUMBNAIL: f"images/{name}"})
    columns = ["image_id", THUMBNAIL, "annotator_id", "n_people", *attributes, *facts]
    table = pd.DataFrame(rows).reindex(columns=columns)
    write_atomically(path, table.to_csv(index=False).encode())
    words = dict(CLOSED) | {name: (*groups, OTHER, CANNOT_TELL) for name, groups in suite.taxonomy.items()}
    longest = pd.DataFrame({name: pd.Series(words[name]) for name in ("n_people", *attributes, *facts)})
    write_atomically(path.with_name("sheet-words.csv"), longest.to_csv(index=False).encode())
