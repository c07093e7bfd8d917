"""Labels the images of a run with every judge, and embeds them with the scorer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.memory import memory_needed
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.storage.tables import Table
from evenhand.metrics.judges.base import Images, Judge
from evenhand.metrics.judges.clip_scorer import ClipScorer
from evenhand.metrics.table import LABEL_COLUMNS, label_rows

CHUNK = 256
"""Number of images that are judged between two writes to the label table."""

CHUNK_BYTES = 2**28
"""Maximum size of the decoded images of a chunk, in bytes."""

Taxonomies = Mapping[str, tuple[str, ...]]


def check_judge(judge: Judge, attributes: Taxonomies) -> None:
    """Check that a judge has the groups of the suite for the attributes that both have.

    Raises:
        EvenhandError: The judge has other groups for an attribute, or none of the attributes.
    """
    shared = [name for name in attributes if name in judge.info.taxonomies]
    if not shared:
        raise EvenhandError(
            f"judge {judge.info.name!r} has none of the attributes of the suite: {list(attributes)}"
        )
    for name in shared:
        if tuple(judge.info.taxonomies[name]) != tuple(attributes[name]):
            raise EvenhandError(
                f"judge {judge.info.name!r} has the groups {list(judge.info.taxonomies[name])} "
                f"for {name}, the "
                f"suite has {list(attributes[name])}; use the same groups in the same order"
            )


def judge_images(
    judges: Mapping[str, Judge],
    wanted: Mapping[str, Sequence[str]],
    *,
    attributes: Taxonomies,
    store: ImageStore,
    table: Table,
    progress: Progress,
) -> int:
    """Label images with several judges; every image is read and proven once, however many judges label it.

    Args:
        judges: The judges by name; they only get the images.
        wanted: Name of a judge to the keys of the images that it labels, all in the store.
        attributes: The attributes and groups of the suite.
        store: The image store.
        table: The label table to write to.
        progress: Reports progress.

    Returns:
        The number of labelled images, those of several judges counted for each.
    """
    asked = {name: set(keys) for name, keys in wanted.items() if keys}
    every = dict.fromkeys(key for keys in wanted.values() for key in keys)
    for chunk, images, broken in image_chunks(list(every), store):
        for name, keys in asked.items():
            places = [place for place, key in enumerate(chunk) if key in keys]
            if not places:
                continue
            all_of_them = len(places) == len(chunk)
            rows = _labelled(
                judges[name],
                [chunk[place] for place in places],
                images if all_of_them else images[places],
                [broken[place] for place in places],
                attributes,
            )
            table.append(rows)
            progress.advance(len(places))
    return sum(map(len, asked.values()))


def _labelled(
    judge: Judge, keys: list[str], images: Images, broken: Sequence[bool], attributes: Taxonomies
) -> pd.DataFrame:
    """The rows of the label table by one judge."""
    info = judge.info
    with _memory_of(images, f"label with judge {info.name!r}"):
        answers = judge.label(images)
    rows = [
        label_rows(
            keys=keys,
            judge=info.name,
            version=info.version,
            family=info.family,
            attribute=name,
            groups=attributes[name],
            probabilities=answers[name].probabilities,
            status=["error" if b else s for b, s in zip(broken, answers[name].status, strict=True)],
        )
        for name in attributes
        if name in info.taxonomies
    ]
    return pd.concat(rows, ignore_index=True)[list(LABEL_COLUMNS)]


def embed_images(
    scorer: ClipScorer,
    *,
    keys: Sequence[str],
    store: ImageStore,
    table: Table,
    progress: Progress,
    done: Set[str] = frozenset(),
) -> int:
    """Store the normalized embedding of every image of ``keys`` that is not in ``done``.

    Returns:
        The number of images embedded.
    """
    missing = [key for key in keys if key not in done]
    progress.advance(len(keys) - len(missing))
    for chunk, images, _ in image_chunks(missing, store):
        with _memory_of(images, "embed with the scorer"):
            vectors = list(scorer.embed(images).astype(np.float32))
        table.append(pd.DataFrame({"key": chunk, "scorer": scorer.version, "vector": vectors}))
        progress.advance(len(chunk))
    return len(missing)


def _memory_of(images: Images, task: str) -> AbstractContextManager[None]:
    count, height, width = images.shape[:3]
    return memory_needed(
        f"{task} {count} images of {width} x {height}",
        remedy="use fewer --workers, a smaller judge or scorer, or a device with more memory",
    )


def alignment(
    images: pd.DataFrame,
    vectors: Mapping[str, NDArray[np.float32]],
    embed_texts: Callable[[list[str]], NDArray[np.float32]],
) -> NDArray[np.float64]:
    """CLIP score of each image with its original prompt: 100 x cosine similarity, in [-100, 100]."""
    texts = sorted(set(images["prompt"]))
    of_text = dict(zip(texts, np.asarray(embed_texts(texts), dtype=np.float64), strict=True))
    pairs = zip(images["key"], images["prompt"], strict=True)
    return np.array(
        [100 * float(np.asarray(vectors[key], np.float64) @ of_text[text]) for key, text in pairs]
    )


def image_chunks(keys: Sequence[str], store: ImageStore) -> Iterator[tuple[list[str], Images, list[bool]]]:
    """Yield chunks of images of one size: their keys, the images, and whether each has non-finite pixels.

    Raises:
        EvenhandError: An image is missing or was altered.
    """
    pending: dict[tuple[int, ...], list[tuple[str, Images, bool]]] = {}
    for number, key in enumerate(keys, start=1):
        found = store.get(key)
        if found is None:
            raise EvenhandError(
                f"{store.path(key)}: image was altered or removed during the run; run the same command again"
            )
        image, status = found
        pending.setdefault(image.shape, []).append((key, image, status != "ok"))
        size = sum(len(rows) * rows[0][1].nbytes for rows in pending.values())
        if number % CHUNK == 0 or number == len(keys) or size >= CHUNK_BYTES:
            for rows in pending.values():
                names, images, broken = zip(*rows, strict=True)
                yield list(names), np.stack(images), list(broken)
            pending = {}
