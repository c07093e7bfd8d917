"""A hub of local folders: requests are answered from them unless downloads are off, as the real one's are."""

import hashlib
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace

from helpers.hub_cache import COMMIT, put_in_cache, use_cache
from huggingface_hub import ModelCardData, constants, snapshot_download
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError


class FakeHub:
    """Repositories by name; ``fetched`` lists the files that were downloaded."""

    def __init__(self, monkeypatch, cache):
        self.folders, self.gated, self.fetched, self.cache = {}, set(), [], use_cache(monkeypatch, cache)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        for place in ("metrics.vision.hub", "bench.models.sources"):
            monkeypatch.setattr(f"evenhand.{place}.snapshot_download", self.snapshot_download)
        for place in ("metrics.vision.weight_source", "bench.fetching.facts"):
            monkeypatch.setattr(f"evenhand.{place}.hf_hub_download", self.hf_hub_download)
        for place in ("metrics.vision.hub", "bench.fetching.facts"):
            monkeypatch.setattr(f"evenhand.{place}.HfApi", lambda: self)

    def _names(self, repository):
        folder = self.folders[repository]
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

    def model_info(self, repository, revision=None, files_metadata=False):
        siblings = []
        for name in self._names(repository):
            data = (self.folders[repository] / name).read_bytes()
            lfs = SimpleNamespace(sha256=hashlib.sha256(data).hexdigest()) if ".safetensors" in name else None
            siblings.append(SimpleNamespace(rfilename=name, size=len(data), lfs=lfs))
        card = ModelCardData(license="creativeml-openrail-m")
        return SimpleNamespace(siblings=siblings, card_data=card, gated=repository in self.gated)

    def snapshot_download(self, repository, revision=None, allow_patterns=("*",), dry_run=False):
        if constants.HF_HUB_OFFLINE or repository not in self.folders:
            return snapshot_download(repository, revision=revision, local_files_only=True)
        if dry_run:
            return [SimpleNamespace(filename=name) for name in self._names(repository)]
        if repository in self.gated:
            raise type("Gated", (GatedRepoError,), {"__init__": lambda self: None})()
        for name in self._names(repository):
            if any(fnmatch(name, pattern) for pattern in allow_patterns):
                self._put(repository, name)
        return str(self.cache / f"models--{repository.replace('/', '--')}" / "snapshots" / COMMIT)

    def _put(self, repository, name):
        self.fetched.append(f"{repository}/{name}")
        put_in_cache(self.cache, repository, self.folders[repository], only=name)

    def hf_hub_download(self, repository, name, revision=None, local_dir=None):
        if constants.HF_HUB_OFFLINE or repository not in self.folders:
            raise LocalEntryNotFoundError("no connection")
        if local_dir is None:
            self._put(repository, name)
            return str(self.cache / f"models--{repository.replace('/', '--')}" / "snapshots" / COMMIT / name)
        self.fetched.append(f"{repository}/{name}")
        Path(local_dir).mkdir(parents=True, exist_ok=True)
        (Path(local_dir) / name).write_bytes((self.folders[repository] / name).read_bytes())
        return str(Path(local_dir) / name)
