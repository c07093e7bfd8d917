"""Additional slots in cross-attention, whose logits are predicted instead of computed from keys.

With queries ``Q`` of the image tokens, keys ``K`` and values ``V`` of the prompt, per head of width ``d``,

    out = softmax([ Q K^T / sqrt(d), AP ]) [ V ; V_a ],        V_a = E(words) W_v

``AP`` ``(tokens, slots)`` is the same for all heads and is predicted from the features that the layer reads,
by three convolutions with two SiLU between them. A slot whose logit is minus infinity is closed. Source: EFA
(arXiv 2506.13298).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, silu

from evenhand.methods.hooks import Site


def attend(site: Site, *, rows: slice, logits: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """The output of a cross-attention module with additional slots.

    Args:
        site: The module and the arguments of its call.
        rows: Which ``n`` rows of its batch are computed.
        logits: ``AP`` of every image, ``(n, tokens, slots)``.
        words: Text states that fill the slots, ``(n, slots, width)``.

    Returns:
        The output ``(n, tokens, m)``, and the share of its attention that each image token gives to the
        slots, averaged over heads, ``(n, tokens)``.
    """
    # Any, because torch types the submodules of a module as tensors.
    module: Any = site.module
    x, text = site.inputs[0][rows], site.keywords["encoder_hidden_states"][rows]

    def heads(states: Tensor) -> Tensor:
        return states.reshape(*states.shape[:2], module.heads, -1).transpose(1, 2)

    q, k = heads(module.to_q(x)), heads(module.to_k(text))
    v = heads(module.to_v(torch.cat([text, words], dim=1)))
    # Not multiplied in float16, where the products of Stable Diffusion 2 overflow.
    scores = q.float() @ k.float().transpose(2, 3) / math.sqrt(q.shape[-1])
    slots = logits.float()[:, None].expand(-1, scores.shape[1], -1, -1)
    attention = torch.cat([scores, slots], dim=3).softmax(dim=3)
    mixed = (attention.to(v.dtype) @ v).transpose(1, 2).flatten(2)
    out = module.to_out[1](module.to_out[0](mixed)) / module.rescale_output_factor
    return out, attention[..., text.shape[1] :].sum(dim=3).mean(dim=1)


def token_grid(tokens: int, latents: Sequence[int]) -> tuple[int, int]:
    """Height and width of a layer's image tokens, from those of the latents."""
    factor = math.isqrt(latents[0] * latents[1] // tokens)
    return latents[0] // factor, latents[1] // factor


@dataclass(frozen=True)
class Slots:
    """The slots of several attributes in several modules.

    Attributes:
        tensors: ``words/ATTRIBUTE`` ``(groups, slots, width)``, text states of every group;
            ``open/ATTRIBUTE`` ``(groups, slots)``, 1 where a group has a word and 0 elsewhere;
            ``MODULE/ATTRIBUTE/I.weight`` and ``.bias``, the three convolutions of ``AP``.
        attributes: Their names, in the order of the slots.
    """

    tensors: Mapping[str, Tensor]
    attributes: Sequence[str]

    def words(self, groups: Mapping[str, Tensor]) -> Tensor:
        """Text states of each image's groups, ``(n, slots, width)``; arbitrary for a negative group."""
        states = [self.tensors[f"words/{name}"] for name in self.attributes]
        return torch.cat(
            [of[groups[name].clamp_min(0)] for of, name in zip(states, self.attributes, strict=True)], dim=1
        )

    def logits(
        self, module: str, x: Tensor, groups: Mapping[str, Tensor], *, grid: tuple[int, int]
    ) -> Tensor:
        """``AP`` of each image's groups, ``(n, tokens, slots)``, minus infinity for closed slots.

        Args:
            module: Name of the cross-attention module.
            x: The image features that it reads, ``(n, tokens, m)``.
            groups: Attribute to each image's group, ``(n,)``; negative without an assignment.
            grid: Height and width of the tokens.
        """
        image = x.float().transpose(1, 2).reshape(len(x), -1, *grid)
        images = torch.arange(len(x), device=x.device)
        each = []
        for name in self.attributes:
            is_open = self.tensors[f"open/{name}"].to(x.device)
            group = groups[name].to(x.device)
            of_group = self._predict(module, name, image).reshape(len(x), *is_open.shape, -1)
            chosen = of_group[images, group.clamp_min(0)].transpose(1, 2)
            opened = (is_open[group.clamp_min(0)] > 0) & (group >= 0)[:, None]
            each.append(chosen.masked_fill(~opened[:, None, :], -math.inf))
        return torch.cat(each, dim=2)

    def _predict(self, module: str, attribute: str, image: Tensor) -> Tensor:
        """The three convolutions, with two SiLU between them."""
        for layer in range(3):
            name = f"{module}/{attribute}/{layer}"
            weight, bias = (self.tensors[f"{name}.{part}"].to(image.device) for part in ("weight", "bias"))
            image = conv2d(silu(image) if layer else image, weight, bias, padding="same")
        return image


def fresh_convolutions(
    name: str, *, inputs: int, hidden: int, outputs: int, rng: np.random.Generator
) -> dict[str, Tensor]:
    """Untrained 3 x 3 convolutions of ``AP``: normal weights with He's variance, the last layer zero.

    Args:
        name: ``MODULE/ATTRIBUTE``.
        inputs: Width of the features.
        hidden: Channels between the convolutions.
        outputs: Groups times slots.
        rng: Draws the weights.
    """
    tensors = {}
    for layer, (into, out) in enumerate([(inputs, hidden), (hidden, hidden), (hidden, outputs)]):
        drawn = rng.standard_normal((out, into, 3, 3), dtype=np.float32) * math.sqrt(2 / (9 * into))
        tensors[f"{name}/{layer}.weight"] = torch.from_numpy(drawn if layer < 2 else 0 * drawn)
        tensors[f"{name}/{layer}.bias"] = torch.zeros(out)
    return tensors
