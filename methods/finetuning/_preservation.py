"""What must stay as the original model draws it: the image, and the face.

Section 4.1 of Shen et al., "Finetuning Text-to-Image Diffusion Models for Fairness", ICLR 2024, arXiv
2311.07604. Both terms compare unit vectors of vision encoders with those of the original model's image from
the same noise. The image term is relaxed where an image has to change: by ``k_n`` as a whole, and inside the
face, where gender and skin show, by a further factor on its gradient. The face term compares the largest
faces; only a face that keeps all its groups has an original to be near.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

if TYPE_CHECKING:
    from evenhand.methods.base import Task
    from evenhand.methods.finetuning.finetuning import Finetuning

CLIP = "clip"
"""Name of the CLIP of the suite among the encoders."""

FACE_SIDE = 224
"""Side of the faces that are compared, in pixels, as released."""

Targets = Mapping[str, tuple[NDArray[np.int64], NDArray[np.bool_]]]
"""Attribute to the target group of every image, and whether it is certain."""

Encode = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Perceived:
    """What a judge perceives in ``n`` images.

    Attributes:
        logs: Attribute to the logarithms of the probabilities of its groups, ``(n, K_a)``.
        faces: Boxes ``(n, 4)`` as left, top, right, bottom in pixels, all zero without a face; ``None`` if
            the judge sees whole images.
    """

    logs: Mapping[str, Tensor]
    faces: Tensor | None = None

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Whether each image has something to judge, ``(n,)``."""
        if self.faces is None:
            return np.ones(len(next(iter(self.logs.values()))), bool)
        seen: NDArray[np.bool_] = (self.faces[:, 2] > self.faces[:, 0]).cpu().numpy()
        return seen


@dataclass(frozen=True)
class Preservation:
    """The terms that keep images and faces; see the parameters of :class:`Finetuning`."""

    encoders: tuple[Encode, ...]
    face_encoder: Encode | None
    relax: Mapping[str, float]
    face_relax: Mapping[str, float]
    kept: float

    @classmethod
    def of(cls, method: Finetuning, task: Task) -> Preservation:
        """The terms of a method, with factors of all attributes and loaded encoders."""

        def load(name: str) -> Encode:
            if name == CLIP:
                assert task.clip is not None, "checked before the training"
                return task.clip.features
            return task.encoder(name)

        attributes = task.cells[0].groups
        return cls(
            encoders=tuple(load(name) for name in method.encoders if method.preserve),
            face_encoder=load(method.face_encoder) if method.face_encoder and method.face_weight else None,
            relax={name: method.relax.get(name, method.relax_others) for name in attributes},
            face_relax={name: method.face_relax.get(name, method.face_relax_others) for name in attributes},
            kept=method.kept,
        )

    def __call__(
        self, images: Tensor, perceived: Perceived, before: Tensor, original: Perceived, targets: Targets
    ) -> tuple[Tensor, Tensor]:
        """The sums over the images of both terms, without their weights.

        Args:
            images: Images in training, ``(n, 3, height, width)``, with gradients.
            perceived: What they show.
            before: Images of the original model from the same noise.
            original: What these show.
            targets: The targets of the images in training.
        """
        changes = {name: _changes(original, name, *target) for name, target in targets.items()}
        k = np.where(perceived.seen, _smallest(self.relax, changes), min(self.relax.values()))
        factors = torch.from_numpy(_smallest(self.face_relax, changes))
        eased = relaxed_in_faces(images, perceived.faces, original.faces, factors)
        weights, total = torch.from_numpy(k), images.new_zeros(())
        for encode in self.encoders:
            cosines = (encode(eased) * encode(before)).sum(dim=1)
            total = total + (weights.to(cosines) * (1 - cosines)).sum()
        return total, self._faces(images, perceived, before, original, changes)

    def _faces(
        self,
        images: Tensor,
        perceived: Perceived,
        before: Tensor,
        original: Perceived,
        changes: Mapping[str, NDArray[np.bool_]],
    ) -> Tensor:
        total = images.new_zeros(())
        if self.face_encoder is None or perceived.faces is None or original.faces is None:
            return total
        sure = [value.exp().amax(dim=1).cpu().numpy() >= self.kept for value in original.logs.values()]
        same = ~np.any(list(changes.values()), axis=0) & np.all(sure, axis=0)
        for n in np.flatnonzero(same & perceived.seen & original.seen):
            now, then = (
                self.face_encoder(face(picture[n], box[n]))
                for picture, box in ((images, perceived.faces), (before, original.faces))
            )
            total = total + (1 - (now * then).sum())
        return total


def relaxed_in_faces(images: Tensor, faces: Tensor | None, before: Tensor | None, factors: Tensor) -> Tensor:
    """The images, with their gradient multiplied by a factor inside the face.

    Args:
        images: ``(n, 3, height, width)``.
        faces: Boxes of their faces, ``(n, 4)``; ``None`` for no change.
        before: Boxes of the original faces; the factor acts where both boxes overlap.
        factors: ``(n,)``.
    """
    if faces is None or before is None:
        return images
    low, high = torch.maximum(faces[:, :2], before[:, :2]), torch.minimum(faces[:, 2:], before[:, 2:])
    height, width = images.shape[2:]
    x, y = torch.arange(width), torch.arange(height)
    across = (x >= low[:, :1]) & (x < high[:, :1])
    down = (y >= low[:, 1:]) & (y < high[:, 1:])
    inside = (down[:, :, None] & across[:, None, :])[:, None]
    factor = torch.where(inside, factors.view(-1, 1, 1, 1), 1.0).to(images)
    return factor * images + (1 - factor) * images.detach()


def face(image: Tensor, box: Tensor) -> Tensor:
    """The face of an image ``(3, height, width)``, resized to ``(1, 3, FACE_SIDE, FACE_SIDE)``."""
    left, top, right, bottom = (round(edge) for edge in box.tolist())
    cut = image[None, :, max(top, 0) : bottom, max(left, 0) : right]
    return interpolate(cut, size=(FACE_SIDE, FACE_SIDE), mode="bilinear", antialias=True)


def _changes(
    original: Perceived, name: str, group: NDArray[np.int64], certain: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Whether an image has to change, or has no target; as released, both relax its preservation."""
    shown = original.logs[name].argmax(dim=1).cpu().numpy()
    different: NDArray[np.bool_] = ~certain | ~original.seen | (shown != group)
    return different


def _smallest(factors: Mapping[str, float], changes: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.float64]:
    """The smallest factor of the attributes that change, 1 if none does, ``(n,)``."""
    each = [np.where(change, factors[name], 1.0) for name, change in changes.items()]
    smallest: NDArray[np.float64] = np.min(each, axis=0)
    return smallest
