"""Judging a run's images: every judge labels every image once, and an encoder embeds it once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.storage.tables import Table
from evenhand.metrics.judges.base import Images, Judge
from evenhand.metrics.judges.clip_scorer import ClipScorer
from evenhand.metrics.table import LABEL_COLUMNS, label_rows

CHUNK = 256
"""Images judged between two writes to the label table."""

CHUNK_BYTES = 2**28
"""Bytes of decoded images after which a chunk is full, however few they are."""

Taxonomies = Mapping[str, tuple[str, ...]]


def check_judge(judge: Judge, attributes: Taxonomies) -> None:
    """Refuse a judge whose groups for an attribute are not the suite's.

    Raises:
        EvenhandError: The judge knows an attribute of the suite by other groups, or none of them.
    """
    shared = [name for name in attributes if name in judge.info.taxonomies]
    if not shared:
        raise EvenhandError(
            f"judge {judge.info.name!r} knows none of the suite's attributes {list(attributes)}"
        )
    for name in shared:
        if tuple(judge.info.taxonomies[name]) != tuple(attributes[name]):
            raise EvenhandError(
                f"judge {judge.info.name!r} tells {name} apart as {list(judge.info.taxonomies[name])}, "
                f"the suite as {list(attributes[name])}; use the same groups in the same order"
            )


def judge_images(
    judge: Judge,
    *,
    keys: Sequence[str],
    attributes: Taxonomies,
    store: ImageStore,
    table: Table,
    progress: Progress,
    done: Set[str] = frozenset(),
) -> int:
    """Label every image of ``keys`` that this judge, in this version, has not labelled yet.

    Args:
        judge: The judge; it sees the images alone.
        keys: Images, all in the store.
        attributes: The suite's taxonomies.
        store: Where the images lie.
        table: Where the labels go.
        progress: Told of every image.
        done: Keys that it has labelled.

    Returns:
        How many images it labelled.
    """
    info = judge.info
    missing = [key for key in keys if key not in done]
    progress.advance(len(keys) - len(missing))
    for chunk, images, broken in image_chunks(missing, store):
        names = [name for name in attributes if name in info.taxonomies]
        answers = judge.label(images)
        rows = [
            label_rows(
                keys=chunk,
                judge=info.name,
                version=info.version,
                family=info.family,
                attribute=name,
                groups=attributes[name],
                probabilities=answers[name].probabilities,
                status=["error" if b else s for b, s in zip(broken, answers[name].status, strict=True)],
            )
            for name in names
        ]
        table.append(pd.concat(rows, ignore_index=True)[list(LABEL_COLUMNS)])
        progress.advance(len(chunk))
    return len(missing)


def embed_images(
    scorer: ClipScorer,
    *,
    keys: Sequence[str],
    store: ImageStore,
    table: Table,
    done: Set[str] = frozenset(),
) -> int:
    """Store the unit image vector of every image of ``keys`` that is not among those ``done``.

    Returns:
        How many images it embedded.
    """
    missing = [key for key in keys if key not in done]
    for chunk, images, _ in image_chunks(missing, store):
        vectors = list(scorer.embed(images).astype(np.float32))
        table.append(pd.DataFrame({"key": chunk, "scorer": scorer.version, "vector": vectors}))
    return len(missing)


def alignment(
    images: pd.DataFrame,
    vectors: Mapping[str, NDArray[np.float32]],
    embed_texts: Callable[[list[str]], NDArray[np.float32]],
) -> NDArray[np.float64]:
    """100 x cosine between each image and its original prompt; in [-100, 100]."""
    texts = sorted(set(images["prompt"]))
    of_text = dict(zip(texts, np.asarray(embed_texts(texts), dtype=np.float64), strict=True))
    pairs = zip(images["key"], images["prompt"], strict=True)
    return np.array(
        [100 * float(np.asarray(vectors[key], np.float64) @ of_text[text]) for key, text in pairs]
    )


def image_chunks(keys: Sequence[str], store: ImageStore) -> Iterator[tuple[list[str], Images, list[bool]]]:
    """Keys, images of one size, and which of them are broken.

    Raises:
        EvenhandError: An image is not in the store, or not as it was written.
    """
    waiting: dict[tuple[int, ...], list[tuple[str, Images, bool]]] = {}
    for number, key in enumerate(keys, start=1):
        found = store.get(key)
        if found is None:
            raise EvenhandError(
                f"image {store.path(key)} was altered or removed meanwhile; run the same command again"
            )
        image, status = found
        waiting.setdefault(image.shape, []).append((key, image, status != "ok"))
        held = sum(len(rows) * rows[0][1].nbytes for rows in waiting.values())
        if number % CHUNK == 0 or number == len(keys) or held >= CHUNK_BYTES:
            for rows in waiting.values():
                names, images, broken = zip(*rows, strict=True)
                yield list(names), np.stack(images), list(broken)
            waiting = {}
