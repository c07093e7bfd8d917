r"""EFA: an extra attention slot for a drawn group, which opens on the person and nowhere else.

Park, Lee, Chung, Lee, Choo, Gu: "Fair Generation without Unfair Distortions: Debiasing Text-to-Image
Generation with Entanglement-Free Attention", arXiv 2506.13298 (ICCV 2025). In cross-attention of the up path
every word of a group's phrase gets one more slot (see :mod:`evenhand.methods.activations._attention_slot`):

    out = softmax([ Q K^T / sqrt(d), AP_a(z_t) ]) [ V ; V_a ]

``AP_a`` is trained on images ``x`` of the model's own that show ``a``, with the networks frozen. ``M`` is
the mask of the person, ``share(AP)`` the attention that the slots receive:

    L =   || M (eps - eps_theta(x_t, t, counterfactual prompt; slots of a)) ||^2
        + l1 share(AP_a)               where the prompt states a already
        + l2 share(AP_a) (1 - M)       under the counterfactual prompt

The counterfactual prompt states another cell than the image shows, so that the slots must carry ``a``
against it; the last two terms keep them closed where nothing is to be changed. An image that mentions a
concept then draws a cell from the target; the slots of its groups act in the conditional half of guidance at
every step. Where ``M`` comes from is said in :mod:`evenhand.methods.activations._masked_images`.

Reconstructed, because our source is a description: ``share`` (L1 of a logit would not close a slot, L1 of
what it receives does), the input of ``AP`` (the features that the layer reads), all training numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.methods.activations._attention_slot import Slots, attend, fresh_convolutions, token_grid
from evenhand.methods.activations._masked_images import MaskedImages, share_outside
from evenhand.methods.activations._mid_block import lesson_cells
from evenhand.methods.base import Budget, Cell, EditableModel, Intervention, Method, MethodInfo, Task
from evenhand.methods.hooks import Batch, Site, Steering, Step
from evenhand.methods.shared.group_assignment import assigned_groups, assignment, group_words
from evenhand.methods.shared.prompt_text import fill
from evenhand.methods.shared.training import course, one_thread, train


@dataclass(frozen=True, eq=False)
class EfaIntervention(Intervention):
    """Opens the slots of a drawn cell's groups; ``tensors`` is that of :class:`Slots`."""

    def sites(self) -> Sequence[str]:
        """The cross-attention modules that have slots; none where the slots weigh nothing."""
        sites: Sequence[str] = self.data["modules"]
        return sites if self.data["scale"] else ()

    def steer(self, batch: Batch) -> Steering:
        """Draws the cell of every image whose prompt mentions a concept."""
        wanted = assigned_groups(batch, self.data["wishes"])
        groups = {name: torch.tensor(of) for name, of in wanted.items()}
        return _Slotted(Slots(self.tensors, list(groups)), groups, scale=self.data["scale"])


class _Slotted(Steering):
    """Recomputes attention in the conditional half; an image without a wish keeps its output bit for bit."""

    def __init__(self, slots: Slots, groups: Mapping[str, Tensor], *, scale: float) -> None:
        self.slots, self.groups, self.scale = slots, groups, scale
        self.latents: tuple[int, int] = (0, 0)

    def text(self, step: Step, states: Tensor, latents: Tensor) -> Tensor:
        """The states themselves; the latents tell the shape of the image tokens."""
        self.latents = latents.shape[2], latents.shape[3]
        return states

    def feature(self, step: Step, site: Site, output: Tensor) -> Tensor:
        """The module's output with the slots of every image's groups."""
        wish = next(iter(self.groups.values())).to(output.device) >= 0
        n = len(wish)
        x = site.inputs[0][n : 2 * n]
        logits = self.slots.logits(site.name, x, self.groups, grid=token_grid(x.shape[1], self.latents))
        # exp(logit) times the scale.
        logits = logits + math.log(self.scale)
        words = self.slots.words(self.groups).to(output.device, output.dtype)
        changed, _ = attend(site, rows=slice(n, 2 * n), logits=logits, words=words)
        kept = torch.where(wish[:, None, None], changed.to(output.dtype), output[n : 2 * n])
        return torch.cat([output[:n], kept, output[2 * n :]])


