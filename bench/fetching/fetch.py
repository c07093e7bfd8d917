"""Fetches what the hub has, and says what people must place by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evenhand.bench.errors import EvenhandError, some_of
from evenhand.bench.fetching.assets import Asset
from evenhand.bench.fetching.facts import SourceFacts, source_facts
from evenhand.bench.fetching.hub import offline
from evenhand.bench.storage.files import copy_atomically
from evenhand.metrics.vision.weight_source import (
    WeightSource,
    check_digest,
    missing_files,
    place_from_hub,
)

State = Literal["present", "fetched", "missing"]


@dataclass(frozen=True)
class Fetched:
    """What became of one asset.

    Attributes:
        asset: The asset.
        state: Whether it was there, has been fetched, or is still missing.
        facts: The facts about each of its sources.
        detail: Why it is missing and what to do; empty otherwise.
    """

    asset: Asset
    state: State
    facts: tuple[SourceFacts, ...]
    detail: str = ""


def look(assets: Sequence[Asset]) -> Iterator[Fetched]:
    """What is there and what is missing, one asset after the other; fetches no weights."""
    for asset in assets:
        fault = asset.fault()
        facts, unknown = _facts(asset) if fault else ((), "")
        yield Fetched(
            asset, "missing" if fault else "present", facts, unknown or (fault and advice(asset, fault))
        )


def fetch(assets: Sequence[Asset], *, weights: Path | None = None) -> Iterator[Fetched]:
    """Fetch everything that is missing, one asset after the other; a failure does not stop the others.

    Args:
        assets: What is needed.
        weights: Folder with files that were downloaded by hand; those that are needed are copied from it.

    Raises:
        EvenhandError: That folder does not exist.
    """
    if weights is not None and not weights.is_dir():
        raise EvenhandError(f"{weights}: --weights must be a folder with downloaded files")
    for asset in assets:
        facts, _ = _facts(asset)
        if not asset.fault():
            yield Fetched(asset, "present", facts)
            continue
        try:
            if weights is not None:
                _take(asset.sources, weights)
            place_from_hub([source for source in asset.sources if not source.by_hand])
            asset.find()
            yield Fetched(asset, "fetched", _facts(asset)[0])
        except EvenhandError as reason:
            not_there = "" if weights is None else _not_in(weights, asset.sources)
            yield Fetched(asset, "missing", facts, not_there + advice(asset, str(reason)))


def advice(asset: Asset, reason: str) -> str:
    """Why an asset is missing, and for files that people can place, where from and where to."""
    missing = [source for source in missing_files(asset.sources) if source.address]
    if not missing:
        return reason
    places = "; ".join(f"download {one.title} from {one.address} to {one.place}" for one in missing)
    first = "" if all(source.by_hand for source in missing) else f"{reason}; or "
    return f"{first}{places}, or run evenhand fetch with --weights and the folder of the downloads"


def _take(sources: Sequence[WeightSource], folder: Path) -> None:
    """Copy missing files from a folder to their places.

    Raises:
        EvenhandError: A file has another digest than recorded.
    """
    for source in missing_files(sources):
        found = source.place and next(folder.rglob(source.place.name), None)
        if source.place and found:
            copy_atomically(found, source.place)
            check_digest(source)


def _not_in(folder: Path, sources: Sequence[WeightSource]) -> str:
    """Which files are missing in the folder of the downloads too."""
    names = [source.place.name for source in missing_files(sources) if source.place]
    return f"{folder} has no {some_of(names)}; " if names else ""


def _facts(asset: Asset) -> tuple[tuple[SourceFacts, ...], str]:
    """The facts about the sources, and why sizes and checksums are unknown."""
    try:
        return tuple(source_facts(source) for source in asset.sources), ""
    except EvenhandError as fault:
        with offline():
            return tuple(source_facts(source) for source in asset.sources), str(fault)
