"""Where a cache is: a local folder, or a dataset on the hub."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.tqdm import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)

from evenhand.bench.cache.layout import FORMAT, FORMAT_FILE, MAX_FILES, ROOMS, is_new
from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.strict_json import load_json
from evenhand.bench.storage.files import TEMPORARY, copy_atomically, write_atomically
from evenhand.metrics.vision.hub import HubName, hub_name

HUB = "hf://datasets/"
"""How the address of a cache on the hub begins."""

PER_COMMIT = 1000
"""Number of files in one upload; an interrupted push repeats at most one."""

_CONNECTIONS = 8
_MAX_FORMAT_BYTES = 1000


class Cache(ABC):
    """A cache in some place.

    Attributes:
        address: The place as a user writes it, with the commit on the hub.
    """

    address: str

    @abstractmethod
    def files(self) -> dict[str, int]:
        """Every file and its size in bytes.

        Raises:
            EvenhandError: The place cannot be read, or has something other than files and folders.
        """

    @abstractmethod
    def fetch(self, names: Sequence[str]) -> Path:
        """The local folder in which these files then are.

        Raises:
            EvenhandError: They cannot be fetched.
        """

    @abstractmethod
    def add(self, files: Mapping[str, Path]) -> None:
        """Copy files into the cache, by the names that they get; each appears complete or not at all.

        Raises:
            EvenhandError: They cannot be written.
        """

    def check(self, names: Mapping[str, int]) -> None:
        """Check that these are the files of a cache of this format.

        Raises:
            EvenhandError: They are not.
        """
        if FORMAT_FILE not in names:
            raise EvenhandError(
                f"{self.address} is not a cache: it has no {FORMAT_FILE}; give the place that "
                "`evenhand cache push` wrote"
            )
        if names[FORMAT_FILE] > _MAX_FORMAT_BYTES:
            raise EvenhandError(f"{self.address}: {FORMAT_FILE} is too large; use another cache")
        try:
            stated = load_json(self.fetch([FORMAT_FILE]) / FORMAT_FILE, max_bytes=_MAX_FORMAT_BYTES)
        except (OSError, ValueError, RecursionError) as fault:
            raise EvenhandError(
                f"{self.address}: {FORMAT_FILE} cannot be read ({fault}); use another cache"
            ) from fault
        if stated != FORMAT:
            raise EvenhandError(
                f"{self.address} is a cache of another format ({stated!s:.40}); "
                "install the version of Evenhand that wrote it"
            )

    def prepare(self) -> dict[str, int]:
        """Make the place a cache if it is new; returns its files.

        Raises:
            EvenhandError: Something else is there.
        """
        names = self.files()
        if is_new(names):
            with tempfile.TemporaryDirectory() as work:
                path = Path(work, FORMAT_FILE)
                write_atomically(path, f'{{"format": {FORMAT["format"]}}}\n'.encode())
                self.add({FORMAT_FILE: path})
            return names
        self.check(names)
        return names


def open_cache(place: str | Path) -> Cache:
    """The cache in a place; nothing is read yet.

    Args:
        place: A folder, or ``hf://datasets/OWNER/NAME`` with perhaps ``@REVISION``.

    Raises:
        EvenhandError: The address is not valid, or the hub may not be used.
    """
    text = str(place)
    if "://" not in text:
        return FolderCache(Path(place).expanduser())
    name = hub_name(text.removeprefix(HUB)) if text.startswith(HUB) else None
    if name is None:
        raise EvenhandError(f"a cache must be a folder or {HUB}OWNER/NAME, got {text!r:.200}")
    if constants.HF_HUB_OFFLINE:
        raise EvenhandError(
            f"{text} is on the hub, which is used only with --online; add it, or give a folder"
        )
    return HubCache(name)


class FolderCache(Cache):
    """A cache in a local folder; temporary files of killed processes are ignored."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.address = str(root)

    def files(self) -> dict[str, int]:
        """See :class:`Cache`. Links are refused: they may point to anything."""
        if not self.root.is_dir():
            if self.root.exists() or self.root.is_symlink():
                raise EvenhandError(f"{self.root} is not a folder; choose another one for the cache")
            return {}
        found = dict(itertools.islice(self._walk(), MAX_FILES + 1))
        if len(found) > MAX_FILES:
            raise _too_many(self.address)
        return found

    def _walk(self) -> Iterator[tuple[str, int]]:
        """Names and sizes; whatever lies beside the files of a cache is neither opened nor followed."""
        waiting = [""]
        while waiting:
            inside = waiting.pop()
            with os.scandir(self.root / inside) as entries:
                for entry in entries:
                    name = f"{inside}{entry.name}"
                    if not inside and entry.name not in (*ROOMS, FORMAT_FILE):
                        yield name, 0
                    elif entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{name}/")
                    elif not entry.is_file(follow_symlinks=False):
                        raise EvenhandError(
                            f"{self.root / name} is a link or another special file; a cache has only files "
                            "and folders, so use another one"
                        )
                    elif not TEMPORARY.fullmatch(entry.name):
                        yield name, entry.stat(follow_symlinks=False).st_size

    def fetch(self, names: Sequence[str]) -> Path:
        """See :class:`Cache`."""
        return self.root

    def add(self, files: Mapping[str, Path]) -> None:
        """See :class:`Cache`."""
        for name, source in files.items():
            copy_atomically(source, self.root / name)


