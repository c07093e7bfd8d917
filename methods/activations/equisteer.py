"""EquiSteer: erases a group from the outputs of cross-attention and re-injects a drawn one.

"EquiSteer", arXiv 2607.01147 (ECCV 2026), implemented from the formulas of paper and code (Atmyre/EquiSteer).
Let ``y_k`` be the output of a cross-attention module ``l`` at image token ``k`` and step ``t``, in the
conditional half of guidance. With ``a`` a group of attribute ``A``, and means over tokens and contrast
prompts,

    s_a   = mean y(prompts that state a) - mean y(contrast prompts),          b_a = s_a / ||s_a||
    m_a   = max_k <y_k, b_a>
    thr_a = (mean m_a(prompts that state a) + mean m_a(neutral prompts)) / 2

for every ``l`` and ``t``. The contrast of a group is the other group if there are two, so that the vectors
are opposite, and the neutral prompts if there are more.

Gate: once for every image, at step 0 in one module, ``m_a > thr_a`` for any ``a`` means that the prompt
already states a group; such an image stays unchanged. With several attributes this holds for the groups of
all of them together (``gated="image"``), or for each attribute and its own groups (``gated="attribute"``). In
all others, attribute after attribute, with ``b~`` the ``b_a`` of the attribute orthonormalized in order
(Gram-Schmidt) and ``a`` the drawn group,

    erase        y <- y - sum_a' <y, b~_a'> b~_a'
    re-inject    y <- y + alpha_a b_a
    rescale      every token to its previous norm

``alpha_a`` is the mean of ``m_a`` over prompts that state ``a`` (``amount="response"``, the paper's) or
``thr_a`` (``amount="threshold"``, the code's default), both of that ``l`` and ``t``.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, StringConstraints
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Budget, Cell, Intervention, Method, MethodInfo, Task
from evenhand.methods.hooks import Batch, Site, Steering, Step
from evenhand.methods.shared.group_assignment import assigned_groups, assignment_spec, group_words
from evenhand.methods.shared.observation import Reduce, observe
from evenhand.methods.shared.prompt_text import fill
from evenhand.methods.space import Choice, Range, Space

_MIN_REMAINDER = 1e-3
"""Norm of a unit vector's remainder after Gram-Schmidt below which it depends on the earlier ones."""

Context = Annotated[str, StringConstraints(pattern=r"\{concept\}")]


def orthonormal(b: Tensor) -> Tensor:
    """Gram-Schmidt over the rows of ``b`` ``(..., g, m)``, in order; a dependent row becomes zero."""
    basis: list[Tensor] = []
    for row in b.double().unbind(dim=-2):
        rest = row
        # Twice, because one pass is not orthogonal enough when little remains of a row.
        for _ in range(2):
            for earlier in basis:
                rest = rest - (rest * earlier).sum(dim=-1, keepdim=True) * earlier
        norm = rest.norm(dim=-1, keepdim=True)
        basis.append(torch.where(norm > _MIN_REMAINDER, rest / norm.clamp_min(_MIN_REMAINDER), 0.0))
    return torch.stack(basis, dim=-2).to(b.dtype)


def exchange(y: Tensor, *, b: Tensor, basis: Tensor, alpha: Tensor, groups: Tensor, rescale: bool) -> Tensor:
    """Erase an attribute and re-inject one of its groups.

    Args:
        y: Outputs of cross-attention ``(n, k, m)``.
        b: Unit vectors of the attribute's groups ``(g, m)``.
        basis: The same, orthonormal.
        alpha: Amount of each group, ``(g,)``.
        groups: Drawn group of every image, ``(n,)``.
        rescale: Whether every token keeps its norm.

    Returns:
        ``(n, k, m)``.
    """
    erased = y - (y @ basis.T) @ basis
    changed = erased + (alpha[groups, None] * b[groups])[:, None, :]
    if rescale:
        norm = changed.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(y.dtype).tiny)
        changed = changed * (y.norm(dim=-1, keepdim=True) / norm)
    return changed


@dataclass(frozen=True, eq=False)
class EquiSteerIntervention(Intervention):
    """Steers the conditional outputs of every cross-attention module.

    ``tensors`` holds, for every module, ``b/MODULE`` and ``basis/MODULE`` ``(steps, groups, m)`` and
    ``alpha/MODULE`` ``(steps, groups)``, and the gate's ``threshold`` ``(groups,)``.
    """

    def sites(self) -> Sequence[str]:
        """The cross-attention modules."""
        sites: Sequence[str] = self.data["modules"]
        return sites

    def steer(self, batch: Batch) -> Steering:
        """One draw and one gate decision per image."""
        drawn = assigned_groups(batch, self.data["wishes"])
        return _Steer(self, {attribute: torch.tensor(groups) for attribute, groups in drawn.items()})


