"""Takes from a cache what a run would otherwise compute, once all is checked and a sample is repeated."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from evenhand.bench.cache import SAMPLE
from evenhand.bench.cache.fits import find_fit, take_fit
from evenhand.bench.cache.labels import PIXELS, asked_of, complete, read_labels, without_labels
from evenhand.bench.cache.layout import ELSEWHERE, Contents, check_size, processor_in
from evenhand.bench.cache.places import Cache, open_cache
from evenhand.bench.cache.proof import Proof, prove, sample_of
from evenhand.bench.cache.push import check_sample
from evenhand.bench.cache.workbench import MethodImages, Workbench, is_baseline
from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.tables import pixel_hash
from evenhand.bench.models.loading import quiet_loaders
from evenhand.bench.prompts.selection import method_uses, resolve
from evenhand.bench.registry.method_spec import MethodUse
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.files import locked
from evenhand.bench.storage.fits import load_fit
from evenhand.bench.storage.images import read_image
from evenhand.bench.storage.run_folder import RunFolder, default_folder
from evenhand.bench.suites.suite import Suite
from evenhand.methods.base import Images
from evenhand.metrics.statistics.paired_loss import LOOKS
from evenhand.metrics.table import LABEL_COLUMNS

if TYPE_CHECKING:
    from evenhand.methods.base import Method

_REMEMBERED = 256
"""Number of images that are written between two entries into the index of the run."""


@dataclass(frozen=True)
class Pulled:
    """What a pull has taken.

    Attributes:
        cache: Address of the cache, with the commit on the hub.
        run: Folder of the run.
        images: Number of images that the run lacked.
        labels: Number of labels that it lacked.
        fits: Methods whose fits it lacked.
        proofs: What was drawn and judged again, for every method; empty if there was nothing to take.
    """

    cache: str
    run: str
    images: int
    labels: int
    fits: tuple[str, ...]
    proofs: tuple[Proof, ...]


def pull_cache(
    cache: str | Path,
    suite: str | Suite = "mini-quick",
    *,
    methods: Sequence[str | Method | type[Method]] | None = None,
    run: str | Path | None = None,
    limit: int = 0,
    fits: int = 0,
    until_decided: bool = False,
    check: int = SAMPLE,
    progress: Progress | None = None,
) -> Pulled:
    """Take images, labels and fits of a suite from a cache, so that a run computes only what is missing.

    Nothing is trusted. Every file must be what its digest says, and a random sample of every method's images
    is drawn and judged here and compared. If one differs, nothing is taken. Fits cannot be proven without
    fitting again, so the run and its results say which fits came from a cache.

    Args:
        cache: A folder, or ``hf://datasets/OWNER/NAME`` on the hub.
        suite: Name of a suite, path of a TOML file, or a suite.
        methods: See :func:`evenhand.bench.run.evaluate`. For methods that are not part of Evenhand, nothing
            is taken.
        run: Folder of the run, which may be new; ``runs/<suite>`` if ``None``.
        limit: See :func:`evenhand.bench.run.evaluate`.
        fits: See :func:`evenhand.bench.run.evaluate`.
        until_decided: Whether to take the images of a run until decided too.
        check: Number of images of every method that are drawn again.
        progress: Reports progress.

    Returns:
        What the run lacked and the cache had.

    Raises:
        EvenhandError: The cache cannot be read, something in it is not what it should be, or the folder
            belongs to another run.
    """
    check_sample(check)
    resolved = resolve(suite, limit=limit, fits=fits)
    run_folder = RunFolder(Path(run or default_folder(resolved.name, limit=limit)))
    uses = method_uses(resolved, methods)
    place = open_cache(cache)
    files = place.files()
    place.check(files)
    with locked(run_folder.root), quiet_loaders(), progress or Progress() as shown:
        run_folder.check(resolved)
        workbench = Workbench(resolved, uses, run_folder, shown, look=LOOKS if until_decided else 1)
        workbench.load()
        run_folder.initialize(resolved)
        with run_folder.session(f"cache pull from {place.address}"), tempfile.TemporaryDirectory() as scratch:
            pull = _Pull(workbench, place, Contents.of(files), check, Path(scratch))
            try:
                checked = pull.check_all()
            except EvenhandError as fault:
                raise EvenhandError(f"nothing was taken from {place.address}: {fault}") from fault
            return pull.take(checked)


@dataclass(frozen=True, eq=False)
class _Offer:
    """What the cache has of one method.

    Attributes:
        planned: The images of the method.
        files: Keys of the images that the cache has to the names of their files.
        missing: Keys of those that the run lacks.
        fit: Folder of the fit in the cache; ``None`` if the run has it, or needs none.
    """

    planned: MethodImages
    files: Mapping[str, str]
    missing: Sequence[str]
    fit: Path | None


@dataclass(frozen=True, eq=False)
class _Checked:
    """What is taken, after everything was checked.

    Attributes:
        offers: The methods that the run lacks something of.
        labels: The labels that it lacks.
        proofs: What was repeated.
    """

    offers: Sequence[_Offer]
    labels: pd.DataFrame
    proofs: tuple[Proof, ...]


@dataclass
class _Pull:
    """A pull in progress. Nothing is written before everything is checked.

    Attributes:
        pixels: Keys of checked images to the digests of their pixels.
        claimed: Keys of images that one of the methods takes; some methods share images.
    """

    workbench: Workbench
    cache: Cache
    contents: Contents
    check: int
    scratch: Path
    pixels: dict[str, str] = field(default_factory=dict)
    claimed: set[str] = field(default_factory=set)

    def check_all(self) -> _Checked:
        """Check every file and repeat a sample."""
        offers = [found for use in self.workbench.uses if (found := self._offer(use)) is not None]
        labels = self._offered_labels(offers)
        new = self._without_known(labels)
        labelled = set(new["key"])
        wanted = [one for one in offers if one.missing or one.fit or not labelled.isdisjoint(one.files)]
        # The sample first: most of what may be wrong shows before everything is fetched.
        proofs = tuple(self._prove(one, labels) for one in wanted)
        for one in wanted:
            self._check_images(one, labelled)
        return _Checked(wanted, new[new["key"].map(self.pixels) == new[PIXELS]], proofs)

    def take(self, checked: _Checked) -> Pulled:
        """Copy into the run what it lacks."""
        images = sum(self._take_images(one) for one in checked.offers)
        self.workbench.run_folder.labels.append(checked.labels[[*LABEL_COLUMNS]])
        fits = tuple(self._take_fit(one) for one in checked.offers if one.fit)
        labels, run = len(checked.labels), str(self.workbench.run_folder.root)
        self._log(checked.proofs, images=images, labels=labels, fits=fits)
        return Pulled(self.cache.address, run, images, labels, fits, checked.proofs)

    def _offer(self, use: MethodUse) -> _Offer | None:
        """What the cache has of a method; ``None`` for nothing."""
        identity, folder, fitted = self.workbench.identity(use), None, None
        if not is_baseline(use):
            fitted = load_fit(self.workbench.fit_folder(use), use, identity)
            if fitted is None:
                found = find_fit(use, identity, cache=self.cache, contents=self.contents)
                if found is None:
                    self.workbench.progress.say(
                        f"{use.label}: the cache has no fit of these settings and code"
                    )
                    return None
                folder, fitted = found
        planned = self.workbench.images_of(use, fitted)
        names = {key: self._file_of(planned, key) for key in planned.jobs}
        files = {key: name for key, name in names.items() if name}
        if not files:
            self.workbench.progress.say(f"{use.label}: the cache has no images of this plan")
            return None
        unclaimed = [key for key in files if key not in self.claimed]
        present = self.workbench.run_folder.images.statuses(unclaimed)
        missing = [key for key in unclaimed if key not in present]
        self.claimed.update(missing)
        return _Offer(planned, files, missing, folder)

    def _file_of(self, planned: MethodImages, key: str) -> str:
        return self.contents.image(planned.code(key), key, processor=self.workbench.processor)

    def _offered_labels(self, offers: Sequence[_Offer]) -> pd.DataFrame:
        """All labels of the images that the cache has, of judges that label all their attributes."""
        keys = {key for one in offers for key in one.planned.people([*one.files])}
        attributes = self.workbench.evaluation.evaluation_config.attributes
        tables = []
        for judge in self.workbench.judges.values():
            asked, parts = asked_of(judge, attributes), []
            for name in asked:
                part = read_labels(
                    cache=self.cache,
                    contents=self.contents,
                    judge=judge,
                    attribute=name,
                    groups=attributes[name],
                    keys=keys,
                )
                parts.append(part)
            if all(len(part) for part in parts):
                tables.append(complete(pd.concat(parts, ignore_index=True), asked=asked))
        return pd.concat(tables, ignore_index=True) if tables else without_labels()

    def _without_known(self, labels: pd.DataFrame) -> pd.DataFrame:
        """The labels that the run lacks."""
        known = self.workbench.evaluation.labelled()
        there = [key in known[judge] for key, judge in zip(labels["key"], labels["judge"], strict=True)]
        return labels[~pd.Series(there, index=labels.index, dtype=bool)]

    def _prove(self, offer: _Offer, labels: pd.DataFrame) -> Proof:
        """Repeat a sample of a method's images and labels."""
        names = {key: offer.files[key] for key in sample_of([*offer.files], self.check)}
        self._check_sizes(names.values())
        root = self.cache.fetch([*names.values()])
        images = {key: self._read(root / name, key) for key, name in names.items()}
        pixels = labels["key"].map({key: pixel_hash(image) for key, image in images.items()})
        here = self.workbench.processor
        exact = {key for key, name in names.items() if here != ELSEWHERE and processor_in(name) == here}
        return prove(
            offer.planned,
            images,
            labels[pixels == labels[PIXELS]],
            exact=exact,
            workbench=self.workbench,
            scratch=Path(tempfile.mkdtemp(dir=self.scratch)),
        )

    def _check_images(self, offer: _Offer, labelled: Collection[str]) -> None:
        """Check the images that are missing, and digest those whose labels are."""
        root, missing = self._fetched(offer), {*offer.missing}
        self.workbench.progress.start(f"{offer.planned.use.label}: check", len(offer.files))
        for key, name in offer.files.items():
            if key in missing:
                self.pixels[key] = pixel_hash(self._read(root / name, key))
            elif key in labelled and key not in self.pixels:
                stored = self.workbench.run_folder.images.get(key)
                self.pixels[key] = pixel_hash(stored[0]) if stored else ""
            self.workbench.progress.advance()
        self.workbench.progress.finish()

    def _fetched(self, offer: _Offer) -> Path:
        names = [offer.files[key] for key in offer.missing]
        self._check_sizes(names)
        return self.cache.fetch(names) if names else Path()

    def _take_images(self, offer: _Offer) -> int:
        """Write the missing images; returns their number."""
        root, store = self._fetched(offer), self.workbench.run_folder.images
        self.workbench.progress.start(f"{offer.planned.use.label}: take", len(offer.missing))
        for start in range(0, len(offer.missing), _REMEMBERED):
            part = offer.missing[start : start + _REMEMBERED]
            for key in part:
                image = self._read(root / offer.files[key], key)
                if pixel_hash(image) != self.pixels[key]:
                    raise EvenhandError(f"{offer.files[key]} has changed while it was read; pull again")
                # Encoded again, so that the file is the one that this machine would write.
                store.put(key, image)
                self.workbench.progress.advance()
            store.remember(dict.fromkeys(part, "ok"))
        self.workbench.progress.finish()
        return len(offer.missing)

    def _take_fit(self, offer: _Offer) -> str:
        planned = offer.planned
        assert offer.fit is not None and planned.fitted is not None
        take_fit(
            offer.fit,
            planned.fitted,
            use=planned.use,
            identity=planned.identity,
            to=self.workbench.fit_folder(planned.use),
            origin=self.cache.address,
        )
        return planned.use.label

    def _read(self, path: Path, key: str) -> Images:
        """A whole image of the size of the protocol.

        Raises:
            EvenhandError: It is not one.
        """
        try:
            image, status = read_image(path, key=key, max_bytes=self._max_bytes, size=self._size)
            if status != "ok":
                raise ValueError(f"it has the status {status!r:.20}")
        except (OSError, ValueError) as fault:
            raise EvenhandError(f"{path}: image cannot be used ({fault}); use another cache") from fault
        return image

    def _check_sizes(self, names: Iterable[str]) -> None:
        for name in names:
            check_size(self.contents, name, max_bytes=self._max_bytes)

    @property
    def _size(self) -> tuple[int, int]:
        protocol = self.workbench.suite.protocol
        return protocol.width, protocol.height

    @property
    def _max_bytes(self) -> int:
        """Twice the size of the pixels: no lossless file of them is larger."""
        width, height = self._size
        return 2 * 3 * width * height + 2**16

    def _log(self, proofs: Sequence[Proof], *, images: int, labels: int, fits: Sequence[str]) -> None:
        for proof in proofs:
            self.workbench.progress.say(proof.text)
        said = f"taken from {self.cache.address}: {images} images, {labels} labels"
        self.workbench.progress.say(f"{said}, fits of {', '.join(fits)}" if fits else said)
