"""Copies what others can reuse from a run into a cache."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from evenhand.bench.cache import SAMPLE
from evenhand.bench.cache.labels import PIXELS, asked_of, label_files, label_key, read_labels
from evenhand.bench.cache.layout import ELSEWHERE, Contents, fit_names, image_name, label_name
from evenhand.bench.cache.places import Cache, open_cache
from evenhand.bench.cache.proof import Proof, prove, sample_of
from evenhand.bench.cache.workbench import MethodImages, Workbench, is_baseline
from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.tables import pixel_hash
from evenhand.bench.models.loading import quiet_loaders
from evenhand.bench.prompts.plan import make_plan
from evenhand.bench.prompts.selection import method_uses
from evenhand.bench.registry.entry_points import METHODS
from evenhand.bench.registry.method_spec import MethodUse
from evenhand.bench.results.result import Result
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.files import locked
from evenhand.bench.storage.fits import Fitted, read_fit
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.storage.stored_run import load_run
from evenhand.bench.suites.suite import Suite
from evenhand.metrics.statistics.paired_loss import LOOKS
from evenhand.metrics.table import LABEL_COLUMNS


@dataclass(frozen=True)
class Pushed:
    """What a push has added.

    Attributes:
        cache: Address of the cache.
        images: Number of images that the cache lacked.
        labels: Number of labels that it lacked.
        fits: Methods whose fits it lacked.
        left_out: Methods of the run that are not shared, to the reasons.
        proofs: What was drawn and judged again, for every method.
    """

    cache: str
    images: int
    labels: int
    fits: tuple[str, ...]
    left_out: Mapping[str, str]
    proofs: tuple[Proof, ...]


def push_cache(
    cache: str | Path, *, run: str | Path, check: int = SAMPLE, progress: Progress | None = None
) -> Pushed:
    """Copy the images, labels and fits of a finished run into a cache; what it has already is left alone.

    Only methods that are part of Evenhand take part, with fits that this run has made. A sample of every
    method's images is drawn and judged again first, so that nothing is shared that cannot be repeated here.

    Args:
        cache: A folder, or ``hf://datasets/OWNER/NAME`` on the hub.
        run: Folder of the run.
        check: Number of images of every method that are drawn again.
        progress: Reports progress.

    Returns:
        What the cache lacked.

    Raises:
        EvenhandError: The folder is not a finished run of a suite, a sample cannot be repeated, or the cache
            cannot be read or written. The same call resumes.
    """
    check_sample(check)
    run_folder = RunFolder(Path(run))
    suite = run_folder.spec()
    if not isinstance(suite, Suite):
        raise EvenhandError(f"{run} is an audit of external images; only runs of suites can be shared")
    place = open_cache(cache)
    with locked(run_folder.root), quiet_loaders(), progress or Progress() as shown:
        results = {result.spec.method.label: result for result in load_run(run).results}
        known = [label for label, one in results.items() if one.spec.method.name in METHODS.names()]
        uses = [use for use in method_uses(suite, known) if use.label in results]
        workbench = Workbench(suite, uses, run_folder, shown, look=_look_of(suite, results))
        workbench.load()
        with run_folder.session(f"cache push to {place.address}"), tempfile.TemporaryDirectory() as scratch:
            return _Push(workbench, results, place, check, Path(scratch)).push()


def _look_of(suite: Suite, results: Mapping[str, Result]) -> int:
    """The first look of a run until decided that plans as many images as the results have."""
    planned = max(result.coverage.planned for result in results.values())
    looks = range(1, LOOKS)
    return next((look for look in looks if len(make_plan(suite, look=look)[0]) >= planned), LOOKS)


def check_sample(check: int) -> None:
    """Check the size of a sample.

    Raises:
        EvenhandError: It is not positive.
    """
    if check < 1:
        raise EvenhandError(
            f"check must be a positive integer, got {check}; a cache is never trusted unproven"
        )


@dataclass
class _Push:
    """A push in progress."""

    workbench: Workbench
    results: Mapping[str, Result]
    cache: Cache
    check: int
    scratch: Path
    left_out: dict[str, str] = field(default_factory=dict)

    def push(self) -> Pushed:
        """Prove everything, then copy what is missing: images, then labels, then fits."""
        self._leave_out_others()
        planned = [found for use in self.workbench.uses if (found := self._planned(use)) is not None]
        pixels = {one.use.label: self._pixels(one) for one in planned}
        proofs = [self._prove(one, pixels[one.use.label]) for one in planned]
        images: dict[str, Path] = {}
        for one, proof in zip(planned, proofs, strict=True):
            images |= self._missing_images(one, pixels[one.use.label], exact=proof.exact)
        known = {key: digest for found in pixels.values() for key, digest in found.items()}
        people = sorted({key for one in planned for key in one.people([*pixels[one.use.label]])})
        labels, count = self._missing_labels(people, known)
        fits = [one for one in planned if one.fitted and one.identity.key not in self.contents.fits]
        self._add("images", images)
        self._add("labels", labels)
        self._add("fits", self._fit_files(fits))
        for label, reason in self.left_out.items():
            self.workbench.progress.say(f"{label}: not shared; {reason}")
        return Pushed(
            cache=self.cache.address,
            images=len(images),
            labels=count,
            fits=tuple(one.use.label for one in fits),
            left_out=self.left_out,
            proofs=tuple(proofs),
        )

    @cached_property
    def contents(self) -> Contents:
        """What the cache has; a new place becomes a cache."""
        return Contents.of(self.cache.prepare())

    @cached_property
    def _labels(self) -> pd.DataFrame:
        """All labels of the run by judges as they are installed here."""
        keys = set(self.workbench.run_folder.labels.read(keys_only=True).get("key", ()))
        return self.workbench.evaluation.labels(keys) if keys else pd.DataFrame(columns=[*LABEL_COLUMNS])

    def _leave_out_others(self) -> None:
        shared = {use.label for use in self.workbench.uses}
        for label in self.results:
            if label not in shared:
                self.left_out[label] = "it is not part of Evenhand"

    def _planned(self, use: MethodUse) -> MethodImages | None:
        """The images of a method; ``None`` if it is not shared."""
        spec = self.results[use.label].spec
        if spec.model_revision != self.workbench.model.revision:
            raise EvenhandError(
                f"model {spec.model!r} has revision {self.workbench.model.revision[:12]} here, but the run "
                f"used {spec.model_revision[:12]}; push where this revision is installed"
            )
        try:
            fitted = None if is_baseline(use) else self._fitted(use)
        except (OSError, EvenhandError) as fault:
            self.left_out[use.label] = f"its fit cannot be shared ({fault})"
            return None
        return self.workbench.images_of(use, fitted)

    def _fitted(self, use: MethodUse) -> Fitted:
        fitted = read_fit(self.workbench.fit_folder(use), use, self.workbench.identity(use))
        if fitted is None:
            raise EvenhandError("it was made with other settings")
        if fitted.cache:
            raise EvenhandError(f"it was pulled from {fitted.cache}")
        return fitted

    def _pixels(self, planned: MethodImages) -> dict[str, str]:
        """Digest of the pixels of every image of the method that exists and is whole."""
        self.workbench.progress.start(f"{planned.use.label}: read", len(planned.jobs))
        found = {}
        for key in planned.jobs:
            stored = self.workbench.run_folder.images.get(key)
            if stored is not None and stored[1] == "ok":
                found[key] = pixel_hash(stored[0])
            self.workbench.progress.advance()
        self.workbench.progress.finish()
        return found

    def _prove(self, planned: MethodImages, pixels: Mapping[str, str]) -> Proof:
        images = {}
        for key in sample_of([*pixels], self.check):
            stored = self.workbench.run_folder.images.get(key)
            assert stored is not None, "it was read before, in the locked folder"
            images[key] = stored[0]
        labels = self._labels[self._labels["key"].isin(images.keys())]
        scratch = Path(tempfile.mkdtemp(dir=self.scratch))
        try:
            proof = prove(planned, images, labels, exact=(), workbench=self.workbench, scratch=scratch)
        except EvenhandError as fault:
            raise EvenhandError(
                f"{self.workbench.run_folder.root} is not shared: {fault}; run the suite again in a new "
                "folder"
            ) from fault
        self.workbench.progress.say(proof.text)
        return proof

    def _missing_images(
        self, planned: MethodImages, pixels: Mapping[str, str], *, exact: bool
    ) -> dict[str, Path]:
        """Names in the cache to the files of the images that it lacks."""
        store = self.workbench.run_folder.images
        processor = self.workbench.processor if exact else ELSEWHERE
        codes = {key: planned.code(key) for key in pixels}
        return {
            image_name(codes[key], processor, key): store.path(key)
            for key in pixels
            if (codes[key], key) not in self.contents.processors
        }

    def _missing_labels(self, keys: Sequence[str], pixels: Mapping[str, str]) -> tuple[dict[str, Path], int]:
        """Names in the cache to files of the labels that it lacks, and the number of these labels."""
        rows = self._labels[self._labels["key"].isin(keys)]
        rows = rows.assign(**{PIXELS: rows["key"].map(pixels)})
        files, count = {}, 0
        for name, part, groups in self._by_label_key(rows):
            for data in label_files(part, groups=groups):
                path = Path(tempfile.mkdtemp(dir=self.scratch), "labels.parquet")
                path.write_bytes(data)
                files[label_name(name, hashlib.sha256(data).hexdigest())] = path
            count += len(part)
        return files, count

    def _by_label_key(self, rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, int]]:
        """Label key, the rows that the cache lacks, and the number of groups."""
        attributes = self.workbench.evaluation.evaluation_config.attributes
        for judge in self.workbench.judges.values():
            for name in asked_of(judge, attributes):
                own = rows[(rows["judge"] == judge.info.name) & (rows["attribute"] == name)]
                known = read_labels(
                    cache=self.cache,
                    contents=self.contents,
                    judge=judge,
                    attribute=name,
                    groups=attributes[name],
                    keys=set(own["key"]),
                )
                places = pd.MultiIndex.from_frame(own[["key", PIXELS]])
                new = own[~places.isin(pd.MultiIndex.from_frame(known[["key", PIXELS]]))]
                if len(new):
                    yield label_key(judge, name, attributes[name]), new, len(attributes[name])

    def _fit_files(self, fits: Sequence[MethodImages]) -> dict[str, Path]:
        files: dict[str, Path] = {}
        for one in fits:
            folder = self.workbench.fit_folder(one.use)
            files |= {name: folder / Path(name).name for name in fit_names(one.identity.key)}
        return files

    def _add(self, what: str, files: Mapping[str, Path]) -> None:
        if files:
            self.workbench.progress.start(f"push {what}", len(files))
            self.cache.add(files)
            self.workbench.progress.advance(len(files))
            self.workbench.progress.finish()