@dataclass
class _Steer(Steering):
    """Waits for the gate's decision, then steers the attributes of the images that pass it."""

    intervention: EquiSteerIntervention
    groups: dict[str, Tensor]
    open: dict[str, Tensor] = field(default_factory=dict)
    steers: bool = False
    """Whether any image passes the gate, asked of the device once and not in every module."""

    def feature(self, step: Step, site: Site, output: Tensor) -> Tensor:
        n = len(next(iter(self.groups.values())))
        y = output[n : 2 * n].float()
        if step.index == 0 and site.name == self.intervention.data["gate"]:
            self.open = self._gate(y)
            self.steers = any(bool(images.any()) for images in self.open.values())
        steps = self.intervention.tensors[f"alpha/{site.name}"].shape[0]
        if step.index >= steps or not self.steers:
            return output
        return torch.cat([output[:n], self._steered(step, site, y).to(output.dtype), output[2 * n :]])

    def _gate(self, y: Tensor) -> dict[str, Tensor]:
        """Attribute to the images that mention a concept and do not state its group, ``(n,)``."""
        data = self.intervention.data
        b = self.intervention.tensors[f"b/{data['gate']}"][0].to(y.device)
        stated = (y @ b.T).amax(dim=1) > self.intervention.tensors["threshold"].to(y.device)
        by_attribute = data.get("gated", "image") == "attribute"
        return {
            attribute: (self.groups[attribute].to(y.device) >= 0)
            & ~(stated[:, start:stop] if by_attribute else stated).any(dim=1)
            for attribute, start, stop in data["slices"]
        }

    def _steered(self, step: Step, site: Site, y: Tensor) -> Tensor:
        names = ("b", "basis", "alpha")
        b, basis, alpha = (
            self.intervention.tensors[f"{n}/{site.name}"][step.index].to(y.device) for n in names
        )
        for attribute, start, stop in self.intervention.data["slices"]:
            of = slice(start, stop)
            # Unassigned images are restored below, so their group does not matter.
            groups = self.groups[attribute].clamp_min(0).to(y.device)
            exchanged = exchange(
                y,
                b=b[of],
                basis=basis[of],
                alpha=alpha[of],
                groups=groups,
                rescale=self.intervention.data["rescale"],
            )
            # All images are steered and the unchanged ones restored: the shapes of the operations, and so the
            # last bits of an image, must not depend on how many images pass the gate.
            y = torch.where(self.open[attribute][:, None, None], exchanged, y)
        return y


