"""CBC, context-bias control: removes group directions from words and adds back those of other groups.

Li, Chang, Chen: "How Bias Binds: Measuring Hidden Associations for Bias Control in Text-to-Image
Compositions", arXiv 2511.07091 (AAAI 2026). No code was released: this is an implementation of the formulas,
with open details reconstructed as stated below. With ``c`` the text state of a token of the prompt and
``s_k`` that of the words of group ``k``,

    decouple   c* = c minus its projection on span{s_k}             r_k = <c, s_k> / <s_k, s_k> s_k
    inject     c <- share mean_(j != k) r_j + (1 - share) c*        at every step
    rescale    attention to injected tokens times 2 (1 - t/T)

For a single group ``c* = c - r_k``; for several the projections are orthogonalized (Gram-Schmidt), so that
``c*`` states none of them. ``k`` is the group whose centre is closest to the latents of the step: the image
is pushed away from the group it is about to show. A centre is the mean of the latents, step by step, of
images whose prompts state the group.

Reconstructed: the centres (their prompts and seeds, and Euclidean distance); the state ``s_k``, that of the
last content token of the group's prompt; the treated tokens, all content tokens; several attributes, whose
injections are averaged; ``t``, the training timestep of the step, and ``T``, their number; the attention,
rescaled after the softmax without a new normalization. The groups' images share their seeds, so that the
noise cancels when distances to two centres are compared. At the first step the centres are equal, and the
residuals of all groups are injected equally.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field, StringConstraints
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Budget, Cell, Intervention, Method, MethodInfo, Task
from evenhand.methods.hooks import Batch, Site, Steering, Step
from evenhand.methods.shared.cells import single_groups
from evenhand.methods.shared.prompt_text import fill, first_phrase


def decouple(c: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """``c*`` and the residuals ``r_k`` of token states.

    Args:
        c: States ``(..., d)``.
        s: Groups' states ``(g, d)``.

    Returns:
        ``c*`` ``(..., d)``, orthogonal to every ``s_k``, and ``r`` ``(g, ..., d)``.
    """
    # QR gives the orthonormal basis of Gram-Schmidt in a numerically stable way.
    basis = torch.linalg.qr(s.double().T)[0]
    free = c.double() - c.double() @ basis @ basis.T
    along = (c.double() @ s.double().T) / (s.double() ** 2).sum(dim=1)
    r = along.movedim(-1, 0)[..., None] * s.double().view(len(s), *[1] * (c.dim() - 1), -1)
    return free.to(c), r.to(c)


class ContextControl(Steering):
    """Decouples the content tokens of a batch and injects residuals of groups that the latents do not show.

    Args:
        last: Position of the last content token of every image's prompt; 0 for an untreated image.
        s: Groups' states ``(g, d)``.
        centres: Mean latents ``(g, steps, c, h, w)``.
        attributes: The groups of each attribute, as indices into ``s``.
        share: Share of the injected residuals.
        last_timestep: ``T``.
        rescale: Whether attention is rescaled.
    """

    def __init__(
        self,
        last: Sequence[int],
        *,
        s: Tensor,
        centres: Tensor,
        attributes: Sequence[Sequence[int]],
        share: float,
        last_timestep: int,
        rescale: bool,
    ) -> None:
        self.last = torch.tensor(last)
        self.s, self.centres, self.attributes = s, centres, attributes
        self.share, self.T, self.rescale = share, last_timestep, rescale

    def tokens(self, length: int) -> Tensor:
        """Mask of the content tokens of treated images among ``length`` rows, ``(n, length)``."""
        position = torch.arange(length)
        return (position > 0) & (position <= self.last[:, None])

    def text(self, step: Step, states: Tensor, latents: Tensor) -> Tensor:
        """Content tokens decoupled, plus the residuals of the groups that are not closest to the latents."""
        if self.centres.shape[1] != step.count:
            raise EvenhandError(
                f"cbc was fitted with {self.centres.shape[1]} steps, not {step.count}; fit it again"
            )
        free, r = decouple(states, self.s.to(states.device))
        centres = self.centres[:, step.index].to(latents.device)
        distance = ((latents.float() - centres[:, None]) ** 2).flatten(start_dim=2).sum(dim=2)  # (g, n)
        images = torch.arange(len(states), device=states.device)
        injected = torch.zeros_like(states)
        for groups in self.attributes:
            two = distance[groups].topk(2, dim=0, largest=False)
            closer = (two.values[0] < two.values[1]).to(states)[:, None, None]
            others = r[groups].sum(dim=0) - closer * r[groups][two.indices[0], images]
            injected += others / (len(groups) - closer) / len(self.attributes)
        content = self.tokens(states.shape[1]).to(states.device)[:, :, None]
        return torch.where(content, self.share * injected + (1 - self.share) * free, states)

    def feature(self, step: Step, site: Site, output: Tensor) -> Tensor:
        """Values of the injected tokens times ``2 (1 - t/T)``: scales their attention after the softmax."""
        n = len(self.last)
        content = self.tokens(output.shape[1]).to(output.device)[:, :, None]
        factor = 2 * (1 - float(step.timestep) / self.T) if self.rescale else 1.0
        conditional = torch.where(content, output[n : 2 * n] * factor, output[n : 2 * n])
        return torch.cat([output[:n], conditional, output[2 * n :]])


@dataclass(frozen=True, eq=False)
class CbcIntervention(Intervention):
    """``tensors`` holds the groups' states and centres; ``data`` the concepts and parameters."""

    def sites(self) -> Sequence[str]:
        """The value projections of all cross-attention modules."""
        sites: Sequence[str] = self.data["sites"]
        return sites

    def steer(self, batch: Batch) -> Steering:
        """Context control; an image whose prompt mentions no concept stays unchanged."""
        treated = [first_phrase(text, self.data["concepts"]) is not None for text in batch.texts]
        first_eos = batch.encode(batch.texts).first_eos.tolist()
        return ContextControl(
            [eos - 1 if treat else 0 for eos, treat in zip(first_eos, treated, strict=True)],
            s=self.tensors["s"],
            centres=self.tensors["centres"],
            **self.data["control"],
        )


