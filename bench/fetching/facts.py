"""What the hub says about the files of a source: sizes, checksums and licence."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_download

from evenhand.bench.models.sources import INDEX, pipeline_files, read_index
from evenhand.metrics.vision.hub import HubName, unreachable
from evenhand.metrics.vision.weight_source import WeightSource
from evenhand.metrics.vision.weights import HUB_FILES

NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class FileFact:
    """One file to fetch.

    Attributes:
        name: Its name in the repository, or its path on this machine.
        bytes: Its size; 0 if unknown.
        sha256: Its digest; empty if nobody has stated one.
    """

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class SourceFacts:
    """What is known about a source.

    Attributes:
        files: The files that are loaded.
        licence: The licence of the weights.
    """

    files: tuple[FileFact, ...]
    licence: str

    @property
    def bytes(self) -> int:
        """Size of all files; 0 if unknown."""
        return sum(file.bytes for file in self.files)


def source_facts(source: WeightSource) -> SourceFacts:
    """The facts about a source, from the hub if it is reachable and downloads are allowed.

    Raises:
        EvenhandError: The hub refuses the repository.
    """
    licence = source.licence or NOT_RECORDED
    if source.place is not None and source.place.is_file():
        return SourceFacts((_on_disk(source),), licence)
    if source.name is None or constants.HF_HUB_OFFLINE:
        names = [str(source.place)] if source.place else list(source.files)
        return SourceFacts(tuple(FileFact(name, 0, source.sha256) for name in names), licence)
    return _from_hub(source, source.name)


def _on_disk(source: WeightSource) -> FileFact:
    place = source.place or Path()
    return FileFact(str(place), place.stat().st_size, source.sha256)


def _from_hub(source: WeightSource, name: HubName) -> SourceFacts:
    try:
        info = HfApi().model_info(name.repository, revision=name.revision or None, files_metadata=True)
    except Exception as fault:  # also errors of the network library, which have no common base
        raise unreachable("weights of", name, fault) from fault
    listed = {
        file.rfilename: FileFact(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else "")
        for file in info.siblings or ()
    }
    files = tuple(listed[path] for path in _wanted(source, name, list(listed)))
    card = info.card_data
    stated = (card.get("license_name") or card.get("license")) if card else None
    licence = str(stated or source.licence or NOT_RECORDED)
    gate = f", gated: accept its terms at {name.page} and run hf auth login" if info.gated else ""
    return SourceFacts(files, licence + gate)


def _wanted(source: WeightSource, name: HubName, listed: list[str]) -> list[str]:
    """The files that are loaded: those of a pipeline, or those of the source's patterns."""
    if INDEX not in listed or source.files:
        patterns = source.files or HUB_FILES
        return sorted(path for path in listed if any(fnmatch(path, pattern) for pattern in patterns))
    index = hf_hub_download(name.repository, INDEX, revision=name.revision or None)
    return pipeline_files(listed, read_index(Path(index).parent))[0]