class Efa(Method):
    """Entanglement-free attention.

    Attributes:
        stated: Template of the prompts that state a cell, for images and as counterfactuals, with ``{a}``,
            ``{adjective}`` and ``{concept}``.
        words: Template of the phrase whose words fill a group's slots, with ``{adjective}`` or ``{noun}``.
        end: Whether the state at the end of the phrase, which sums it up, fills a slot as well.
        blocks: Which up blocks with cross-attention get slots, counted from the coarsest; published: the one
            at a quarter of the latents' side, which is the coarsest.
        images: Images of every cell.
        hidden: Channels between the convolutions.
        steps: Training steps.
        batch: Images in a step, each under two prompts.
        learning_rate: Learning rate of Adam.
        l1: Weight of the slots' attention where the prompt states the group already.
        l2: Weight of the slots' attention outside the mask.
        passes: Noised copies of an image that its mask is estimated from.
        threshold: Difference of predictions, relative to an image's mean, from which on there is a person;
            at 0 the mask is the whole image.
        scale: Factor of the slots' weights before attention is normalised; 1 as published.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="efa",
        version="1.0",
        title="Entanglement-free attention",
        summary="Opens an extra attention slot for a drawn group, trained to act on the person alone.",
        paper="https://arxiv.org/abs/2506.13298",
        licence="Apache-2.0",
        origin="atjeong/efa, a modified library; written from a description of paper and code",
        family="activations",
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any that can be said in words, each group with its own slots; joint cells open several",
    )
    intervention_type: ClassVar[type[Intervention]] = EfaIntervention
    strength: ClassVar[str | None] = "scale"

    stated: str = "a photo of {a} {adjective} {concept}"
    words: str = "{noun}"
    end: bool = False
    blocks: tuple[int, ...] = Field(default=(0,), min_length=1)
    images: int = Field(default=200, ge=1)
    hidden: int = Field(default=128, ge=1)
    steps: int = Field(default=5000, ge=1)
    batch: int = Field(default=4, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    l1: float = Field(default=0.1, ge=0)
    l2: float = Field(default=0.1, ge=0)
    passes: int = Field(default=4, ge=1)
    threshold: float = Field(default=1.0, ge=0)
    scale: float = Field(default=1.0, ge=0)

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """Images of all cells, two predictions of every noised copy for the masks, and the training."""
        images = len(cells) * self.images
        return Budget(images=images, evaluations=2 * (self.passes * images + self.steps * self.batch))

    @one_thread()
    def fit(self, task: Task) -> Intervention:
        """Draw images, estimate their masks, and train the convolutions of every module and attribute."""
        modules = self._modules(task.model)
        slots, trained = self._slots(task, modules)
        shown = MaskedImages(
            task, stated=self.stated, images=self.images, passes=self.passes, threshold=self.threshold
        )
        shares: dict[str, Tensor] = {}
        parts: list[tuple[float, float, float]] = []

        def loss(step: int) -> Tensor:
            batch = shown.draw(self.batch)

            def open_slots(site: Site, output: Tensor) -> Tensor:
                x = site.inputs[0]
                grid = token_grid(x.shape[1], batch.noised.shape[2:])
                logits = slots.logits(site.name, x, batch.groups, grid=grid)
                words = slots.words(batch.groups).to(x.device, x.dtype)
                out, shares[site.name] = attend(site, rows=slice(None), logits=logits, words=words)
                return out

            with task.model.features(modules, open_slots):
                predicted = task.model.predict(batch.noised, batch.timesteps, task.model.encode(batch.texts))
            n = self.batch
            denoising = (batch.mask * (batch.eps - predicted[:n])).float().pow(2).mean()
            stated = torch.stack([share[n:].mean() for share in shares.values()]).mean()
            outside = torch.stack([share_outside(share[:n], batch.mask) for share in shares.values()]).mean()
            parts.append((float(denoising.detach()), float(stated.detach()), float(outside.detach())))
            return denoising + self.l1 * stated + self.l2 * outside

        total = train(trained, loss, steps=self.steps, learning_rate=self.learning_rate)
        names = ("denoising", "share_where_stated", "share_outside")
        courses = {name: course(values) for name, values in zip(names, zip(*parts, strict=True), strict=True)}
        return EfaIntervention(
            tensors={name: tensor.detach().cpu() for name, tensor in slots.tensors.items()},
            data={"modules": modules, "wishes": assignment(task), "scale": self.scale},
            record={"total": course(total), **courses, "mask": float(shown.masks.mean())},
        )

    def _modules(self, model: EditableModel) -> list[str]:
        """Names of the cross-attention modules of the chosen blocks."""
        names = [name for name, _ in model.unet.named_modules() if name.endswith("attn2")]
        up = list(dict.fromkeys(".".join(n.split(".")[:2]) for n in names if n.startswith("up_blocks.")))
        if not all(0 <= block < len(up) for block in self.blocks):
            raise EvenhandError(
                f"efa: 'blocks' is {list(self.blocks)}, but {model.name} has {len(up)} up blocks with "
                f"cross-attention; give numbers from 0 to {len(up) - 1}"
            )
        return [name for block in self.blocks for name in names if name.startswith(f"{up[block]}.")]

    def _slots(self, task: Task, modules: Sequence[str]) -> tuple[Slots, list[Tensor]]:
        """Text states of every group's words, untrained convolutions, and which tensors are trained."""
        device, attributes = task.model.unet.device, group_words(task.cells)
        tensors: dict[str, Tensor] = {}
        for attribute, groups in attributes.items():
            phrases = {
                cell.groups[attribute]: fill(self.words, concept="person", cell=cell)
                for cell in lesson_cells(task.cells, "groups")
                if attribute in cell.groups
            }
            text = task.model.encode([phrases[group] for group in groups])
            ends = text.first_eos[:, None].cpu() + (1 if self.end else 0)
            slots = int(ends.max()) - 1
            # Row 0 is the begin of text, which says nothing of the words.
            tensors[f"words/{attribute}"] = text.states[:, 1 : slots + 1].clone()
            tensors[f"open/{attribute}"] = (torch.arange(slots) < ends - 1).float()
            for module in modules:
                tensors |= fresh_convolutions(
                    f"{module}/{attribute}",
                    inputs=task.model.unet.get_submodule(module).to_q.in_features,
                    hidden=self.hidden,
                    outputs=tensors[f"open/{attribute}"].numel(),
                    rng=task.rng,
                )
        tensors = {name: tensor.to(device) for name, tensor in tensors.items()}
        trained = [tensor for name, tensor in tensors.items() if name.endswith((".weight", ".bias"))]
        return Slots(tensors, list(attributes)), trained