class Cbc(Method):
    """CBC with the parameters of the paper.

    Attributes:
        prompt: Template of a group's prompt, with ``{noun}`` or ``{adjective}`` and optionally ``{a}`` and
            ``{concept}``; it gives the group's state, and its images give the centre.
        images: Images per group; concepts take turns.
        share: Share of the injected residuals; at 0 the tokens are only decoupled.
        rescale: Whether the attention to injected tokens is rescaled.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="cbc",
        version="1.0",
        title="CBC (How Bias Binds)",
        summary="Removes group directions from words and adds back those of groups the image does not show.",
        paper="https://arxiv.org/abs/2511.07091",
        licence="Apache-2.0",
        origin="no code released; implemented from the formulas, open details reconstructed",
        family="embedding",
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any that words can express, each balanced evenly",
    )
    intervention_type: ClassVar[type[Intervention]] = CbcIntervention

    prompt: Annotated[str, StringConstraints(pattern=r"\{(noun|adjective)\}")] = "a headshot of {a} {noun}"
    images: int = Field(default=20, ge=1)
    share: float = Field(default=0.2, ge=0, le=1)
    rescale: bool = True

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """Images of every group; no further cost while sampling."""
        return Budget(images=self.images * len(_groups(cells)))

    def fit(self, task: Task) -> Intervention:
        """Generate the groups' images and average their latents.

        Raises:
            EvenhandError: There is only one cell, the target is not even over the groups of every attribute,
                or a template contains another field.
        """
        if len(task.cells) < 2:
            raise EvenhandError("cbc needs at least two cells to balance, got one")
        groups = _groups(task.cells)
        attributes = _by_attribute(groups)
        _require_even(task, groups, attributes)
        prompts = [
            [self._fill(task.concepts[i % len(task.concepts)], group) for i in range(self.images)]
            for group in groups
        ]
        states = [task.model.encode(row) for row in prompts]
        centres = _centres(task, prompts)
        return CbcIntervention(
            tensors={
                "s": torch.stack([text.at(text.first_eos - 1).float().mean(dim=0).cpu() for text in states]),
                "centres": centres,
            },
            data={
                "concepts": list(task.concepts),
                "sites": [name for name, _ in task.model.unet.named_modules() if name.endswith("attn2.to_v")],
                "control": {
                    "attributes": attributes,
                    "share": self.share,
                    "last_timestep": len(task.model.alphas_cumprod),
                    "rescale": self.rescale,
                },
            },
        )

    def _fill(self, concept: str, group: Cell) -> str:
        return fill(self.prompt, concept=concept, cell=group)


def _groups(cells: Sequence[Cell]) -> list[Cell]:
    """Every group alone, of the attributes with more than one group."""
    if len(cells[0].groups) == 1:
        return list(cells)  # their nouns read better: "woman" instead of "female person"
    groups = single_groups(cells)
    names = [next(iter(group.groups)) for group in groups]
    return [group for group, name in zip(groups, names, strict=True) if names.count(name) > 1]


def _by_attribute(groups: Sequence[Cell]) -> list[list[int]]:
    """Indices of the groups of each attribute."""
    names = [next(iter(group.groups)) for group in groups]
    return [[i for i, other in enumerate(names) if other == name] for name in dict.fromkeys(names)]


def _require_even(task: Task, groups: Sequence[Cell], attributes: Sequence[Sequence[int]]) -> None:
    member = np.array(
        [[group.groups.items() <= cell.groups.items() for cell in task.cells] for group in groups]
    )
    shares = task.target @ member.T  # (concepts, g)
    for indices in attributes:
        name = next(iter(groups[indices[0]].groups))
        if np.abs(shares[:, indices] - 1 / len(indices)).max() > 1e-6:
            raise EvenhandError(
                f"cbc pushes away from the shown group, so it can only balance {name} evenly; "
                "give an even target or choose another method"
            )


def _centres(task: Task, prompts: Sequence[Sequence[str]]) -> Tensor:
    """Mean latents ``(g, steps, c, h, w)`` of the prompts' images, on the same seeds for every group."""
    seeds = task.rng.integers(2**31, size=len(prompts[0])).tolist()
    watch = _Watch()
    for row in prompts:
        task.sample(row, seeds, intervention=watch)
    seen: Mapping[tuple[str, int], dict[int, Tensor]] = watch.seen
    return torch.stack(
        [
            torch.stack(
                [torch.stack(list(seen[text, seed].values())) for text, seed in zip(row, seeds, strict=True)]
            ).mean(dim=0)
            for row in prompts
        ]
    )


@dataclass(frozen=True, eq=False)
class _Watch(Intervention):
    """Changes nothing; records the latents of every image and step."""

    observes: ClassVar[bool] = True

    seen: dict[Any, dict[int, Tensor]] = field(default_factory=dict)

    def steer(self, batch: Batch) -> Steering:
        """Records the latents of this batch."""
        return _Watching(self.seen, batch)


@dataclass
class _Watching(Steering):
    seen: dict[Any, dict[int, Tensor]]
    batch: Batch

    def text(self, step: Step, states: Tensor, latents: Tensor) -> Tensor:
        """The unchanged states."""
        for text, seed, x in zip(self.batch.texts, self.batch.seeds, latents, strict=True):
            self.seen.setdefault((text, seed), {}).setdefault(step.index, x.float().cpu().clone())
        return states
