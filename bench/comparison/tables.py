"""The tables of several runs as one: shared prompts and seeds, distinct keys for distinct images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.comparison.runs import Compared
from evenhand.bench.errors import EvenhandError
from evenhand.bench.results.text import count, plural
from evenhand.bench.storage.frames import stored_vectors, unrelated_keys

PROMPT = ["kind", "concept", "prompt", "cell"]
"""Columns that must be equal for prompts of two runs to be the same."""

FROM_FIRST = ["prompt_id", "template", "seed_index"]
"""Columns that may differ between runs; taken from the first run."""

Vectors = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Pooled:
    """Images of all sides in the shared slots; a slot is a prompt with a seed.

    Attributes:
        images: The image table; its methods are the sides.
        labels: The label table of the panel.
        vectors: Key to vector of the images of unrelated prompts; empty without a common scorer.
        by_seed: Whether images are paired by seed, not by their index within the prompt.
        remarks: What was excluded, and limits of the pairing.
    """

    images: pd.DataFrame
    labels: pd.DataFrame
    vectors: Vectors
    by_seed: bool
    remarks: list[str]

    @property
    def prompts(self) -> int:
        """Shared prompts."""
        return int(self.images["prompt_id"].nunique())

    @property
    def slots(self) -> int:
        """Shared images of each side."""
        return int(self.images.groupby("method").size().iloc[0])

    def concepts(self, order: Sequence[str]) -> tuple[str, ...]:
        """Concepts of the shared neutral prompts, in the given order."""
        found = set(self.images.loc[self.images["kind"] == "neutral", "concept"])
        return tuple(concept for concept in order if concept in found)

    def same(self, one: str, other: str) -> bool:
        """Whether two sides have identical images."""
        order = ["prompt_id", "seed_index"]
        keys = [
            self.images[self.images["method"] == side].sort_values(order)["key"].to_numpy()
            for side in (one, other)
        ]
        return bool((keys[0] == keys[1]).all())


def pool(runs: Sequence[Compared], *, scorer: bool) -> Pooled:
    """The tables of the runs as one.

    Args:
        runs: The runs.
        scorer: Whether to read the vectors of their common scorer.

    Raises:
        EvenhandError: A table is missing, or the runs share no prompt or no seed of a prompt.
    """
    tables = [run.image_table() for run in runs]
    by_seed = all("seed" in table and table["seed"].notna().all() for table in tables)
    place = "seed" if by_seed else "seed_index"
    slots = [_slots(table, place) for table in tables]
    shared = slots[0]
    for other in slots[1:]:
        shared = shared.merge(other[[*PROMPT, place, "twin"]], on=[*PROMPT, place, "twin"])
    if shared.empty:
        raise _nothing_shared(runs, slots, place)
    kept = [_on(shared, table, place) for table in tables]
    labels = [run.label_table() for run in runs]
    labels = [rows[rows["key"].isin(set(table["key"]))] for rows, table in zip(labels, kept, strict=True)]
    vectors = [
        stored_vectors(run.work, unrelated_keys(table)) if scorer else {}
        for run, table in zip(runs, kept, strict=True)
    ]
    renamed = _renamed(runs, kept, labels)
    images, stacked = _stacked(kept, renamed), _stacked(labels, renamed)
    # The last bits of a score depend on the batch; use one score per image.
    images["alignment"] = images.groupby("key")["alignment"].transform("first")
    return Pooled(
        images=images,
        labels=stacked.drop_duplicates(["key", "judge", "attribute"], ignore_index=True),
        vectors={
            names.get(key, key): vector
            for found, names in zip(vectors, renamed, strict=True)
            for key, vector in found.items()
        },
        by_seed=by_seed,
        remarks=_remarks(runs, slots, len(shared), by_seed=by_seed),
    )


def _slots(table: pd.DataFrame, place: str) -> pd.DataFrame:
    """The prompts and seeds of a run; ``twin`` numbers equal prompts of several prompt sets."""
    slots: pd.DataFrame = table[table["method"] == table["method"].iloc[0]].sort_values(
        ["prompt_id", "seed_index"]
    )
    columns = list(dict.fromkeys([*PROMPT, place, *FROM_FIRST]))
    return slots[columns].assign(twin=slots.groupby([*PROMPT, place], sort=False).cumcount())


def _on(shared: pd.DataFrame, table: pd.DataFrame, place: str) -> pd.DataFrame:
    """The images of the shared slots, with the names of the first run."""
    ordered = table.sort_values(["method", "prompt_id", "seed_index"])
    twin = ordered.groupby(["method", *PROMPT, place], sort=False).cumcount()
    keys = [*PROMPT, place, "twin"]
    own = ordered.assign(twin=twin).drop(columns=[name for name in FROM_FIRST if name != place])
    return own.merge(shared, on=keys).drop(columns="twin")


def _nothing_shared(runs: Sequence[Compared], slots: Sequence[pd.DataFrame], place: str) -> EvenhandError:
    names = ", ".join(run.name for run in runs)
    texts = set.intersection(*(set(table["prompt"]) for table in slots))
    if not texts:
        return EvenhandError(f"runs {names} share no prompt; compare runs of the same prompts")
    number = plural(len(texts), "prompt")
    return EvenhandError(
        f"runs {names} share {number} but no seed, concept and kind of one; use the same seeds"
        if place == "seed"
        else f"runs {names} share {number} but not their concept and kind; use the same concepts and kinds"
    )


def _renamed(
    runs: Sequence[Compared], tables: Sequence[pd.DataFrame], labels: Sequence[pd.DataFrame]
) -> list[dict[str, str]]:
    """By run, new keys for images that an earlier run has under the same key with different labels.

    A key identifies how an image was made. The last bits can differ between machines, and so can labels.
    """
    known: dict[str, object] = {}
    renamed: list[dict[str, str]] = []
    for run, table, rows in zip(runs, tables, labels, strict=True):
        contents: dict[str, object] = dict(zip(table["key"], table["status"], strict=True))
        for row in rows.sort_values(["key", "judge", "attribute"]).itertuples():
            said = (row.judge, row.attribute, row.label, np.asarray(row.probabilities, float).tobytes())
            contents[str(row.key)] = (contents[str(row.key)], said)
        other = [key for key, content in contents.items() if known.get(key, content) != content]
        renamed.append({key: f"{key}@{run.name}" for key in other})
        known = contents | known
    return renamed


def _stacked(frames: Sequence[pd.DataFrame], renamed: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """The tables of all runs stacked, with the new keys."""
    parts = [
        frame.assign(key=[names.get(key, key) for key in frame["key"]])
        for frame, names in zip(frames, renamed, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def _remarks(
    runs: Sequence[Compared], slots: Sequence[pd.DataFrame], shared: int, *, by_seed: bool
) -> list[str]:
    remarks = []
    if any(len(table) != shared for table in slots):
        parts = [
            f"{count(shared)} of {count(len(table))} of {run.name}"
            for run, table in zip(runs, slots, strict=True)
        ]
        remarks.append(f"only images of shared prompts and seeds are compared: {', '.join(parts)}")
    if not by_seed:
        remarks.append(
            "an image list has no seeds, so images of a prompt are paired in the order of the lists; they do "
            "not start from the same noise"
        )
    return remarks
