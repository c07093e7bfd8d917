"""Images of known cells with counterfactual prompts, and a mask of the person in each image.

For methods that learn from counterfactuals. The model itself gives the mask ``M`` of the person, so no
segmentation model is needed: a person is where the predictions for the image's own prompt and for a
counterfactual prompt differ. With ``D`` the mean, over noised copies of an image and over channels, of

    | eps_theta(x_t, t, own prompt) - eps_theta(x_t, t, counterfactual prompt) |

    M = 1 where D >= threshold * mean D        image by image, on the latents' grid

The mask covers what the stated attributes look like (face, hair, hands), not the whole outline of a person.
It replaces the segmentation masks of EFA (arXiv 2506.13298).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from evenhand.methods.activations._attention_slot import token_grid
from evenhand.methods.base import Task
from evenhand.methods.shared.group_assignment import group_words
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
        groups: Attribute to the group that every image shows, ``(2n,)``.
        mask: Where the person is, ``(n, 1, h, w)``.
    """

    noised: Tensor
    eps: Tensor
    timesteps: Tensor
    texts: list[str]
    groups: dict[str, Tensor]
    mask: Tensor


class MaskedImages:
    """Images of every cell with their prompts and masks.

    Args:
        task: Generates the images; all randomness comes from its stream.
        stated: Template of the prompts that state a cell.
        images: Images of every cell; the concepts take turns.
        passes: Noised copies of an image from which its mask is estimated.
        threshold: Difference, relative to the image's mean, above which a position belongs to a person.

    Attributes:
        x: Their latents, ``(images, c, h, w)``, cell after cell.
        masks: ``M``, ``(images, 1, h, w)``.
    """

    def __init__(self, task: Task, *, stated: str, images: int, passes: int, threshold: float) -> None:
        self.task, self.stated, self.passes, self.threshold = task, stated, passes, threshold
        self.groups = [
            (name, [list(groups).index(cell.groups[name]) for cell in task.cells])
            for name, groups in group_words(task.cells).items()
        ]
        self.shown = [cell for cell in range(len(task.cells)) for _ in range(images)]
        self.concepts = [task.concepts[i % images % len(task.concepts)] for i in range(len(self.shown))]
        seeds = task.rng.integers(2**31, size=len(self.shown)).tolist()
        own = [self._text(row, cell) for row, cell in enumerate(self.shown)]
        self.x = task.model.latents(task.sample(own, seeds))
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
        own = [self._text(row, cell) for row, cell in zip(rows, shown, strict=True)]
        return MaskedBatch(
            noised=torch.cat([x_t, x_t]),
            eps=eps,
            timesteps=torch.cat([t, t]),
            texts=counterfactual + own,
            groups={
                name: torch.tensor([of_cell[cell] for cell in shown * 2]) for name, of_cell in self.groups
            },
            mask=self.masks[rows],
        )

    def _text(self, row: int, cell: int) -> str:
        return fill(self.stated, concept=self.concepts[row], cell=self.task.cells[cell])

    def _other(self, row: int) -> int:
        """A cell that the image does not show."""
        drawn = int(self.task.rng.integers(len(self.task.cells) - 1))
        return drawn + (drawn >= self.shown[row])

    @torch.no_grad()
    def _mask(self, row: int) -> Tensor:
        """``M`` of one image, ``(1, 1, h, w)``."""
        model, rng, n = self.task.model, self.task.rng, self.passes
        t = random_timesteps(rng, n, model)
        x = self.x[row].expand(n, -1, -1, -1)
        x_t = noised(model, x, t, gaussian(rng, x.shape, model))
        own = model.encode([self._text(row, self.shown[row])] * n)
        other = model.encode([self._text(row, self._other(row)) for _ in range(n)])
        d = (model.predict(x_t, t, own) - model.predict(x_t, t, other)).abs().mean(dim=(0, 1))
        return (d >= self.threshold * d.mean())[None, None].to(self.x.dtype)


def share_outside(share: Tensor, mask: Tensor) -> Tensor:
    """Mean over tokens of the part of the share ``(n, tokens)`` outside the mask ``(n, 1, h, w)``."""
    inside = adaptive_avg_pool2d(mask, token_grid(share.shape[1], mask.shape[2:])).flatten(1)
    return (share * (1 - inside)).mean()
