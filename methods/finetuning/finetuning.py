"""Finetuning for fairness: trains the model until its images follow the desired distribution.

Shen, Du, Pang, Lin, Wong, Kankanhalli: "Finetuning Text-to-Image Diffusion Models for Fairness", ICLR 2024,
arXiv 2311.07604, section 4. In every step the model in training generates a batch of ``N`` images ``x_n`` of
one concept, and the original model generates a batch ``x_n^0`` from the same noise. A classifier of each
attribute gives probabilities ``p_n^a`` of its groups. By optimal transport over the batch
(:mod:`~evenhand.methods.finetuning._dynamic_targets`) each image gets a target group ``y_n^a`` of every
attribute, or none if it is uncertain, and

    L = mean over n:  sum over a: -log p_n^a(y_n^a)  +  w k_n sum over f: (1 - cos(f(x_n), f(x_n^0)))
                      +  w_face (1 - cos(g(x_n), g(x_n^0)))

with vision encoders ``f`` (CLIP and DINO) of the image and ``g`` of the face
(:mod:`~evenhand.methods.finetuning._preservation`). ``k_n`` is 1 if every target is what ``x_n^0`` shows;
otherwise it is the smallest ``relax`` of the attributes that must change or have no target, and the smallest
of all for an image without a face.

The gradient runs through the sampling (:mod:`~evenhand.methods.finetuning._adjusted_sampling`). The trained
parameters are low-rank updates ``W + (alpha / r) B A`` of the attention projections (LoRA, arXiv 2106.09685);
their exponential mean over the steps is merged into the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, model_validator
from torch import Tensor
from torch.nn.functional import nll_loss

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Budget, Cell, Intervention, Method, MethodInfo, Task, TextStates
from evenhand.methods.finetuning._adjusted_sampling import decode, sample
from evenhand.methods.finetuning._dynamic_targets import Floats, group_targets, target_shares
from evenhand.methods.finetuning._low_rank import LowRank, low_rank
from evenhand.methods.finetuning._preservation import CLIP, Perceived, Preservation
from evenhand.methods.shared.prompt_text import fill
from evenhand.methods.shared.training import (
    RandomState,
    Series,
    course,
    curve,
    gaussian,
    one_thread,
    train,
)
from evenhand.methods.space import Choice, Range, Space

Groups = NDArray[np.int64]
Certain = NDArray[np.bool_]


class Finetuning(Method):
    """Distributional alignment by adjusted direct finetuning.

    The defaults are those of the released experiment on gender, race and age.

    Attributes:
        prompts: Templates of the training prompts, with ``{a}`` and ``{concept}``; one is drawn per step.
        judge: The steering judge; it must provide gradients.
        labels: Empty to classify every attribute by itself with the judge's own classifiers, as published. A
            template with ``{noun}`` or ``{adjective}`` to let the judge choose between texts of whole cells;
            the probability of a group is then the sum over its cells.
        encoders: The vision encoders ``f``: ``clip`` for the CLIP of the suite, or folders and hub ids.
        face_encoder: The vision encoder ``g`` of faces, a folder or hub id; without one there is no term for
            faces. Needs a judge that sees faces.
        trained: What gets low-rank updates: ``unet``, ``text_encoder``, or ``both``.
        rank: Rank of the updates.
        batch: Images ``N`` per step.
        chunk: Images generated together; affects memory only.
        steps: Largest number of training steps.
        patience: Steps after which the training stops unless its loss fell; 0 to always train all steps.
        fewest_draws: Smallest number of denoising steps of an image in training.
        most_draws: Largest number of denoising steps of an image in training; drawn for each step.
        guidance: Guidance scale of the images in training; 1 halves the passes.
        learning_rate: Learning rate.
        decay: Decoupled weight decay.
        ema: Largest decay of the exponential mean of the updates, which starts at 0 and grows with the steps;
            0 keeps the last weights alone.
        label_draws: Label sets over which a target is averaged.
        most_uncertain: Largest uncertainty of a target that counts.
        preserve: Weight ``w`` of staying near the original model's images.
        face_weight: Weight ``w_face`` of staying near the original face.
        kept: Smallest probability of its groups at which an original face is kept.
        relax: Attribute to its factor on ``w`` if it must change.
        relax_others: Factor of the attributes that ``relax`` does not name.
        face_relax: Attribute to a further factor inside the box of the face if it must change.
        face_relax_others: Further factor of the attributes that ``face_relax`` does not name.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="finetuning",
        version="2.0",
        title="Finetuning for fairness",
        summary="Trains low-rank updates through the sampling until judged images follow the target.",
        paper="https://arxiv.org/abs/2311.07604",
        licence="Apache-2.0",
        origin="sail-sg/finetune-fair-diffusion, MIT; reimplemented from the formulas",
        family="training",
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any, alone or as joint cells, that a judge with gradients can classify",
    )
    training_length: ClassVar[tuple[str, ...]] = ("steps", "batch")
    prompts: tuple[str, ...] = ("A photo of the face of {a} {concept}, a person",)
    judge: str = "openai-clip-vit-b-32"
    labels: Annotated[str, StringConstraints(pattern=r"^$|\{(noun|adjective)\}")] = ""
    encoders: tuple[str, ...] = (CLIP, "facebook/dinov2-base")
    face_encoder: str = ""
    trained: Literal["unet", "text_encoder", "both"] = "text_encoder"
    rank: int = Field(default=50, ge=1)
    batch: int = Field(default=40, ge=2)
    chunk: int = Field(default=4, ge=1)
    steps: int = Field(default=15_000, ge=1)
    patience: int = Field(default=0, ge=0)
    fewest_draws: int = Field(default=19, ge=1)
    most_draws: int = Field(default=23, ge=1)
    guidance: float = Field(default=7.5, ge=0)
    learning_rate: float = Field(default=5e-5, gt=0)
    decay: float = Field(default=0.01, ge=0)
    ema: float = Field(default=0.996, ge=0, lt=1)
    label_draws: int = Field(default=100, ge=1)
    most_uncertain: float = Field(default=0.2, ge=0, le=1)
    preserve: float = Field(default=8.0, ge=0)
    face_weight: float = Field(default=0.1, ge=0)
    kept: float = Field(default=0.75, ge=0, le=1)
    relax: Mapping[str, float] = {"gender": 0.2}
    relax_others: float = Field(default=0.6, ge=0, le=1)
    face_relax: Mapping[str, float] = {"gender": 0.2}
    face_relax_others: float = Field(default=0.3, ge=0, le=1)

    @classmethod
    def space(cls) -> Space:
        """What is trained and how fast, and how strongly images are kept."""
        return {
            "trained": Choice(("text_encoder", "unet", "both")),
            "rank": Range(low=4, high=64, log=True, integer=True),
            "learning_rate": Range(low=5e-5, high=1e-2, log=True),
            "preserve": Range(low=0.5, high=16.0, log=True),
            "most_uncertain": Range(low=0.1, high=0.5),
        }

    @property
    def steering_judge(self) -> str:
        """The judge whose probabilities are trained towards the targets."""
        return self.judge

    @property
    def pretrained(self) -> tuple[str, ...]:
        """Folders or hub ids of the encoders other than the CLIP of the suite."""
        return tuple(name for name in (*self.encoders, self.face_encoder) if name not in ("", CLIP))

    @property
    def preserves(self) -> bool:
        """Whether images of the original model are needed."""
        return bool((self.preserve and self.encoders) or (self.face_encoder and self.face_weight))

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """U-Net passes forward, recomputed in the backward pass, and of the original model."""
        passes = 3 if self.preserves else 2
        halves = 1 if self.guidance == 1 else 2
        return Budget(
            judgements=self.steps * self.batch * (passes - 1),
            evaluations=self.steps * self.most_draws * halves * self.batch * passes,
            exact=self.fewest_draws == self.most_draws and not self.patience,
        )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.fewest_draws > self.most_draws:
            raise ValueError(f"fewest_draws {self.fewest_draws} exceeds most_draws {self.most_draws}")
        return self

    @one_thread()
    def fit(self, task: Task) -> Intervention:
        """Train the updates and merge their mean; an interrupted training resumes.

        Raises:
            EvenhandError: peft is missing, the judge provides no gradients, the suite has no CLIP for the
                preservation, or the training diverges.
        """
        if self.preserve and CLIP in self.encoders and task.clip is None:
            raise EvenhandError(
                f"method {self.info.name!r} preserves images by the suite's CLIP, but the suite has none; "
                "give it a 'scorer', or set encoders=[]"
            )
        with low_rank(self._networks(task), rank=self.rank, rng=task.rng) as updates:
            alignment, mean = Alignment(self, task, updates), _mean(updates, decay=self.ema)
            losses = train(
                updates.parameters(),
                alignment.loss,
                steps=self.steps,
                learning_rate=self.learning_rate,
                decay=self.decay,
                patience=self.patience,
                after_step=lambda: mean.step(updates.parameters()),
                checkpoint=task.checkpoint,
                state=(RandomState(task.rng), mean, alignment.parts),
                precision=task.model.unet.dtype,
            )
            mean.copy_to(updates.parameters())
            weights = updates.merged()
        parts = zip(("fairness", "images", "faces"), zip(*alignment.parts, strict=True), strict=True)
        return Intervention(
            weights=weights,
            record=course(losses) | {"losses": curve(losses)} | {name: curve(part) for name, part in parts},
        )

    def _networks(self, task: Task) -> dict[str, Any]:
        encoders = [encoder for _, encoder in task.model.text_encoders]
        networks = dict(zip(("text_encoder", "text_encoder_2"), encoders, strict=False))
        networks = networks if self.trained != "unet" else {}
        return networks | ({"unet": task.model.unet} if self.trained != "text_encoder" else {})


