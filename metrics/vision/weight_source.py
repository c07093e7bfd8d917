"""Where the weights of a judge come from, for those who must fetch or place them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, hf_hub_download

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.vision.hub import HubName, hub_name, unreachable


@dataclass(frozen=True)
class WeightSource:
    """Weights that a judge needs.

    Attributes:
        title: What they are.
        repository: The hub's repository with them, ``"org/name"`` or ``"org/name@revision"``; empty if none.
        files: Patterns of the files in the repository.
        place: The file on this machine; ``None`` for the hub's cache, or for files in a package.
        address: Page or file from which people download them.
        sha256: Digest of the file at ``place``; empty where nobody has recorded it.
        licence: Licence; empty where it is that of the repository.
        package: The package that contains them; empty if none.
    """

    title: str
    repository: str = ""
    files: tuple[str, ...] = ()
    place: Path | None = None
    address: str = ""
    sha256: str = ""
    licence: str = ""
    package: str = ""

    @property
    def name(self) -> HubName | None:
        """The repository, parsed; ``None`` if there is none."""
        return hub_name(self.repository)

    @property
    def by_hand(self) -> bool:
        """Whether nothing but people can get them, because their owner offers no plain download."""
        return not (self.repository or self.package)


def missing_files(sources: Sequence[WeightSource]) -> list[WeightSource]:
    """The sources whose file is not at its place."""
    return [source for source in sources if source.place is not None and not source.place.is_file()]


def place_from_hub(sources: Sequence[WeightSource]) -> None:
    """Download files from the hub to their places, if that is allowed; files that exist are left alone.

    Raises:
        EvenhandError: A file is missing and cannot be downloaded.
    """
    for source in missing_files(sources):
        repository, place = source.name, source.place
        if repository is None or place is None:
            raise EvenhandError(f"{source.title}: {place} is missing; download it from {source.address}")
        try:
            hf_hub_download(
                repository.repository,
                place.name,
                revision=repository.revision or None,
                local_dir=place.parent,
            )
        except (OSError, ValueError) as fault:  # base classes of the hub's errors
            raise unreachable("weights of", repository, fault) from fault
        check_digest(source)


def check_digest(source: WeightSource) -> str:
    """The SHA-256 of the file at its place.

    Raises:
        EvenhandError: It is another than the recorded one.
    """
    if source.place is None:
        return ""
    with source.place.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if source.sha256 and found != source.sha256:
        raise EvenhandError(
            f"{source.place}: SHA-256 is {found}, not {source.sha256}; delete the file and fetch it again"
        )
    return found


def downloads_asked_for() -> bool:
    """Whether the user has asked for downloads, as with ``--online``; not if nothing is said."""
    return not constants.HF_HUB_OFFLINE and os.environ.get("HF_HUB_OFFLINE") == "0"
