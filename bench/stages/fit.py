"""Fits a method: gives it its task, counts its cost, and stores its intervention."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from evenhand.bench.errors import EvenhandError, MethodError
from evenhand.bench.models.memory import memory_needed
from evenhand.bench.models.sampler import BatchSampler
from evenhand.bench.models.unet import Model
from evenhand.bench.prompts.plan import image_key
from evenhand.bench.registry.method_spec import MethodUse, check_intervention
from evenhand.bench.stages.checkpoint import FitCheckpoint
from evenhand.bench.stages.measure import Evaluation
from evenhand.bench.stages.method_failure import method_at_work, network_of_machine
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.fit_images import FitImages
from evenhand.bench.storage.fits import Fitted, fit_folder, fit_identity, load_fit, write_cost
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.suites.suite import Suite
from evenhand.methods.base import EditableModel, Images, Intervention, Task
from evenhand.methods.saving import load, save
from evenhand.methods.services import Clip
from evenhand.methods.shared.training import one_thread
from evenhand.metrics.judges.base import DifferentiableJudge, GradientJudge, Judge, ZeroShotJudge
from evenhand.metrics.vision.encoder import load_encoder
from evenhand.metrics.vision.segmentation import load_segmenter

_CHECKPOINT = "checkpoint.pt"

_SMALLER = (
    'lower the method\'s batch or chunk, if it has one, set precision = "bfloat16" in the protocol of the '
    "suite, or use a device with more memory"
)


@dataclass
class CountedSample:
    """The ``sample`` of a task: counts images, and stores them so that an interrupted fit resumes.

    Images that are already in the store count too: the count is the cost of the method, not of this process.
    """

    sampler: BatchSampler
    store: ImageStore
    protocol: str
    progress: Progress
    images: int = 0
    drawn: FitImages = field(default_factory=FitImages)
    """Which images they are, for those who delete them after the fit."""

    def __call__(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        intervention: Intervention | None = None,
        negative_prompt: str = "",
    ) -> Images:
        """Generate images of ``prompts`` with an intervention.

        Raises:
            MethodError: An image has non-finite pixels, because the edit has diverged.
        """
        self.images += len(prompts)
        digest = intervention.digest() if intervention else ""
        keys = [self._key(p, s, digest, negative_prompt) for p, s in zip(prompts, seeds, strict=True)]
        self.drawn.add(keys, edited=bool(digest))
        protocol = self.sampler.protocol
        made: Images = np.empty((len(keys), protocol.height, protocol.width, 3), dtype=np.uint8)
        # An observing intervention must observe the generation of every image.
        observing = intervention is not None and intervention.observes
        missing = [i for i, key in enumerate(keys) if observing or not self._stored(key, made[i])]

        def keep(start: int, images: Images, finite: NDArray[np.bool_]) -> None:
            if not finite.all():
                raise _not_finite()
            for i, image in zip(missing[start : start + len(images)], images, strict=True):
                self.store.put(keys[i], image)
                made[i] = image
            self.progress.advance(len(images))

        self.progress.advance(len(prompts) - len(missing))
        self.sampler.draw(
            [prompts[i] for i in missing],
            [seeds[i] for i in missing],
            on_batch=keep,
            intervention=intervention,
            negative_prompt=negative_prompt,
        )
        return made

    def with_steps(self, steps: int | None) -> CountedSample:
        """The same with another number of denoising steps; ``None`` for those of the protocol."""
        if steps is None:
            return self
        sampler = self.sampler.with_steps(steps)
        return replace(self, sampler=sampler, protocol=sampler.protocol.model_dump_json())

    def _stored(self, key: str, into: Images) -> bool:
        """Copy an image of the store; whether it is there."""
        found = self.store.get(key)
        if found is None:
            return False
        image, status = found
        if status != "ok":
            raise _not_finite()
        into[:] = image
        return True

    def _key(self, prompt: str, seed: int, digest: str, negative: str) -> str:
        return image_key(
            model=self.sampler.model.revision,
            protocol=self.protocol,
            intervention=digest,
            prompt=prompt,
            seed=seed,
            negative=negative,
        )


def _not_finite() -> MethodError:
    return MethodError("the edit of the method produces images with non-finite pixels; lower its step size")


@dataclass
class CountedJudge:
    """The steering judge of a method; counts the images that it labels."""

    name: str | None
    judge: Judge | None
    judgements: int = field(default=0)

    def __call__(self, images: Images, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities ``(n, len(texts))``.

        Raises:
            EvenhandError: The method declares no steering judge, or one that is not a zero-shot judge.
        """
        if not isinstance(self.judge, ZeroShotJudge):
            raise EvenhandError(
                f"steering judge {self.name!r} is not a zero-shot judge; set the method's "
                "parameter 'judge' to a "
                "zero-shot judge of `evenhand list judges`"
            )
        self.judgements += len(images)
        return self.judge.zero_shot(images, list(texts))

    def logits(self, pixels: Tensor, texts: Sequence[str]) -> Tensor:
        """Logits ``(n, len(texts))`` of images ``(n, 3, height, width)`` in ``[-1, 1]``, with gradients.

        Raises:
            EvenhandError: The method declares no steering judge, or one without gradients.
        """
        if not isinstance(self.judge, DifferentiableJudge):
            raise EvenhandError(
                f"steering judge {self.name!r} provides no gradients, which the method needs; "
                "set its parameter "
                "'judge' to an open_clip judge of `evenhand list judges`"
            )
        self.judgements += len(pixels)
        return self.judge.logits(pixels, list(texts))

    def group_logits(
        self, pixels: Tensor, groups: Mapping[str, Sequence[str]]
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """What the judge's own classifiers perceive, with gradients; see :class:`SteeringJudge`.

        Raises:
            EvenhandError: The method declares no steering judge, one without gradients, or one that does not
                know a group.
        """
        if not isinstance(self.judge, GradientJudge):
            raise EvenhandError(
                f"steering judge {self.name!r} provides no gradients, which the method needs; set its "
                "parameter 'judge' to an open_clip judge or an image classifier of `evenhand list judges`"
            )
        self.judgements += len(pixels)
        found, faces = self.judge.group_logits(pixels)
        return {name: self._columns(found, name, wanted) for name, wanted in groups.items()}, faces

    def _columns(self, found: Mapping[str, Tensor], attribute: str, groups: Sequence[str]) -> Tensor:
        """The logits of these groups, in this order."""
        assert self.judge is not None, "checked by the caller"
        known = self.judge.info.taxonomies.get(attribute, ()) if attribute in found else ()
        if missing := [group for group in groups if group not in known]:
            raise EvenhandError(
                f"steering judge {self.name!r} does not know {', '.join(missing)} of {attribute}; set the "
                "method's parameter 'judge' to a judge that does, or 'labels' to texts of the cells"
            )
        return found[attribute][:, [known.index(group) for group in groups]]


def fit_in_run(
    use: MethodUse,
    *,
    suite: Suite,
    concepts: tuple[str, ...],
    sampler: BatchSampler,
    evaluation: Evaluation,
    progress: Progress,
) -> tuple[Fitted, FitImages]:
    """Fit a method of a run with the run's judges and scorer; see :func:`fit`.

    Args:
        use: The method and its label.
        suite: The suite.
        concepts: The concepts to balance.
        sampler: Generates the images of the fit, into the run folder.
        evaluation: Provides the steering judge, the scorer and the run folder.
        progress: Reports every image.

    Returns:
        The fit, and the images that it needed, in this session and in those before it.

    Raises:
        EvenhandError: See :func:`fit`.
    """
    run_folder, scorer = evaluation.run_folder, evaluation.scorer
    steering = use.method.steering_judge
    folder = fit_folder(run_folder.root, use.label)
    drawn = FitImages(folder)
    protocol = suite.protocol.model_dump_json()
    sample = CountedSample(sampler, run_folder.images, protocol, progress, drawn=drawn)
    fitted = fit(
        use,
        suite=suite,
        concepts=concepts,
        sample=sample,
        judge=CountedJudge(steering, evaluation.judges.get(steering or "")),
        image_features=scorer.embed if scorer else None,
        clip=scorer,
        folder=folder,
    )
    return fitted, drawn


def fit(
    use: MethodUse,
    *,
    suite: Suite,
    concepts: tuple[str, ...],
    sample: CountedSample,
    judge: CountedJudge,
    image_features: Callable[[Images], NDArray[np.float32]] | None = None,
    clip: Clip | None = None,
    folder: Path,
) -> Fitted:
    """Fit a method, or load its intervention from ``folder`` if the same fit is stored there.

    An interrupted fit that trains resumes from the state stored in ``folder``.

    Args:
        use: The method and its label.
        suite: The suite; provides cells and target.
        concepts: The concepts to balance.
        sample: Generates and counts images.
        judge: Judges and counts images.
        image_features: The CLIP image encoder of the suite.
        clip: The same CLIP as a network.
        folder: ``RUN/interventions/<method>``.

    Raises:
        MethodError: The fit fails with these parameters.
        EvenhandError: The method does not support the model or the cells, or this machine lacks something.
    """
    cells = suite.cells()
    model = sample.sampler.model
    with method_at_work():
        model.check_method(use.method, cells=cells)
    identity = fit_identity(
        use, suite=suite, concepts=concepts, model=model.revision, protocol=sample.protocol
    )
    stored = load_fit(folder, use, identity)
    if stored is not None:
        return stored
    sample = sample.with_steps(use.method.fit_steps)
    costs = _Costs(sample, judge, model)
    checkpoint = FitCheckpoint(folder / _CHECKPOINT, str(identity), costs.count, costs.resume)
    task = Task(
        # A model that is run as a whole pipeline accepts only methods that do not use it.
        model=cast(EditableModel, model),
        concepts=concepts,
        cells=cells,
        target=suite.target_shares(concepts, suite.balanced),
        rng=np.random.default_rng(int(identity.fit[:16], 16)),
        sample=sample,
        judge=judge,
        image_features=image_features,
        clip=clip,
        encoder=network_of_machine(load_encoder),
        person_masks=network_of_machine(load_segmenter),
        checkpoint=checkpoint,
    )
    # The number of threads changes the last bits of a factorization, and so all images of an edit.
    with one_thread(), memory_needed(f"fit {use.label}", remedy=_SMALLER), method_at_work():
        fitted = use.method.fit(task)
    check_intervention(use.method, fitted)
    save(fitted, folder)
    checkpoint.remove()
    # Use what was stored, so that a resumed run gives the same results.
    intervention = load(folder, type(use.method))
    counts = costs.count()
    made = Fitted(
        intervention=intervention,
        images=counts["images"],
        judgements=counts["judgements"],
        evaluations=counts["evaluations"],
        bytes=sum(t.numel() * t.element_size() for t in intervention.flat_tensors().values()),
    )
    write_cost(folder, made.cost, identity, intervention)
    return made


class _Costs:
    """What the fit has cost so far, over all interruptions."""

    def __init__(self, sample: CountedSample, judge: CountedJudge, model: Model) -> None:
        self.sample, self.judge, self.model = sample, judge, model
        self._before = model.evaluations

    def count(self) -> dict[str, int]:
        return {
            "images": self.sample.images,
            "judgements": self.judge.judgements,
            "evaluations": self.model.evaluations - self._before,
        }

    def resume(self, stored: Mapping[str, int]) -> None:
        self.sample.images, self.judge.judgements = stored["images"], stored["judgements"]
        self.model.evaluations = self._before + stored["evaluations"]
