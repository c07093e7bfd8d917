"""SFID: overwrites the channels that separate groups with their mean for a drawn group.

Jung, Jang, Wang: "A Unified Debiasing Approach for Vision-Language Models across Modalities and Tasks"
(selective feature imputation for debiasing), NeurIPS 2024, arXiv 2410.07593; from the formulas of the
released code for Stable Diffusion 1.5 (HoinJung/Unified-Debiaisng-VLM-SFID). Let ``x`` be the mean over
positions and both halves of guidance of every channel of a module's output, for the last block of the down
path and the mid block. For every module and attribute

    forest    100 trees, x -> group
    S         the 50 channels that are most important to the forest (mean decrease of impurity)
    v_g       mean of x_S over images that the forest assigns to group g with a probability above 0.5

A prompt that states no group draws one, and at every step, in both halves, the channels ``S`` of the module's
output become ``v_g`` at all positions. (The paper describes imputing the mean of images about which the
forest is uncertain; the released text-to-image code does the above.) The released code overwrites the output
of the down path in place, and with it the skip connection to the first block of the up path, which is the
same tensor.

Several attributes are imputed one after another, each with its own forest; channels chosen by two of them
keep the value of the later one. As released, forest and values are those of the last denoising step and serve
all steps; with ``at="each"`` every step has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, StringConstraints
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.methods.activations._labelled import observe_cells
from evenhand.methods.base import Budget, Cell, Intervention, Method, MethodInfo, Task
from evenhand.methods.hooks import Batch, Site, Steering, Step
from evenhand.methods.shared.group_assignment import Stated, assigned_groups, assignment_spec, group_words
from evenhand.methods.space import Choice, Range, Space

Template = Annotated[str, StringConstraints(pattern=r"\{adjective\}")]


@dataclass(frozen=True, eq=False)
class SfidIntervention(Intervention):
    """Overwrites channels.

    ``tensors`` holds, for every module and attribute, ``channels/MODULE/ATTRIBUTE`` ``(steps, k)`` and
    ``values/MODULE/ATTRIBUTE`` ``(steps, groups, k)``, with one step for all or one for each.
    """

    def sites(self) -> Sequence[str]:
        """The module that ends the down path, and the mid block."""
        sites: Sequence[str] = self.data["sites"]
        return sites

    def steer(self, batch: Batch) -> Steering:
        """Draws one group of each attribute for every image."""
        drawn = assigned_groups(batch, self.data["wishes"])
        return _Impute(self, {attribute: torch.tensor(groups) for attribute, groups in drawn.items()})


@dataclass
class _Impute(Steering):
    intervention: SfidIntervention
    groups: dict[str, Tensor]

    def feature(self, step: Step, site: Site, output: Tensor) -> Tensor:
        changed = output.clone()
        for attribute, groups in self.groups.items():
            assigned = torch.nonzero(groups >= 0).flatten()
            channels = self.intervention.tensors[f"channels/{site.name}/{attribute}"]
            values = self.intervention.tensors[f"values/{site.name}/{attribute}"]
            # With another number of steps, use the values at the same fraction of them.
            at = step.index * len(channels) // step.count
            replaced = values[at][groups[assigned]].to(output)
            for half in (0, len(groups)):
                rows = (half + assigned).to(output.device)
                changed[rows[:, None], channels[at].to(output.device)] = replaced[:, :, None, None]
        return changed


class Sfid(Method):
    """SFID on the U-Net, as in the released code for Stable Diffusion 1.5.

    Attributes:
        subjects: Nouns of the training prompts; the treated concepts if empty.
        templates: Templates of the training prompts, with ``{a}``, ``{adjective}`` and ``{concept}``.
        images: Images of each cell on which the forests are trained; the release uses 20,000 texts of a data
            set.
        trees: Trees per forest.
        channels: Channels of a module that are overwritten for each attribute.
        confidence: Probability above which an image counts as one of a group.
        stated: Assignment of an attribute that the prompt states: ``draw`` a group, ``leave`` it unchanged,
            or ``follow`` the stated group, as released.
        at: Whether forest and values of the ``last`` step serve all, as released, or ``each`` step has its
            own.
        skip: Whether the channels are also overwritten in the skip connection from the end of the down path,
            as released.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="sfid",
        version="1.0",
        title="SFID",
        summary="Overwrites the U-Net channels that separate groups with their mean for a drawn group.",
        paper="https://arxiv.org/abs/2410.07593",
        licence="Apache-2.0",
        origin="HoinJung/Unified-Debiaisng-VLM-SFID, MIT; reimplemented from the formulas",
        family="activations",
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any that words can express; joint cells with one forest per attribute",
    )
    intervention_type: ClassVar[type[Intervention]] = SfidIntervention

    subjects: tuple[str, ...] = ()
    templates: tuple[Template, ...] = Field(default=("a photo of {a} {adjective} {concept}",), min_length=1)
    images: int = Field(default=1000, ge=2)
    trees: int = Field(default=100, ge=1)
    channels: int = Field(default=50, ge=1)
    confidence: float = Field(default=0.5, ge=0, lt=1)
    stated: Stated = "follow"
    at: Literal["last", "each"] = "last"
    skip: bool = True

    @classmethod
    def space(cls) -> Space:
        """How many channels are overwritten, when, where and by which values; the images to learn from."""
        return {
            "channels": Range(low=5, high=100, log=True, integer=True),
            "confidence": Range(low=0.2, high=0.8),
            "at": Choice(("last", "each")),
            "skip": Choice((True, False)),
            "images": Range(low=6, high=1000, log=True, integer=True),
        }

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """The training images."""
        return Budget(images=self.images * len(cells))

    def fit(self, task: Task) -> Intervention:
        """Train the forests and store the channels and their values."""
        sites = [down_path_end(task.model.unet, skip=self.skip), "mid_block"]
        seen = observe_cells(
            task,
            templates=self.templates,
            subjects=self.subjects,
            images=self.images,
            sites=sites,
            reduce=lambda step, site, output: output.float().mean(dim=(1, 3, 4)),
            both=True,
        )
        names = {attribute: list(groups) for attribute, groups in group_words(task.cells).items()}
        tensors = {}
        for site, features in seen.features.items():
            x = features.numpy()
            for attribute, groups in seen.groups.items():
                steps = range(x.shape[1]) if self.at == "each" else [x.shape[1] - 1]
                # Every forest gets a seed from the task's stream.
                read = [self._read(x[:, step], groups, names[attribute], task.rng) for step in steps]
                tensors[f"channels/{site}/{attribute}"] = torch.from_numpy(np.stack([c for c, _ in read]))
                tensors[f"values/{site}/{attribute}"] = torch.from_numpy(np.stack([v for _, v in read]))
        return SfidIntervention(
            tensors=tensors, data={"sites": sites, "wishes": assignment_spec(task, stated=self.stated)}
        )

    def _read(
        self,
        x: NDArray[np.float32],
        groups: NDArray[np.int64],
        names: Sequence[str],
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The channels of one forest ``(k,)`` and their values for each group ``(groups, k)``."""
        if self.channels > x.shape[1]:
            raise EvenhandError(
                f"sfid: 'channels' is {self.channels}, but the module has {x.shape[1]}; set fewer"
            )
        importance, probability = forest(x, groups, trees=self.trees, seed=int(rng.integers(2**31)))
        channels = np.argsort(-importance, kind="stable")[: self.channels]
        confident = probability > self.confidence
        for name, of in zip(names, confident.T, strict=True):
            if not of.any():
                raise EvenhandError(
                    f"sfid: the forest is confident about no image of group {name!r}; use more 'images' than "
                    f"{self.images} or lower 'confidence'"
                )
        return channels, np.stack([x[of][:, channels].mean(axis=0) for of in confident.T])


def down_path_end(unet: torch.nn.Module, *, skip: bool) -> str:
    """Name of the module whose output ends the down path.

    Args:
        unet: A U-Net of diffusers.
        skip: Whether a change of the output must reach the skip connection, too. A block returns the output
            and the inputs of its skip connections, so a change of the block's output does not; the output of
            its last layer is both.
    """
    blocks: Any = unet.down_blocks
    block, name = blocks[-1], f"down_blocks.{len(blocks) - 1}"
    layers = "attentions" if hasattr(block, "attentions") else "resnets"
    return f"{name}.{layers}.{len(getattr(block, layers)) - 1}" if skip else name


def forest(
    x: NDArray[np.float32], groups: NDArray[np.int64], *, trees: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A random forest's importances and out-of-bag probabilities.

    Args:
        x: Features ``(n, c)``.
        groups: Group of every row ``(n,)``; every group occurs.
        trees: Number of trees.
        seed: Seed of the forest.

    Returns:
        Importances of the features ``(c,)``, and the probabilities ``(n, groups)`` from the trees that were
        not trained on a row; zero if all were.
    """
    from sklearn.ensemble import RandomForestClassifier

    trained = RandomForestClassifier(trees, oob_score=True, random_state=seed).fit(x, groups)
    return trained.feature_importances_, np.nan_to_num(trained.oob_decision_function_)
