"""Finetuning for fairness: trains the model until its images follow the desired distribution.

Shen, Du, Pang, Lin, Wong, Kankanhalli: "Finetuning Text-to-Image Diffusion Models for Fairness", ICLR 2024,
arXiv 2311.07604, section 4. In every step the model in training generates a batch of images of one concept,
and the original model generates a batch from the same noise. From the judge's probabilities ``p_n`` of the
groups, :mod:`~evenhand.methods.finetuning._dynamic_targets` gives each image a target group ``y_n^a`` of
every attribute, or none if it is uncertain, and

    L = mean over n:  sum over a: -log p_n^a(y_n^a)  +  w k_n (1 - cos(f(x_n), f(x_n^0)))

where ``f`` are image features of a CLIP, ``x^0`` are the images of the original model, and ``k_n`` is 1 if
the target is what ``x_n^0`` shows; otherwise it is the smallest ``relax`` of the attributes that must change.
The gradient runs through the sampling (:mod:`~evenhand.methods.finetuning._adjusted_sampling`). The trained
parameters are low-rank updates ``W + (alpha / r) B A`` of the attention projections (LoRA, arXiv 2106.09685);
their exponential mean over the steps is merged into the weights.

A cell of several attributes is judged as a whole; the probability of a group is the sum over its cells.
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
from evenhand.methods.shared.prompt_text import fill
from evenhand.methods.shared.training import course, gaussian, one_thread, train

Groups = NDArray[np.int64]
Certain = NDArray[np.bool_]


class Finetuning(Method):
    """Distributional alignment by adjusted direct finetuning.

    Attributes:
        prompts: Templates of the training prompts, with ``{a}`` and ``{concept}``; one is drawn per step.
        labels: Template of the judge's text for a cell, with ``{noun}`` or ``{adjective}``.
        judge: The steering judge; it must provide gradients.
        trained: What gets low-rank updates: ``unet``, ``text_encoder``, or ``both``.
        rank: Rank of the updates.
        batch: Images ``N`` per step.
        steps: Training steps.
        fewest_draws: Smallest number of denoising steps of an image in training.
        most_draws: Largest number of denoising steps of an image in training; drawn for each step.
        guidance: Guidance scale of the images in training.
        learning_rate: Learning rate.
        decay: Decoupled weight decay.
        ema: Decay of the exponential mean of the updates; 0 keeps the last weights alone.
        label_draws: Label sets over which a target is averaged.
        most_uncertain: Largest uncertainty of a target that counts.
        preserve: Weight ``w`` of staying near the original model's images; 0 generates none of them.
        relax: Attribute to its factor on ``w`` if it must change.
        relax_others: Factor of the attributes that ``relax`` does not name.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="finetuning",
        version="1.0",
        title="Finetuning for fairness",
        summary="Trains low-rank updates through the sampling until judged images follow the target.",
        paper="https://arxiv.org/abs/2311.07604",
        licence="Apache-2.0",
        origin="sail-sg/finetune-fair-diffusion, MIT; reimplemented from the formulas",
        family="training",
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any, alone or as joint cells, that a judge with gradients can distinguish by words",
    )
    prompts: tuple[str, ...] = ("A photo of the face of {a} {concept}, a person",)
    labels: Annotated[str, StringConstraints(pattern=r"\{(noun|adjective)\}")] = "a photo of {a} {noun}"
    judge: str = "openai-clip-vit-b-32"
    trained: Literal["unet", "text_encoder", "both"] = "text_encoder"
    rank: int = Field(default=50, ge=1)
    batch: int = Field(default=24, ge=2)
    steps: int = Field(default=10_000, ge=1)
    fewest_draws: int = Field(default=19, ge=1)
    most_draws: int = Field(default=23, ge=1)
    guidance: float = Field(default=7.5, ge=0)
    learning_rate: float = Field(default=5e-5, gt=0)
    decay: float = Field(default=0.01, ge=0)
    ema: float = Field(default=0.996, ge=0, lt=1)
    label_draws: int = Field(default=100, ge=1)
    most_uncertain: float = Field(default=0.2, ge=0, le=1)
    preserve: float = Field(default=8.0, ge=0)
    relax: Mapping[str, float] = {"gender": 0.2}
    relax_others: float = Field(default=0.6, ge=0, le=1)

    @property
    def steering_judge(self) -> str:
        """The judge whose probabilities are trained towards the targets."""
        return self.judge

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """Both halves of guidance, forward and recomputed in the backward pass, and the original model."""
        passes = 3 if self.preserve else 2
        return Budget(
            judgements=self.steps * self.batch * (passes - 1),
            evaluations=self.steps * self.most_draws * 2 * self.batch * passes,
            exact=self.fewest_draws == self.most_draws,
        )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.fewest_draws > self.most_draws:
            raise ValueError(f"fewest_draws {self.fewest_draws} exceeds most_draws {self.most_draws}")
        return self

    @one_thread()
    def fit(self, task: Task) -> Intervention:
        """Train the updates and merge them.

        Raises:
            EvenhandError: peft is missing, the judge provides no gradients, the suite has no CLIP for the
                preservation, or the training diverges.
        """
        if self.preserve and task.clip is None:
            raise EvenhandError(
                f"method {self.info.name!r} preserves images by the suite's CLIP, but the suite has none; "
                "give it a 'scorer' or set preserve=0"
            )
        with low_rank(self._networks(task), rank=self.rank, rng=task.rng) as updates:
            alignment = Alignment(self, task, updates)
            losses = train(
                updates.parameters(),
                alignment.loss,
                steps=self.steps,
                learning_rate=self.learning_rate,
                decay=self.decay,
            )
            alignment.average()
            weights = updates.merged()
        return Intervention(weights=weights, record=course(losses))

    def _networks(self, task: Task) -> dict[str, Any]:
        encoders = [encoder for _, encoder in task.model.text_encoders]
        networks = dict(zip(("text_encoder", "text_encoder_2"), encoders, strict=False))
        networks = networks if self.trained != "unet" else {}
        return networks | ({"unet": task.model.unet} if self.trained != "text_encoder" else {})


