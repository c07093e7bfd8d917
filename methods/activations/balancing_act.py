"""Balancing Act: guides the bottleneck features of the U-Net with linear attribute classifiers.

Parihar, Bhat, Mallick, Basu, Babu: "Balancing Act: Distribution-Guided Debiasing in Diffusion Models", arXiv
2402.18206 (CVPR 2024); from the formulas of the released code (rishubhpar/debiasing_gen_models). Let ``h`` be
the mid block's output at step ``t`` and ``L_t`` a linear classifier of ``vec(h)``, trained beforehand, with

    z = softmax(L_t(vec(h)) / 8)                                          probabilities of the groups

As published, a batch of images is pushed towards the target by the divergence of its mean ``z``. Here an
image must not depend on the others of its batch, so every image draws a group ``g`` of each attribute and is
guided on its own, which the released code calls the sample mode:

    loss = - L_t(vec(h))_g                      ("logit", as released)      gradient - w_g
    loss = - log z_g                            ("cross-entropy")           gradient (sum_j z_j w_j - w_g) / 8
    h <- h - step * sum over attributes of the gradient

with ``w_j`` the classifier's row of group ``j``; the gradient of a linear layer needs no backward pass. Over
many images the drawn groups follow the target. The classifiers are trained on images whose prompts state the
groups.

The released step is 600 in this mode. In the published one it is 600 times the gradient of 500 times the
divergence of the mean ``q`` over the ``B`` rows of a batch, both halves of guidance included. For two groups
with even shares as the target,

    h <- h - 600 * 500 / (8 B) log(q_1 / q_2) z_1 z_2 (w_1 - w_2)

which vanishes where the batch is even. With ``B = 8`` as released, ``q`` of 3/4 and 1/4, and ``z_1 z_2`` near
1/4, that is about 1,300 ``(w_1 - w_2)``: the same order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, StringConstraints
from torch import Tensor

from evenhand.methods.activations._labelled import observe_cells
from evenhand.methods.base import Budget, Cell, Intervention, Method, MethodInfo, Task
from evenhand.methods.hooks import Batch, Site, Steering, Step
from evenhand.methods.shared.group_assignment import Stated, assigned_groups, assignment_spec
from evenhand.methods.space import Choice, Range, Space

SITE = "mid_block"
TEMPERATURE = 8.0
"""Divisor of the logits before the softmax, as released."""

Template = Annotated[str, StringConstraints(pattern=r"\{adjective\}")]


def gradient(h: Tensor, weight: Tensor, bias: Tensor, groups: Tensor, *, loss: str) -> Tensor:
    """Gradient of each image's loss with respect to its features.

    Args:
        h: Flattened features ``(n, f)``.
        weight: Rows ``w_j`` of the classifier, ``(g, f)``.
        bias: ``(g,)``.
        groups: Assigned group of every image, ``(n,)``.
        loss: ``logit`` or ``cross-entropy``.

    Returns:
        ``(n, f)``.
    """
    assigned = torch.nn.functional.one_hot(groups, len(weight)).to(h.dtype)
    if loss == "logit":
        return -assigned @ weight
    z = torch.softmax((h @ weight.T + bias) / TEMPERATURE, dim=1)
    return (z - assigned) @ weight / TEMPERATURE


@dataclass(frozen=True, eq=False)
class BalancingActIntervention(Intervention):
    """Guides the mid block; ``tensors``: ``weight/ATTRIBUTE`` ``(steps, g, f)``, ``bias/ATTRIBUTE``."""

    def sites(self) -> Sequence[str]:
        """The mid block."""
        return (SITE,)

    def steer(self, batch: Batch) -> Steering:
        """Draws one group of each attribute for every image."""
        drawn = assigned_groups(batch, self.data["wishes"])
        return _Guide(self, {attribute: torch.tensor(groups) for attribute, groups in drawn.items()})


@dataclass
class _Guide(Steering):
    intervention: BalancingActIntervention
    groups: dict[str, Tensor]

    def feature(self, step: Step, site: Site, output: Tensor) -> Tensor:
        data, tensors = self.intervention.data, self.intervention.tensors
        n = len(next(iter(self.groups.values())))
        guided = [True, True] if data["halves"] == "both" else [False, True]
        h = output[: 2 * n].float().flatten(start_dim=1)
        total, moved = torch.zeros_like(h), torch.zeros(2 * n, dtype=torch.bool, device=h.device)
        for attribute, groups in self.groups.items():
            weights, biases = tensors[f"weight/{attribute}"], tensors[f"bias/{attribute}"]
            # With another number of steps, use the classifier at the same fraction of them.
            at = step.index * len(weights) // step.count
            weight, bias = weights[at].to(h), biases[at].to(h)
            both = groups.repeat(2).to(h.device)
            assigned = (both >= 0) & torch.tensor(guided, device=h.device).repeat_interleave(n)
            slope = gradient(h, weight, bias, both.clamp_min(0), loss=data["loss"])
            total, moved = total + slope * assigned[:, None], moved | assigned
        stepped = (h - data["step"] * total).reshape(output[: 2 * n].shape).to(output.dtype)
        kept = torch.where(moved[:, None, None, None], stepped, output[: 2 * n])
        return torch.cat([kept, output[2 * n :]])


class BalancingAct(Method):
    """Balancing Act, image by image.

    Attributes:
        subjects: Nouns of the training prompts; the treated concepts if empty.
        templates: Templates of the training prompts, with ``{a}``, ``{adjective}`` and ``{concept}``.
        images: Images of each cell on which the classifiers are trained; the paper has 1000 to 2000 per
            class.
        penalty: Weight of the classifiers' squared norm relative to the sum of their losses.
        loss: ``logit``, the released sample mode, or ``cross-entropy``, which has a smaller effect on images
            that already show the group.
        step: Step along the negative gradient; released: 600, for the authors' classifiers.
        halves: Whether ``both`` halves of guidance are moved, as released, or the ``conditional`` one.
        active: Share of the steps, from the first, that are guided; released: all.
        stated: Assignment of an attribute that the prompt states: ``draw`` a group, as released, ``leave`` it
            unchanged, or ``follow`` the stated group.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="balancing-act",
        version="1.0",
        title="Balancing Act",
        summary="Moves the mid block's output along linear classifiers towards a drawn group.",
        paper="https://arxiv.org/abs/2402.18206",
        licence="Apache-2.0",
        origin="rishubhpar/debiasing_gen_models, empty licence file; reimplemented from the formulas",
        family="activations",
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any that words can express; joint cells with one classifier per attribute",
    )
    intervention_type: ClassVar[type[Intervention]] = BalancingActIntervention
    strength: ClassVar[str | None] = "step"
    training_length: ClassVar[tuple[str, ...]] = ("images",)

    subjects: tuple[str, ...] = ()
    templates: tuple[Template, ...] = Field(default=("a photo of {a} {adjective} {concept}",), min_length=1)
    images: int = Field(default=1000, ge=2)
    penalty: float = Field(default=1.0, gt=0)
    loss: Literal["logit", "cross-entropy"] = "logit"
    step: float = Field(default=600.0, ge=0)
    halves: Literal["both", "conditional"] = "both"
    active: float = Field(default=1.0, gt=0, le=1)
    stated: Stated = "draw"

    @classmethod
    def space(cls) -> Space:
        """The guidance: its loss, step, halves and duration; and the images for its classifiers."""
        return {
            "loss": Choice(("logit", "cross-entropy")),
            "step": Range(low=30.0, high=30_000.0, log=True),
            "halves": Choice(("both", "conditional")),
            "active": Range(low=0.5, high=1.0),
            "images": Range(low=8, high=1000, log=True, integer=True),
        }

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """The training images."""
        return Budget(images=self.images * len(cells))

    def fit(self, task: Task) -> Intervention:
        """Train one linear classifier for every attribute and step."""
        seen = observe_cells(
            task,
            templates=self.templates,
            subjects=self.subjects,
            images=self.images,
            sites=[SITE],
            reduce=lambda step, site, h: h.flatten(start_dim=1).float(),
        )
        h = seen.features[SITE].numpy()
        tensors, accuracy = {}, {}
        for attribute, groups in seen.groups.items():
            fits = [linear_classifier(of_step, groups, self.penalty) for of_step in h.swapaxes(0, 1)]
            tensors[f"weight/{attribute}"] = torch.from_numpy(np.stack([weight for weight, _ in fits]))
            tensors[f"bias/{attribute}"] = torch.from_numpy(np.stack([bias for _, bias in fits]))
            # A classifier without weights has no gradient.
            tensors[f"weight/{attribute}"][math.ceil(self.active * len(fits)) :] = 0
            accuracy[attribute] = [
                float(((x @ w.T + c).argmax(axis=1) == groups).mean())
                for x, (w, c) in zip(h.swapaxes(0, 1), fits, strict=True)
            ]
        return BalancingActIntervention(
            tensors=tensors,
            data={
                "wishes": assignment_spec(task, stated=self.stated),
                "loss": self.loss,
                "step": self.step,
                "halves": self.halves,
            },
            record={"training images right, by step": accuracy},
        )


def linear_classifier(
    h: NDArray[np.float32], groups: NDArray[np.int64], penalty: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Softmax regression: minimizes the sum of cross-entropies plus ``penalty / 2 ||W||^2``.

    Args:
        h: Features ``(n, f)``.
        groups: Group of every row, ``(n,)``, from 0; every group occurs.
        penalty: Above zero.

    Returns:
        Rows ``(g, f)`` and biases ``(g,)``. Two groups have opposite rows, whose difference is penalized.
    """
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1 / penalty, max_iter=1000).fit(h, groups)
    weight, bias = fitted.coef_, fitted.intercept_
    if len(weight) == 1:
        # For two groups scikit-learn fits the difference of the softmax's two rows.
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight.astype(np.float32), bias.astype(np.float32)