class EquiSteer(Method):
    """EquiSteer on the U-Net's cross-attention.

    Attributes:
        subjects: Nouns of the contrast prompts (the paper has 9 for gender and 15 for race); if empty, the
            treated concepts.
        contexts: Templates of the contrast prompts, with ``{a}`` and ``{concept}``, a subject with or without
            a group's adjective; the paper has 14.
        seed: Seed of the noise of all contrast prompts.
        gate: Index of the gate among the cross-attention modules of the down path, from 0; by default that
            at ``gate_depth``.
        gate_depth: Place of the gate as a share of these modules. The default gives those that the authors
            chose: number 4 of 6 in SD 1.x and 2.x, and 17 of 24 in SDXL.
        gated: What stays unchanged if a prompt states a group: the whole ``image``, or that group's
            ``attribute`` alone.
        steps: Number of first steps that are steered; released: 20 of 50 for SD 1.x and 2.x.
        amount: What ``alpha`` is: ``response`` (paper) or ``threshold`` (the code's default).
        scale: Factor of ``alpha``; 1 as published.
        rescale: Whether every token keeps its norm, as the paper recommends.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="equisteer",
        version="1.0",
        title="EquiSteer",
        summary="Replaces the group in every cross-attention output, unless the prompt states one.",
        paper="https://arxiv.org/abs/2607.01147",
        licence="Apache-2.0",
        origin="Atmyre/EquiSteer, MIT by its README; reimplemented from the formulas",
        family="activations",
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any that words can express; joint cells one attribute at a time",
    )
    intervention_type: ClassVar[type[Intervention]] = EquiSteerIntervention

    subjects: tuple[str, ...] = (
        "person",
        "astronaut",
        "baker",
        "dancer",
        "diver",
        "painter",
        "pilot",
        "sailor",
        "tourist",
    )
    contexts: tuple[Context, ...] = Field(
        default=(
            "a photo of {a} {concept}",
            "a portrait of {a} {concept}",
            "a close-up of the face of {a} {concept}",
            "{a} {concept} smiling",
            "{a} {concept} at work",
            "{a} {concept} in a kitchen",
            "{a} {concept} in a park",
            "{a} {concept} in an office",
            "{a} {concept} on a beach",
            "{a} {concept} on a city street",
            "{a} {concept} reading a book",
            "{a} {concept} in front of a plain wall",
            "{a} {concept} at night",
            "an oil painting of {a} {concept}",
        ),
        min_length=1,
    )
    seed: int = 0
    gate: int | None = Field(default=None, ge=0)
    gate_depth: float = Field(default=0.72, ge=0, lt=1)
    gated: Literal["image", "attribute"] = "image"
    steps: int = Field(default=20, ge=1)
    amount: Literal["response", "threshold"] = "response"
    scale: float = Field(default=1.0, ge=0)
    rescale: bool = True

    @classmethod
    def space(cls) -> Space:
        """The gate and what it protects; what is re-injected, how strongly, how long; whether norms stay."""
        return {
            "gate_depth": Range(low=0.0, high=0.95),
            "gated": Choice(("image", "attribute")),
            "amount": Choice(("response", "threshold")),
            "scale": Range(low=0.25, high=4.0, log=True),
            "steps": Range(low=1, high=20, log=True, integer=True),
            "rescale": Choice((True, False)),
        }

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """Every contrast prompt is generated twice: for the vectors, then for the responses to them."""
        groups = sum(map(len, group_words(cells).values()))
        subjects = len(self.subjects) or concepts
        return Budget(images=2 * (groups + 1) * subjects * len(self.contexts))

    def fit(self, task: Task) -> Intervention:
        """Vectors of every group, module and step; then the responses that give thresholds and amounts."""
        modules = [name for name, _ in task.model.unet.named_modules() if name.endswith("attn2")]
        gate = self._gate(modules)
        sizes = {attribute: len(groups) for attribute, groups in group_words(task.cells).items()}
        means = self._observe(task, modules, lambda step, site, y: y.float().mean(dim=1))
        b = {module: steering_vectors(mean, list(sizes.values())) for module, mean in means.items()}

        def response(step: Step, site: Site, y: Tensor) -> Tensor:
            return (y.float() @ b[site.name][step.index].T.to(y.device)).amax(dim=1)

        stating, threshold = {}, {}
        for module, mean in self._observe(task, modules, response).items():
            stating[module] = mean[:-1].diagonal(dim1=0, dim2=2)
            threshold[module] = (stating[module] + mean[-1]) / 2
        slices = _slices(sizes)
        tensors = {"threshold": threshold[gate][0]}
        for module in modules:
            alpha = stating[module] if self.amount == "response" else threshold[module]
            tensors |= {
                f"b/{module}": b[module],
                f"basis/{module}": torch.cat(
                    [orthonormal(b[module][:, start:stop]) for _, start, stop in slices], dim=1
                ),
                f"alpha/{module}": self.scale * alpha,
            }
        return EquiSteerIntervention(
            tensors={name: value.contiguous() for name, value in tensors.items()},
            data={
                "modules": modules,
                "gate": gate,
                "slices": slices,
                "rescale": self.rescale,
                "wishes": assignment_spec(task),
                # Only where it differs, so that earlier fits keep their digest.
                **({"gated": self.gated} if self.gated != "image" else {}),
            },
        )

    def _gate(self, modules: Sequence[str]) -> str:
        """Name of the gate's module."""
        down = [module for module in modules if module.startswith("down_blocks.")]
        index = int(self.gate_depth * len(down)) if self.gate is None else self.gate
        if index >= len(down):
            raise EvenhandError(
                f"EquiSteer's gate is module {index} of the down path, which has {len(down)} with "
                f"cross-attention; set 'gate' to at most {len(down) - 1}"
            )
        return down[index]

    def _observe(self, task: Task, modules: Sequence[str], reduce: Reduce) -> dict[str, Tensor]:
        """Mean over subjects and contexts: module to ``(groups + 1, steps, ...)``, neutral prompts last."""
        words = [word for groups in group_words(task.cells).values() for word in groups.values()]
        prompts = [
            fill(context, concept=f"{word} {subject}".strip())
            for word in [*words, ""]
            for subject in self.subjects or task.concepts
            for context in self.contexts
        ]
        seen = observe(
            task, prompts, [self.seed] * len(prompts), sites=modules, reduce=reduce, steps=self.steps
        )
        return {
            module: of.reshape(len(words) + 1, -1, *of.shape[1:]).mean(dim=1)
            for module, of in seen.features.items()
        }


def steering_vectors(means: Tensor, sizes: Sequence[int]) -> Tensor:
    """Unit vectors ``b_a``.

    Args:
        means: Mean outputs over the prompts of every group, and over the neutral ones last, ``(groups + 1,
            steps, m)``.
        sizes: Number of groups of every attribute; the groups are ordered by attribute.

    Returns:
        ``(steps, groups, m)``.
    """
    vectors = []
    for of in torch.split(means[:-1], list(sizes)):
        contrast = of.flip(0) if len(of) == 2 else means[-1:]
        vectors.append(torch.nn.functional.normalize(of - contrast, dim=-1))
    return torch.cat(vectors).transpose(0, 1)


def _slices(sizes: Mapping[str, int]) -> list[tuple[str, int, int]]:
    """Every attribute with the index of its first group and the index after its last group."""
    stops = list(itertools.accumulate(sizes.values()))
    return [(name, stop - size, stop) for (name, size), stop in zip(sizes.items(), stops, strict=True)]
