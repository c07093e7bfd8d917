"""Giving images of a run to people: the sample, the page, the sheet, and the key that stays here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evenhand.bench.annotation.files import KEY_COLUMNS, image_id, key_folder
from evenhand.bench.annotation.form import questions_of, version_of
from evenhand.bench.calibration.strata import image_strata
from evenhand.bench.errors import EvenhandError
from evenhand.bench.prompts.prompt_set import format_cell
from evenhand.bench.storage.run_folder import RunSpec, RunFolder
from evenhand.bench.storage.files import write_atomically
from evenhand.bench.suites.audit_config import Audit
from evenhand.metrics.annotation.answers import ANSWER_COLUMNS, BETWEEN, CANNOT_TELL, CLOSED, OTHER
from evenhand.metrics.annotation.readers import THUMBNAIL
from evenhand.metrics.annotation.sampling import draw_sample, shuffled
from evenhand.metrics.estimation.anchors import ANCHOR_COLUMNS, check_anchors
from evenhand.metrics.estimation.panel import PANEL
from evenhand.metrics.statistics.uncertainty import stream
from evenhand.reports.annotation.page import Form, Item, embed, write_page

SHARE = 0.05
"""Gold images, and images shown twice, among those drawn (measurement.md 4.4)."""


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        batch: Name of the export.
        page: The annotation page.
        sheet: The same images as a wide sheet.
        key: Which image is which; it stays in the run.
        images: Images drawn.
        repeats: Of these, shown twice.
        gold: Gold images.
        strata: Strata with their images, and how many were drawn: columns ``stratum``, ``images``,
            ``drawn``.
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
    gold: Path | None = None,
    seed: int = 0,
) -> Exported:
    """Draw images of a run and write what people need to label them.

    ``OUT`` can be handed out whole: it has the page, the sheet with its thumbnails, and the words that the
    sheet takes. Which image is which is kept in ``RUN/annotation/<batch>.csv``.

    Args:
        run: Folder of a finished run.
        out: Folder to write; new or empty.
        n: Images of neutral prompts.
        explicit: Images of explicit prompts, at most; 0 for none.
        min_per_group: Least images of each class of the panel's vote among the neutral ones.
        gold: CSV ``key,attribute,label`` of images whose labels are agreed; none if ``None``.
        seed: Seed of the draw.

    Raises:
        EvenhandError: The folder is no run or has no labels, ``out`` is not empty, an image is missing, the
            gold is not valid, or ``n`` is too small for the strata.
    """
    work = RunFolder(run)
    suite = work.spec()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise EvenhandError(f"output folder {out} is not empty; choose an empty or new --out")
    rng = stream(seed, "humans")
    frame = strata_of(work, suite)
    neutral = frame[frame["kind"] == "neutral"]
    parts = [draw_sample(neutral, n=n, rng=rng, min_per_group=min_per_group)]
    asked = frame[frame["kind"] == "explicit"]
    if explicit and len(asked):
        parts.append(
            draw_sample(asked, n=max(explicit, asked["stratum"].nunique()), rng=rng, min_per_group=0)
        )
    drawn = pd.concat(parts, ignore_index=True)
    agreed = _gold(gold, suite, work, drawn=drawn, rng=rng)
    chosen = _with_gold(drawn, agreed, rng=rng)
    chosen["image_id"] = [image_id(work.images.path(key)) for key in chosen["key"]]
    repeats = set(rng.permutation(drawn["key"])[: max(1, round(SHARE * len(drawn)))])
    chosen["is_repeat"] = chosen["key"].isin(repeats).astype(int)
    return _write(work, suite, out, chosen, frame, seed=seed)


def strata_of(work: RunFolder, suite: RunSpec) -> pd.DataFrame:
    """Every image of a neutral or explicit prompt once, with where it belongs.

    The strata are stereotype side of the occupation (female, male, or none known) x base or debiased (in an
    audit, the model) x the panel's vote on the primary attributes; explicit prompts have strata of their own.
    An image that several methods share belongs to the base model.

    Returns:
        Columns ``key``, ``kind``, ``vote``, ``stratum``.

    Raises:
        EvenhandError: The run has no images or no labels yet.
    """
    images, labels = work.image_table.read(), work.labels.read()
    if images.empty or labels.empty:
        raise EvenhandError(f"run {work.root} is not finished; run the same `evenhand run` command again")
    usable = images[(images["status"] == "ok") & images["kind"].isin(["neutral", "explicit"])]
    strata = image_strata(usable, elsewhere=isinstance(suite, Audit))
    votes = labels[(labels["judge"] == PANEL) & labels["attribute"].isin(suite.primary)]
    wide = votes.assign(label=votes["label"].where(votes["status"] == "ok", "")).pivot(
        index="key", columns="attribute", values="label"
    )
    cells = wide.reindex(strata.index).reindex(columns=list(suite.primary)).fillna("")
    vote = ["*".join(cell) if all(cell) else "undetermined" for cell in cells.itertuples(index=False)]
    side = strata["stereotype"].where(strata["kind"] == "neutral", strata["kind"])
    stratum = ["/".join(parts) for parts in zip(side, strata["model"], vote, strict=True)]
    frame = pd.DataFrame({"kind": strata["kind"], "vote": vote, "stratum": stratum}, index=strata.index)
    return frame.reset_index(names="key")


def _gold(
    path: Path | None, suite: RunSpec, work: RunFolder, *, drawn: pd.DataFrame, rng: np.random.Generator
) -> dict[str, dict[str, str]]:
    """Some of the agreed images: key to attribute to label."""
    if path is None:
        return {}
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, comment="#")
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as fault:
        raise EvenhandError(
            f"gold {path} cannot be read ({fault}); write a CSV {','.join(ANCHOR_COLUMNS)}"
        ) from fault
    agreed = check_anchors(table, taxonomy=suite.taxonomy)
    strange = sorted(set(agreed["key"]) - set(work.image_table.read()["key"]))
    if strange:
        raise EvenhandError(f"gold {path} names image {strange[0]!r}, which is not in run {work.root}")
    wanted = max(1, round(SHARE * len(drawn)))
    keys = sorted(rng.permutation(sorted(set(agreed["key"])))[:wanted])
    return {
        str(key): dict(zip(rows["attribute"], rows["label"], strict=True))
        for key, rows in agreed[agreed["key"].isin(keys)].groupby("key", sort=True)
    }


def _with_gold(
    drawn: pd.DataFrame, agreed: dict[str, dict[str, str]], *, rng: np.random.Generator
) -> pd.DataFrame:
    """The sample with the gold images that are not in it, in random order."""
    added = pd.DataFrame({"key": [key for key in agreed if key not in set(drawn["key"])]})
    table = pd.concat([drawn, added], ignore_index=True) if len(added) else drawn
    gold = [format_cell(agreed.get(key, {})) for key in table["key"]]
    return shuffled(table.assign(gold=gold), rng=rng)


def _write(
    work: RunFolder, suite: RunSpec, out: Path, chosen: pd.DataFrame, frame: pd.DataFrame, *, seed: int
) -> Exported:
    questions = questions_of(suite.taxonomy)
    ids = sorted(chosen["image_id"])
    batch = hashlib.sha256(f"{suite.digest()} {seed} {' '.join(ids)}".encode()).hexdigest()[:10]
    items = [
        Item(image, work.images.path(key))
        for image, key in zip(chosen["image_id"], chosen["key"], strict=True)
    ]
    repeats = chosen[chosen["is_repeat"] == 1]
    out.mkdir(parents=True, exist_ok=True)
    page, sheet, key = out / "annotate.html", out / "sheet.csv", key_folder(work) / f"{batch}.csv"
    form = Form(
        batch=batch,
        version=version_of(questions),
        columns=tuple(name for name in ANSWER_COLUMNS if name != "is_gold"),
        between=BETWEEN,
        items=tuple(items),
        repeats=tuple(repeats["image_id"]),
        questions=questions,
    )
    write_page(form, page)
    _write_sheet(sheet, items, suite)
    write_atomically(key, chosen.reindex(columns=list(KEY_COLUMNS)).to_csv(index=False).encode())
    sizes = frame.groupby("stratum", sort=True).size()
    counts = chosen["stratum"].value_counts().reindex(sizes.index, fill_value=0)
    strata = pd.DataFrame({"stratum": sizes.index, "images": sizes.to_numpy(), "drawn": counts.to_numpy()})
    gold = int((chosen["gold"] != "").sum())
    return Exported(batch, page, sheet, key, len(chosen), len(repeats), gold, strata[strata["drawn"] > 0])


def _write_sheet(path: Path, items: Sequence[Item], suite: RunSpec) -> None:
    """The wide sheet, its thumbnails, and beside it the words that each column takes."""
    attributes = list(suite.taxonomy)
    facts = [name for name in CLOSED if name != "n_people"]
    folder = path.parent / "images"
    folder.mkdir()
    rows = []
    for item in items:
        media, data = embed(item.path)
        name = f"{item.id}.{media.removeprefix('image/')}"
        (folder / name).write_bytes(data)
        rows.append({"image_id": item.id, THUMBNAIL: f"images/{name}"})
    columns = ["image_id", THUMBNAIL, "annotator_id", "n_people", *attributes, *facts]
    table = pd.DataFrame(rows).reindex(columns=columns)
    write_atomically(path, table.to_csv(index=False).encode())
    words = dict(CLOSED) | {name: (*groups, OTHER, CANNOT_TELL) for name, groups in suite.taxonomy.items()}
    longest = pd.DataFrame({name: pd.Series(words[name]) for name in ("n_people", *attributes, *facts)})
    write_atomically(path.with_name("sheet-words.csv"), longest.to_csv(index=False).encode())
