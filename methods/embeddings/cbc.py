"""CBC, context-bias control: removes group directions from words and adds back those of other groups.

Li, Chang, Chen: "How Bias Binds: Measuring Hidden Associations for Bias Control in Text-to-Image
Compositions", arXiv 2511.07091 (AAAI 2026). No code was released: this is an implementation of the formulas,
with open details reconstructed as stated below. With ``c`` the text state of a context token of the prompt,
one that does not belong to the subject ``m``, and ``s_k`` the state of the words of group ``k``,

    decouple   c*_(-1) = c minus its projection on span{s_k}, r_k = <c, s_k> / <s_k, s_k> s_k
    lean       k = argmax_k |1/2 - B_mk|                     at the first step, with
               B_mk = sum_(i != m) e_i / sum_i e_i,          e_i = exp((cos(c_m, c_i) + cos(s_k, c_i)) / tau)
               k = argmin_k || z_t - centre_k,t ||           at every later step
    inject     c*_t = delta_r mean_(j != k) r_j + (1 - delta_r) c*_(t-1)
    rescale    attention to the context tokens times delta_c (1 - t/T)

The subject's tokens stay as they are. For a single group ``c* = c - r_k``; for several the projections are
orthogonalized (Gram-Schmidt), so that ``c*`` states none of them. ``B_mk`` is the bias adherence score: the
share of the context in the association of the prompt with group ``k``. A centre is the mean of the latents,
step by step, of images whose prompts state the group: the image is pushed away from the group it is about to
show. ``t`` is the number of the step, from 0, and ``T`` their total; ``c*_(-1)`` is the state
before the first step, which already injects.

Reconstructed: the centres (their prompts and seeds, and Euclidean distance); the state ``s_k``, that of the
last content token of the group's prompt, which is also the prototype in ``B_mk``; ``c_m``, the state of the
last token of the subject; ``tau``; several attributes, each with its own ``k``, whose injections are added
because their projections add up in ``c``; the attention, rescaled after the softmax without a new
normalization. The groups' images share their seeds, so that the noise cancels when distances to two centres
are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, StringConstraints
from torch import Tensor
from torch.nn.functional import normalize

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Budget, Cell, Intervention, Method, MethodInfo, Task, TextStates
from evenhand.methods.hooks import Batch, Site, Steering, Step
from evenhand.methods.shared.cells import single_groups
from evenhand.methods.shared.prompt_text import fill, first_phrase
from evenhand.methods.space import Choice, Range, Space

Residual = Literal["projection", "state"]
"""What is injected of a group: the projection of a token's state on the group's, or that state itself."""


def decouple(c: Tensor, s: Tensor, *, residual: Residual = "projection") -> tuple[Tensor, Tensor]:
    """``c*`` and the residuals ``r_k`` of token states.

    Args:
        c: States ``(..., d)``.
        s: Groups' states ``(g, d)``.
        residual: With ``"state"``, ``r_k`` is ``s_k`` itself.

    Returns:
        ``c*`` ``(..., d)``, orthogonal to every ``s_k``, and ``r`` ``(g, ..., d)``.
    """
    # QR gives the orthonormal basis of Gram-Schmidt in a numerically stable way.
    basis = torch.linalg.qr(s.double().T)[0]
    free = c.double() - c.double() @ basis @ basis.T
    along = (c.double() @ s.double().T) / (s.double() ** 2).sum(dim=1)
    if residual == "state":
        along = torch.ones_like(along)
    r = along.movedim(-1, 0)[..., None] * s.double().view(len(s), *[1] * (c.dim() - 1), -1)
    return free.to(c), r.to(c)


def adherence(c: Tensor, s: Tensor, *, content: Tensor, subject: Tensor, tau: float) -> Tensor:
    """The bias adherence scores ``B_mk``, ``(g, n)``, in ``[0, 1]``; zero without content tokens.

    Args:
        c: Text states ``(n, length, d)``.
        s: Groups' states ``(g, d)``.
        content: Mask of the content tokens, ``(n, length)``.
        subject: Mask of the subject's tokens, ``(n, length)``; the last one gives ``c_m``.
        tau: Temperature.
    """
    unit = normalize(c.double(), dim=2)
    position = torch.arange(c.shape[1], device=c.device)
    m = unit[torch.arange(len(c), device=c.device), (subject * position).argmax(dim=1)]
    to_subject = torch.einsum("nld,nd->nl", unit, m)
    to_groups = torch.einsum("nld,gd->gnl", unit, normalize(s.double(), dim=1))
    e = ((to_subject + to_groups) / tau).exp() * content
    tiny = torch.finfo(e.dtype).tiny
    return (e * ~subject).sum(dim=2) / e.sum(dim=2).clamp(min=tiny)


@dataclass(frozen=True)
class Tokens:
    """The tokens of ``n`` prompts, as masks ``(n, length)``.

    Attributes:
        content: Tokens between begin and end of text.
        subject: Tokens of the treated concept; none in a prompt without one.
        context: Tokens to treat.
    """

    content: Tensor
    subject: Tensor
    context: Tensor

    @classmethod
    def of(cls, text: TextStates, concepts: Mapping[str, Sequence[int]], *, keep_subject: bool) -> Tokens:
        """The tokens of prompts; ``concepts`` maps every concept to its token ids."""
        position = torch.arange(text.states.shape[1])
        content = (position > 0) & (position < text.first_eos.cpu()[:, None])
        subject = torch.zeros_like(content)
        for row, (words, ids) in enumerate(zip(text.texts, text.ids, strict=True)):
            match = first_phrase(words, tuple(concepts))
            if match is not None:
                subject[row, _span(ids, concepts[match[0]])] = True
        treated = content & subject.any(dim=1, keepdim=True)
        return cls(content, subject, treated & ~subject if keep_subject else treated)


def _span(ids: Sequence[int], concept: Sequence[int]) -> slice:
    """Positions of the first mention of the concept; without one, the last content token."""
    size = len(concept)
    starts = (i for i in range(len(ids) - size + 1) if tuple(ids[i : i + size]) == tuple(concept))
    start = next(starts, None)
    return slice(len(ids) - 2, len(ids) - 1) if start is None else slice(start, start + size)


class ContextControl(Steering):
    """Decouples the context tokens of a batch and injects residuals of the groups it does not lean to.

    Args:
        tokens: The tokens of its prompts.
        s: Groups' states ``(g, d)``.
        centres: Mean latents ``(g, steps, c, h, w)``.
        attributes: The groups of each attribute, as indices into ``s``.
        delta_r: Share of the injected residuals.
        delta_c: Factor of the attention to injected tokens, before its decay.
        tau: Temperature of the bias adherence score.
        residual: What is injected of a group.
    """

    def __init__(
        self,
        tokens: Tokens,
        *,
        s: Tensor,
        centres: Tensor,
        attributes: Sequence[Sequence[int]],
        delta_r: float,
        delta_c: float,
        tau: float,
        residual: Residual,
    ) -> None:
        self.tokens, self.s, self.centres, self.attributes = tokens, s, centres, attributes
        self.delta_r, self.delta_c, self.tau, self.residual = delta_r, delta_c, tau, residual
        self.c: Tensor | None = None

    def text(self, step: Step, states: Tensor, latents: Tensor) -> Tensor:
        """``c*_t`` for context tokens; the other states are unchanged."""
        if self.centres.shape[1] != step.count:
            raise EvenhandError(
                f"cbc was fitted with {self.centres.shape[1]} steps, not {step.count}; fit it again"
            )
        if self.c is None:
            self.c, self.r = decouple(states, self.s.to(states.device), residual=self.residual)
            leaning = self._leaning_of_text(states)
        else:
            leaning = self._leaning_of_latents(step, latents)
        self.c = self.delta_r * self._residuals(leaning) + (1 - self.delta_r) * self.c
        return torch.where(self.tokens.context.to(states.device)[:, :, None], self.c, states)

    def _leaning_of_text(self, states: Tensor) -> Tensor:
        """``|1/2 - B_mk|``, ``(g, n)``."""
        content, subject = (mask.to(states.device) for mask in (self.tokens.content, self.tokens.subject))
        b = adherence(states, self.s.to(states.device), content=content, subject=subject, tau=self.tau)
        return (0.5 - b).abs()

    def _leaning_of_latents(self, step: Step, latents: Tensor) -> Tensor:
        """Negative squared distances to the centres, ``(g, n)``."""
        centres = self.centres[:, step.index].to(latents.device)
        return -((latents.float() - centres[:, None]) ** 2).flatten(start_dim=2).sum(dim=2)

    def _residuals(self, leaning: Tensor) -> Tensor:
        """``mean_(j != k) r_j`` of every attribute, added up, with ``k`` the group of largest leaning."""
        total = torch.zeros_like(self.r[0])
        images = torch.arange(leaning.shape[1], device=leaning.device)
        for groups in self.attributes:
            r, k = self.r[groups], leaning[groups].argmax(dim=0)
            total += (r.sum(dim=0) - r[k, images]) / (len(groups) - 1)
        return total

    def feature(self, step: Step, site: Site, output: Tensor) -> Tensor:
        """Values of context tokens times ``delta_c (1 - t/T)``: scales their attention after the softmax."""
        n = len(self.tokens.context)
        context = self.tokens.context.to(output.device)[:, :, None]
        factor = self.delta_c * (1 - step.index / step.count)
        conditional = torch.where(context, output[n : 2 * n] * factor, output[n : 2 * n])
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
        text = batch.encode(batch.texts)
        return ContextControl(
            Tokens.of(text, self.data["concepts"], keep_subject=self.data["keep_subject"]),
            s=self.tensors["s"],
            centres=self.tensors["centres"],
            **self.data["control"],
        )


class Cbc(Method):
    """CBC; the defaults are the values of the paper where it states them.

    Attributes:
        prompt: Template of a group's prompt, with ``{noun}`` or ``{adjective}`` and optionally ``{a}`` and
            ``{concept}``; it gives the group's state, and its images give the centre.
        images: Images per group; concepts take turns.
        keep_subject: Whether the words of the concept stay as they are, as published.
        delta_r: Share of the injected residuals at every step; published: 0.2, with 50 steps.
        delta_c: Factor of the attention to injected tokens; published: 2.
        tau: Temperature of the bias adherence score; unknown.
        residual: What is injected of a group: the ``projection`` on its state, as published, or the whole
            ``state``, for text encoders in whose states words and groups are nearly orthogonal.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="cbc",
        version="2.0",
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
    keep_subject: bool = True
    delta_r: float = Field(default=0.2, ge=0, le=1)
    delta_c: float = Field(default=2.0, ge=0)
    tau: float = Field(default=1.0, gt=0)
    residual: Residual = "projection"

    @classmethod
    def space(cls) -> Space:
        """Both published factors, which words are treated, what is injected, the images of the centres."""
        return {
            "images": Range(low=2, high=100, log=True, integer=True),
            "keep_subject": Choice((True, False)),
            "delta_r": Range(low=0.02, high=0.9, log=True),
            "delta_c": Range(low=0.5, high=5.0, log=True),
            "residual": Choice(("projection", "state")),
        }

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
                "concepts": {concept: task.model.token_ids(concept)[1:-1] for concept in task.concepts},
                "keep_subject": self.keep_subject,
                "sites": [name for name, _ in task.model.unet.named_modules() if name.endswith("attn2.to_v")],
                "control": {
                    "attributes": attributes,
                    "delta_r": self.delta_r,
                    "delta_c": self.delta_c,
                    "tau": self.tau,
                    "residual": self.residual,
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
