"""Renders images with known labels, like the training data of the bundled model.

A person is a head from one of three emoji families with the prop of the occupation, on one of six plain
backgrounds, with a small jitter. The bundled model was trained on such images; here they measure the judges.
The art is in ``world.npz`` as premultiplied RGBA; ``CARD.md`` names its authors.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

from evenhand.bench.errors import EvenhandError
from evenhand.bench.mini import ROOT
from evenhand.bench.mini.law import FINE_TONES, TAXONOMIES, characters, objects, occupations

SIZE = 64
SPEC_COLUMNS = ("kind", "index", "gender", "tone", "age", "style")
KINDS = ("occupation", "person", "object", "character")
STYLES = ("noto", "twemoji", "fluent-emoji-flat")
BACKGROUNDS = np.array(
    [[255, 255, 255], [232, 240, 250], [250, 244, 225], [232, 246, 232], [242, 234, 248], [238, 238, 238]],
    np.float32,
)
SHIFT = 2.5
"""Largest shift of a part by the jitter, in pixels."""
SCALE = 0.05
"""Largest relative change of a part's size by the jitter."""
BATCH = 512


def render(spec: NDArray[np.int64], *, seed: int) -> NDArray[np.uint8]:
    """Render the rows of ``spec``; an image depends on its row number and the seed, not on other rows.

    Args:
        spec: ``(n, 6)`` integers, the columns of ``SPEC_COLUMNS``. ``index`` is the index of the occupation,
            object or character, depending on ``kind``; ``tone`` is the index in ``FINE_TONES``.
        seed: Seed of the jitter and of the choice of background.

    Returns:
        ``(n, 64, 64, 3)`` sRGB bytes.

    Raises:
        EvenhandError: A value of ``spec`` is out of range.
    """
    spec = np.asarray(spec, np.int64).reshape(-1, len(SPEC_COLUMNS))
    _check(spec)
    draws = np.random.default_rng(seed).random((len(spec), 7), np.float32)
    chunks = [slice(start, start + BATCH) for start in range(0, len(spec), BATCH)]
    images = [_compose(torch.from_numpy(spec[chunk]), draws[chunk]) for chunk in chunks]
    return np.concatenate([np.zeros((0, SIZE, SIZE, 3), np.uint8), *images])


def _check(spec: NDArray[np.int64]) -> None:
    counts = np.array([len(occupations()), 1, len(objects()), len(characters())])
    if not np.isin(spec[:, 0], range(len(KINDS))).all():
        raise EvenhandError(f"spec column 'kind' must be between 0 and {len(KINDS) - 1}; kinds: {KINDS}")
    limits = np.array([len(TAXONOMIES["gender"]), len(FINE_TONES), len(TAXONOMIES["age"]), len(STYLES)])
    upper = np.column_stack([counts[spec[:, 0]], np.tile(limits, (len(spec), 1))])
    wrong = ((spec[:, 1:] < 0) | (spec[:, 1:] >= upper)).any(axis=0)
    if wrong.any():
        column = int(wrong.argmax())
        raise EvenhandError(
            f"spec column {SPEC_COLUMNS[1 + column]!r} must be between 0 and {upper[:, column].max() - 1}; "
            "see evenhand.bench.mini.law"
        )


@cache
def _parts() -> dict[str, Tensor]:
    """Heads, props, objects and characters on a full canvas: ``(..., 4, 64, 64)`` in [0, 1]."""
    places = {"heads": (2, 1), "props": (30, 30), "objs": (5, 5), "chars": (5, 5)}
    with np.load(ROOT / "world.npz") as archive:
        return {key: _place(torch.from_numpy(archive[key]), *place) for key, place in places.items()}


def _place(art: Tensor, left: int, top: int) -> Tensor:
    art = art.movedim(-1, -3).float() / 255
    size = art.shape[-1]
    return pad(art, (left, SIZE - size - left, top, SIZE - size - top))


def _compose(spec: Tensor, draws: NDArray[np.float32]) -> NDArray[np.uint8]:
    kind, index, gender, tone, age, style = spec.unbind(1)
    parts = _parts()
    front = parts["heads"][style, gender, tone, age]
    front[kind == 2] = parts["objs"][index[kind == 2], style[kind == 2]]
    front[kind == 3] = parts["chars"][style[kind == 3], index[kind == 3], tone[kind == 3]]
    prop = torch.zeros_like(front)
    prop[kind == 0] = parts["props"][style[kind == 0], index[kind == 0]]
    shade = torch.from_numpy(BACKGROUNDS[(draws[:, 6] * len(BACKGROUNDS)).astype(int)]) / 255
    image = _over(_jitter(front, draws[:, :3]), shade[:, :, None, None])
    image = _over(_jitter(prop, draws[:, 3:6]), image)
    return (image.clamp(0, 1) * 255).round().byte().movedim(1, -1).numpy()


def _over(top: Tensor, below: Tensor) -> Tensor:
    """Composition of premultiplied RGBA over RGB."""
    return top[:, :3] + below * (1 - top[:, 3:])


def _jitter(art: Tensor, draws: NDArray[np.float32]) -> Tensor:
    """Shift and scale each part by its three random numbers in [0, 1)."""
    unit = 2 * torch.from_numpy(draws) - 1
    theta = torch.zeros(len(art), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / (1 + SCALE * unit[:, 0])
    theta[:, :, 2] = unit[:, 1:] * SHIFT / (SIZE / 2)
    grid = affine_grid(theta, list(art.shape), align_corners=False)
    return grid_sample(art, grid, align_corners=False)
