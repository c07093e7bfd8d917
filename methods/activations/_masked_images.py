"""Images of known classes with counterfactual prompts, and a mask of the person in each image.

For methods that learn from counterfactuals. A counterfactual prompt states another class of the same category
and is otherwise equal. The mask ``M`` of the person comes from a segmentation model, as in EFA (arXiv
2506.13298), or from the model itself: a person is where the predictions for the image's own prompt and for a
counterfactual prompt differ. With ``D`` the mean, over noised copies of an image and over channels, of

    | eps_theta(x_t, t, own prompt) - eps_theta(x_t, t, counterfactual prompt) |

    M = 1 where D >= threshold * mean D        image by image, on the latents' grid

That mask covers what the stated attributes look like (face, hair, hands), not the whole outline of a person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from evenhand.methods.activations._attention_slot import token_grid
from evenhand.methods.base import Cell, Images, Task
from evenhand.methods.shared.prompt_text import fill
from evenhand.methods.shared.training import gaussian, noised, random_timesteps


@dataclass(frozen=True)
class MaskedBatch:
    """``n`` images with their counterfactual prompts, followed by the same images with their own prompts.

    Attributes:
        noised: ``(2n, c, h, w)``.
        eps: The noise in the ``n`` images, ``(n, c, h, w)``.
        timesteps: ``(2n,)``.
        texts: Their prompts.
        groups: Category to the class that every image shows, ``(2n,)``; -1 for images of other categories.
        mask: Where the person is, ``(n, 1, h, w)``.
    """

    noised: Tensor
    eps: Tensor
    timesteps: Tensor
    texts: list[str]
    groups: dict[str, Tensor]
    mask: Tensor


class MaskedImages:
    """Images of every class with their prompts and masks.

    Args:
        task: Generates the images; all randomness comes from its stream.
        classes: Category to its classes.
        stated: Template of the prompts that state a class.
        images: Images of every class; the concepts take turns.
        segmenter: Segmentation model for the masks; empty to take them from the model itself.
        passes: Noised copies of an image from which its mask is estimated.
        threshold: Difference, relative to the image's mean, above which a position belongs to a person.

    Attributes:
        x: Their latents, ``(images, c, h, w)``, class after class.
        masks: ``M``, ``(images, 1, h, w)``.
    """

    def __init__(
        self,
        task: Task,
        classes: Mapping[str, Sequence[Cell]],
        *,
        stated: str,
        images: int,
        segmenter: str = "",
        passes: int,
        threshold: float,
    ) -> None:
        self.task, self.classes, self.stated = task, classes, stated
        self.passes, self.threshold = passes, threshold
        self.shown = [
            (category, index)
            for category, cells in classes.items()
            for index in range(len(cells))
            for _ in range(images)
        ]
        self.concepts = [task.concepts[i % images % len(task.concepts)] for i in range(len(self.shown))]
        seeds = task.rng.integers(2**31, size=len(self.shown)).tolist()
        own = [self._text(row, index) for row, (_, index) in enumerate(self.shown)]
        drawn = task.sample(own, seeds)
        self.x = task.model.latents(drawn)
        if segmenter:
            self.masks = self._segmented(task.person_masks(segmenter), drawn)
        else:
            self.masks = torch.cat([self._mask(row) for row in range(len(self.x))])

    def draw(self, n: int) -> MaskedBatch:
        """A random batch of ``n`` images."""
        model, rng = self.task.model, self.task.rng
        rows = rng.integers(len(self.x), size=n).tolist()
        t = random_timesteps(rng, n, model)
        eps = gaussian(rng, (n, *self.x.shape[1:]), model)
        x_t = noised(model, self.x[rows], t, eps)
        shown = [self.shown[row] for row in rows]
        counterfactual = [self._text(row, self._other(row)) for row in rows]
        own = [self._text(row, index) for row, (_, index) in zip(rows, shown, strict=True)]
        return MaskedBatch(
            noised=torch.cat([x_t, x_t]),
            eps=eps,
            timesteps=torch.cat([t, t]),
            texts=counterfactual + own,
            groups={
                name: torch.tensor([index if category == name else -1 for category, index in shown * 2])
                for name in self.classes
            },
            mask=self.masks[rows],
        )

    def _text(self, row: int, index: int) -> str:
        cell = self.classes[self.shown[row][0]][index]
        return fill(self.stated, concept=self.concepts[row], cell=cell)

    def _other(self, row: int) -> int:
        """A class of the same category that the image does not show."""
        category, index = self.shown[row]
        drawn = int(self.task.rng.integers(len(self.classes[category]) - 1))
        return drawn + (drawn >= index)

    def _segmented(self, person: Callable[[Images], NDArray[np.bool_]], drawn: Images) -> Tensor:
        """``M`` where most pixels of a position belong to a person."""
        masks = torch.from_numpy(person(drawn)).to(self.x)[:, None]
        return (adaptive_avg_pool2d(masks, (self.x.shape[2], self.x.shape[3])) >= 0.5).to(self.x.dtype)

    @torch.no_grad()
    def _mask(self, row: int) -> Tensor:
        """``M`` of one image from the model itself, ``(1, 1, h, w)``."""
        model, rng, n = self.task.model, self.task.rng, self.passes
        t = random_timesteps(rng, n, model)
        x = self.x[row].expand(n, -1, -1, -1)
        x_t = noised(model, x, t, gaussian(rng, x.shape, model))
        own = model.encode([self._text(row, self.shown[row][1])] * n)
        other = model.encode([self._text(row, self._other(row)) for _ in range(n)])
        d = (model.predict(x_t, t, own) - model.predict(x_t, t, other)).abs().mean(dim=(0, 1))
        return (d >= self.threshold * d.mean())[None, None].to(self.x.dtype)


def share_outside(share: Tensor, mask: Tensor) -> Tensor:
    """Mean over tokens of the part of the share ``(n, tokens)`` outside the mask ``(n, 1, h, w)``."""
    inside = adaptive_avg_pool2d(mask, token_grid(share.shape[1], mask.shape[2:])).flatten(1)
    return (share * (1 - inside)).mean()