class Alignment:
    """One fit: the loss of a step.

    Attributes:
        names: Attribute to its groups, in the order of the cells.
        groups: Attribute to the index of its group in every cell.
        parts: The means of the terms at every step: fairness, images, faces.
    """

    def __init__(self, method: Finetuning, task: Task, updates: LowRank) -> None:
        self.method, self.task, self.updates = method, task, updates
        self.names, self.groups = {}, {}
        for name in task.cells[0].groups:
            found = list(dict.fromkeys(cell.groups[name] for cell in task.cells))
            self.names[name] = found
            self.groups[name] = np.array([found.index(cell.groups[name]) for cell in task.cells])
        self.preservation = Preservation.of(method, task)
        self.parts = Series()

    def loss(self, step: int) -> Tensor:
        """``L`` on a new batch of one concept."""
        method, task = self.method, self.task
        concept = int(task.rng.integers(len(task.concepts)))
        template = method.prompts[int(task.rng.integers(len(method.prompts)))]
        prompt = fill(template, concept=task.concepts[concept])
        draws = int(task.rng.integers(method.fewest_draws, method.most_draws + 1))
        unet = task.model.unet.config
        shape = (method.batch, unet.in_channels, unet.sample_size, unet.sample_size)
        noise = gaussian(task.rng, shape, task.model)
        images = self.images(noise, prompt, draws)
        perceived = self.perceived(images)
        targets = self.targets(perceived, task.target[concept])
        fairness = self.fairness(perceived, targets)
        kept = faces = images.new_zeros(())
        if method.preserves:
            with torch.no_grad(), self.updates.disabled():
                before = self.images(noise, prompt, draws)
                original = self.perceived(before)
            kept, faces = self.preservation(images, perceived, before, original, targets)
        self.parts.append([float(part.detach()) / method.batch for part in (fairness, kept, faces)])
        return (fairness + method.preserve * kept + method.face_weight * faces) / method.batch

    def images(self, noise: Tensor, prompt: str, draws: int) -> Tensor:
        """Images ``(n, 3, height, width)`` of the prompt, with adjusted gradients."""
        model, guidance = self.task.model, self.method.guidance
        made = []
        for part in torch.split(noise, self.method.chunk):
            text, uncond = (_repeated(model.encode_uncached([words]), len(part)) for words in (prompt, ""))
            latents = sample(model, part, text, uncond, steps=draws, guidance=guidance)
            made.append(decode(model, latents).float())
        return torch.cat(made)

    def perceived(self, images: Tensor) -> Perceived:
        """The probabilities of every attribute's groups, and the faces."""
        method, judge = self.method, self.task.judge
        if not method.labels:
            logits, faces = judge.group_logits(images, self.names)
            return Perceived({name: value.log_softmax(dim=1) for name, value in logits.items()}, faces)
        texts = [fill(method.labels, concept="person", cell=cell) for cell in self.task.cells]
        logs = judge.logits(images, texts).log_softmax(dim=1)
        return Perceived(
            {
                name: torch.stack([logs[:, index == g].logsumexp(dim=1) for g in range(index.max() + 1)], 1)
                for name, index in self.groups.items()
            }
        )

    def targets(self, perceived: Perceived, desired: Floats) -> dict[str, tuple[Groups, Certain]]:
        """Attribute to the target group of every image, and whether it is certain; never without a face."""
        seen = perceived.seen
        certain = {name: np.zeros(len(seen), bool) for name in self.groups}
        group = {name: np.zeros(len(seen), np.int64) for name in self.groups}
        if seen.any():
            marginals = [
                value.detach().double().exp().cpu().numpy()[seen] for value in perceived.logs.values()
            ]
            draws, most = self.method.label_draws, self.method.most_uncertain
            indices = list(self.groups.values())
            shares = target_shares(marginals, indices, desired, draws=draws, rng=self.task.rng)
            for name, index in self.groups.items():
                group[name][seen], certain[name][seen] = group_targets(shares, index, most_uncertain=most)
        return {name: (group[name], certain[name]) for name in self.groups}

    def fairness(self, perceived: Perceived, targets: Mapping[str, tuple[Groups, Certain]]) -> Tensor:
        """``sum over n and a: -log p_n^a(y_n^a)``, where there is a target."""
        total = next(iter(perceived.logs.values())).new_zeros(())
        for name, (group, certain) in targets.items():
            labels = torch.from_numpy(np.where(certain, group, _IGNORED)).to(total.device)
            total = total + nll_loss(perceived.logs[name], labels, ignore_index=_IGNORED, reduction="sum")
        return total


_IGNORED = -100
"""Label of images without a target."""


def _mean(updates: LowRank, *, decay: float) -> Any:
    """The exponential mean of the updates: ``min(decay, (1 + t) / (10 + t))`` after ``t`` steps."""
    # Any: diffusers does not type its models' parameters. Imported late, because it is slow.
    from diffusers.training_utils import EMAModel

    return EMAModel(updates.parameters(), decay=decay)  # type: ignore[arg-type]


def _repeated(text: TextStates, count: int) -> TextStates:
    pooled = None if text.pooled is None else text.pooled.expand(count, -1)
    return TextStates(text.states.expand(count, -1, -1), text.first_eos.expand(count), pooled)
