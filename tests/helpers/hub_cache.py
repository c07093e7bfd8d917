"""Repositories in the layout of the hub's cache, so that tests need no network."""

import hashlib
import shutil
from pathlib import Path

from huggingface_hub import constants

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER_COMMIT = "89abcdef0123456789abcdef0123456789abcdef"


def use_cache(monkeypatch, cache):
    """Use ``cache`` as the hub's cache, offline."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return cache


def put_in_cache(cache, repository, folder, *, commit=COMMIT, refs=("main",), only=""):
    """Store files of ``folder`` as a commit of a repository: blobs, links in a snapshot, and refs."""
    root = Path(cache) / f"models--{repository.replace('/', '--')}"
    for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        link = root / "snapshots" / commit / name
        if (only and name != only) or link.exists():
            continue
        blob = root / "blobs" / hashlib.sha256(f"{commit}{name}".encode()).hexdigest()
        for each in (blob, link):
            each.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, blob)
        link.symlink_to(blob)
    for ref in refs:
        (root / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
        (root / "refs" / ref).write_text(commit)
    return root / "snapshots" / commit