class HubCache(Cache):
    """A dataset on the hub; the commit that was the newest at first is read to the end."""

    def __init__(self, name: HubName) -> None:
        self.name = name
        self.address = f"{HUB}{name}"

    @cached_property
    def _commit(self) -> str:
        with self._hub():
            found = HfApi().dataset_info(self.name.repository, revision=self.name.revision or None)
        self.address = f"{HUB}{self.name.repository}@{found.sha}"
        return str(found.sha)

    def files(self) -> dict[str, int]:
        """See :class:`Cache`."""
        commit = self._commit
        with self._hub():
            tree = HfApi().list_repo_tree(
                self.name.repository, recursive=True, revision=commit, repo_type="dataset"
            )
            listed = itertools.islice((one for one in tree if isinstance(one, RepoFile)), MAX_FILES + 1)
            found = {one.path: one.size for one in listed}
        if len(found) > MAX_FILES:
            raise _too_many(self.address)
        return found

    def fetch(self, names: Sequence[str]) -> Path:
        """See :class:`Cache`."""
        commit = self._commit

        def download(name: str) -> Path:
            path = hf_hub_download(self.name.repository, name, repo_type="dataset", revision=commit)
            return Path(path).parents[name.count("/")]

        with self._hub(), ThreadPoolExecutor(_CONNECTIONS) as pool:
            return next(iter([*pool.map(download, names)]), Path())

    def add(self, files: Mapping[str, Path]) -> None:
        """See :class:`Cache`. Each commit has at most :data:`PER_COMMIT` files."""
        if self.name.revision:
            raise EvenhandError(f"{self.address}: a revision cannot be changed; leave out the part after @")
        names = iter(files)
        while part := list(itertools.islice(names, PER_COMMIT)):
            with tempfile.TemporaryDirectory() as work:
                for name in part:
                    path = Path(work, name)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(files[name], path)
                with self._hub():
                    HfApi().upload_folder(
                        repo_id=self.name.repository,
                        folder_path=work,
                        repo_type="dataset",
                        commit_message=f"evenhand cache push: {len(part)} files",
                    )
                # No longer the commit that was read.
                self.address = f"{HUB}{self.name}"

    @contextmanager
    def _hub(self) -> Iterator[None]:
        """Errors of the hub as one line, and no progress bars of its library."""
        shown = not are_progress_bars_disabled()
        disable_progress_bars()
        try:
            yield
        except EvenhandError:
            raise
        except RepositoryNotFoundError as fault:
            raise EvenhandError(
                f"{self.address} is not on the hub, or private; check the name, create the dataset there, or "
                "run hf auth login"
            ) from fault
        except Exception as fault:  # also errors of the network library, which have no common base
            lines = str(fault).strip().splitlines() or [type(fault).__name__]
            raise EvenhandError(
                f"{self.address}: the hub refuses or cannot be reached ({lines[0][:200]}); check network and "
                "permissions, and repeat the command to resume"
            ) from fault
        finally:
            if shown:
                enable_progress_bars()


def _too_many(address: str) -> EvenhandError:
    return EvenhandError(f"{address} has more than {MAX_FILES:,} files; split the cache by suite")
