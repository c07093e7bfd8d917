"""What the labels of a run say about its single images: three facts that a reader looks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.results.result import JudgeCard
from evenhand.bench.results.text import PANEL, UNDETERMINED, parse_cell

PERCEIVED = "perceived_"
"""Prefix of the columns with the panel's labels."""

Mask = NDArray[np.bool_]


def image_facts(
    images: pd.DataFrame,
    labels: pd.DataFrame,
    *,
    attributes: Sequence[str],
    voting: Sequence[str],
    base: str | None,
) -> pd.DataFrame:
    """The image table with the panel's labels and what they say about each image.

    Args:
        images: The image table: one row per method, prompt and seed.
        labels: The label table with the panel's votes.
        attributes: The attributes of the run.
        voting: The judges that have a vote.
        base: Label of the baseline, whose images start from the same noise; ``None`` if there is none.

    Returns:
        The rows of ``images`` with a column ``perceived_<attribute>`` for each attribute (a group,
        ``"undetermined"``, or empty where the image was not labelled) and three columns that name attributes,
        joined by ``;``:

        - ``changed``: the panel perceives another group than in the baseline's image of the same prompt and
          seed. An undetermined label changes nothing.
        - ``disobeyed``: the panel perceives another group than an explicit prompt names.
        - ``disagreed``: two voting judges gave the image different labels.
    """
    perceived = _perceived(images, labels, attributes)
    asked = _asked(images["cell"].where(images["kind"] == "explicit", ""), attributes)
    disagreed = _disagreed(images["key"], labels[labels["judge"].isin(list(voting))], attributes)
    before = {name: _before(images, perceived[name], base) for name in attributes}
    changed = {
        name: _determined(perceived[name]) & _determined(before[name]) & (perceived[name] != before[name])
        for name in attributes
    }
    disobeyed = {
        name: _determined(perceived[name]) & (asked[name] != "") & (perceived[name] != asked[name])
        for name in attributes
    }
    return images.assign(
        **{PERCEIVED + name: perceived[name] for name in attributes},
        changed=_named(changed, len(images)),
        disobeyed=_named(disobeyed, len(images)),
        disagreed=_named(disagreed, len(images)),
    )


def voting_judges(judges: Sequence[JudgeCard]) -> list[str]:
    """Names of the judges that have a vote."""
    return [judge.name for judge in judges if judge.role == "panel"]


def _perceived(
    images: pd.DataFrame, labels: pd.DataFrame, attributes: Sequence[str]
) -> dict[str, NDArray[np.object_]]:
    """The panel's label of each image."""
    votes = labels[labels["judge"] == PANEL]
    found = {}
    for name in attributes:
        rows = votes[votes["attribute"] == name].drop_duplicates("key", keep="last")
        shown = rows["label"].astype(object).where(rows["status"] == "ok", UNDETERMINED)
        of_key = pd.Series(shown.to_numpy(), index=rows["key"].astype(object))
        found[name] = images["key"].map(of_key).astype(object).fillna("").to_numpy()
    return found


def _asked(cells: pd.Series[str], attributes: Sequence[str]) -> dict[str, NDArray[np.object_]]:
    """The group that each cell names; empty where it names none."""
    known = {cell: parse_cell(cell) for cell in cells.unique()}
    return {
        name: np.array([known[cell].get(name, "") for cell in cells], dtype=object) for name in attributes
    }


def _before(images: pd.DataFrame, perceived: NDArray[np.object_], base: str | None) -> NDArray[np.object_]:
    """The label of the baseline's image of the same prompt and seed; empty where there is none."""
    place = pd.MultiIndex.from_frame(images[["prompt_id", "seed_index"]])
    of_base = (images["method"] == base).to_numpy() if base is not None else np.zeros(len(images), bool)
    labels = pd.Series(perceived[of_base], index=place[of_base], dtype=object)
    return labels.reindex(place).astype(object).fillna("").to_numpy()


def _disagreed(keys: pd.Series[str], answers: pd.DataFrame, attributes: Sequence[str]) -> dict[str, Mask]:
    """Whether labels of an image differ between judges."""
    decided = answers[answers["status"] == "ok"]
    found = {}
    for name in attributes:
        rows = decided[decided["attribute"] == name]
        kinds = rows[["key", "label"]].astype(object).drop_duplicates()["key"].value_counts()
        found[name] = keys.isin(kinds.index[kinds > 1]).to_numpy()
    return found


def _determined(labels: NDArray[np.object_]) -> Mask:
    return np.asarray((labels != "") & (labels != UNDETERMINED), dtype=bool)


def _named(facts: Mapping[str, Mask], rows: int) -> list[str]:
    """The attributes that a fact holds for, joined by ``;``, of each image."""
    numbers = np.zeros(rows, dtype=int)
    for place, held in enumerate(facts.values()):
        numbers |= held.astype(int) << place
    names = list(facts)
    texts = {
        number: ";".join(name for place, name in enumerate(names) if number >> place & 1)
        for number in set(numbers.tolist())
    }
    return [texts[number] for number in numbers.tolist()]