class Alignment:
    """One fit: the loss of a step, and the mean of the updates over the steps.

    Attributes:
        groups: Attribute to the index of its group in every cell.
        texts: The judge's text of every cell.
        mean: Exponential mean of the updates' parameters, in their order.
    """

    def __init__(self, method: Finetuning, task: Task, updates: LowRank) -> None:
        self.method, self.task, self.updates = method, task, updates
        self.groups = {}
        for name in task.cells[0].groups:
            found = list(dict.fromkeys(cell.groups[name] for cell in task.cells))
            self.groups[name] = np.array([found.index(cell.groups[name]) for cell in task.cells])
        self.texts = [fill(method.labels, concept="person", cell=cell) for cell in task.cells]
        self.mean = [parameter.detach().clone() for parameter in updates.parameters()]

    def loss(self, step: int) -> Tensor:
        """``L`` on a new batch of one concept; also updates the mean with the parameters of the last step."""
        method, task = self.method, self.task
        if step:
            self._remember()
        concept = int(task.rng.integers(len(task.concepts)))
        template = method.prompts[int(task.rng.integers(len(method.prompts)))]
        prompt = fill(template, concept=task.concepts[concept])
        draws = int(task.rng.integers(method.fewest_draws, method.most_draws + 1))
        unet = task.model.unet.config
        shape = (method.batch, unet.in_channels, unet.sample_size, unet.sample_size)
        noise = gaussian(task.rng, shape, task.model)
        images = self.images(noise, prompt, draws)
        logs = self.log_marginals(images)
        targets = self.targets(logs, task.target[concept])
        total = images.new_zeros(())
        for name, (group, certain) in targets.items():
            labels = torch.from_numpy(np.where(certain, group, _IGNORED)).to(images.device)
            total = total + nll_loss(logs[name], labels, ignore_index=_IGNORED, reduction="sum")
        if method.preserve:
            total = total + method.preserve * self.preservation(images, noise, prompt, draws, targets)
        return total / method.batch

    def images(self, noise: Tensor, prompt: str, draws: int) -> Tensor:
        """Images ``(n, 3, height, width)`` of the prompt, with adjusted gradients."""
        model = self.task.model
        text, uncond = (_repeated(model.encode_uncached([words]), len(noise)) for words in (prompt, ""))
        latents = sample(model, noise, text, uncond, steps=draws, guidance=self.method.guidance)
        return decode(model, latents).float()

    def log_marginals(self, images: Tensor) -> dict[str, Tensor]:
        """Attribute to the logarithm of the probabilities of its groups, ``(n, K_a)``."""
        logs = self.task.judge.logits(images, self.texts).log_softmax(dim=1)
        return {
            name: torch.stack([logs[:, index == g].logsumexp(dim=1) for g in range(index.max() + 1)], dim=1)
            for name, index in self.groups.items()
        }

    def targets(self, logs: Mapping[str, Tensor], desired: Floats) -> dict[str, tuple[Groups, Certain]]:
        """Attribute to the target group of every image, and whether it is certain."""
        marginals = [value.detach().double().exp().cpu().numpy() for value in logs.values()]
        shares = target_shares(
            marginals, list(self.groups.values()), desired, draws=self.method.label_draws, rng=self.task.rng
        )
        most = self.method.most_uncertain
        return {
            name: group_targets(shares, index, most_uncertain=most) for name, index in self.groups.items()
        }

    def preservation(
        self,
        images: Tensor,
        noise: Tensor,
        prompt: str,
        draws: int,
        targets: Mapping[str, tuple[Groups, Certain]],
    ) -> Tensor:
        """``sum over n: k_n (1 - cos(f(x_n), f(x_n^0)))``."""
        clip = self.task.clip
        assert clip is not None, "checked before the training"
        with torch.no_grad(), self.updates.disabled():
            before = self.images(noise, prompt, draws)
            logs, features = self.log_marginals(before), clip.features(before)
        relaxed = np.ones(len(images))
        for name, (group, certain) in targets.items():
            flipped = certain & (logs[name].argmax(dim=1).cpu().numpy() != group)
            factor = self.method.relax.get(name, self.method.relax_others)
            relaxed = np.where(flipped, np.minimum(relaxed, factor), relaxed)
        cosines = (clip.features(images) * features).sum(dim=1)
        return (torch.from_numpy(relaxed).to(cosines) * (1 - cosines)).sum()

    @torch.no_grad()
    def average(self) -> None:
        """Replace the updates by their mean."""
        self._remember()
        for parameter, mean in zip(self.updates.parameters(), self.mean, strict=True):
            parameter.copy_(mean)

    @torch.no_grad()
    def _remember(self) -> None:
        for mean, parameter in zip(self.mean, self.updates.parameters(), strict=True):
            mean.lerp_(parameter, 1 - self.method.ema)


_IGNORED = -100
"""Label of images without a target."""


def _repeated(text: TextStates, count: int) -> TextStates:
    pooled = None if text.pooled is None else text.pooled.expand(count, -1)
    return TextStates(text.states.expand(count, -1, -1), text.first_eos.expand(count), pooled)
