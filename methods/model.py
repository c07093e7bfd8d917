"""What a method can read from the loaded model and do with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from evenhand.methods.hooks import RowChange, Site
from evenhand.methods.services import Images


@dataclass(frozen=True)
class TextStates:
    """The text encoder's output for a list of ``n`` prompts.

    Attributes:
        states: ``(n, length, d)``, ``last_hidden_state`` from padded ids without an attention mask.
        first_eos: ``(n,)``, position of the first end-of-text token, ``sum(mask) - 1``.
        pooled: ``(n, p)``, SDXL's pooled text vectors; ``None`` for the other families.
        texts: The prompts themselves, so that an intervention can select the ones it applies to.
        ids: Their token ids with begin and end of text, without padding: token ``i`` gives row ``i``.
    """

    states: Tensor
    first_eos: Tensor
    pooled: Tensor | None = None
    texts: tuple[str, ...] = ()
    ids: tuple[tuple[int, ...], ...] = ()

    def at(self, positions: Tensor) -> Tensor:
        """Rows ``(n, d)`` at one position per prompt: ``at(first_eos - 1)`` is the last content token."""
        prompts = torch.arange(len(self.states), device=positions.device)
        return self.states[prompts, positions]


class EditableModel(Protocol):
    """What a method can read from the loaded model and do with it.

    Closed-form methods need text states and projections. Methods that train also need the networks, whose
    parameters are frozen: gradients flow through them to the parameters that the method trains.
    """

    @property
    def name(self) -> str:
        """The name it was loaded by."""
        ...

    @property
    def family(self) -> str:
        """``sd1``, ``sd2``, ``sdxl`` or ``video``."""
        ...

    @property
    def unet(self) -> Any:
        """The U-Net, a diffusers model."""
        ...

    @property
    def vae(self) -> Any:
        """The autoencoder, a diffusers model."""
        ...

    @property
    def text_encoders(self) -> Sequence[tuple[Any, Any]]:
        """Tokenizer and text encoder; two pairs for SDXL."""
        ...

    @property
    def scheduler(self) -> Any:
        """The model's own diffusers scheduler, which holds the configuration of its noise schedule."""
        ...

    @property
    def alphas_cumprod(self) -> Tensor:
        """The noise schedule ``abar_t`` at every training timestep, ``(T,)``."""
        ...

    def encode(self, texts: Sequence[str]) -> TextStates:
        """Text states of the prompts, as the U-Net receives them."""
        ...

    def unconditional(self, count: int) -> TextStates:
        """Text states of ``count`` rows without a prompt, as the model's pipeline uses them for guidance."""
        ...

    def encode_uncached(self, texts: Sequence[str], change: RowChange | None = None) -> TextStates:
        """Like :meth:`encode`, but encodes the prompts in one batch, with gradients and without the cache.

        Args:
            texts: Prompts.
            change: Maps the text encoder's input rows ``(n, length, d)``, token plus position embedding, and
                the positions ``(n,)`` of the first end-of-text tokens to changed rows.
        """
        ...

    def token_ids(self, text: str) -> list[int]:
        """Ids of the prompt with begin and end of text, without padding."""
        ...

    def cross_attention(self) -> dict[str, Tensor]:
        """Current K and V projections of every ``attn2``: parameter name to an ``(m, d)`` copy."""
        ...

    def latents(self, images: Images) -> Tensor:
        """Scaled latents ``(n, c, h, w)`` of images: the mean of the autoencoder's posterior."""
        ...

    def unscaled(self, latents: Tensor) -> Tensor:
        """Scaled latents ``(n, c, h, w)`` as the decoder expects them, in its precision, with gradients."""
        ...

    def predict(self, latents: Tensor, timesteps: Tensor, text: TextStates) -> Tensor:
        """The U-Net's noise prediction ``(n, c, h, w)``, with gradients; every row counts as cost.

        Args:
            latents: Noised latents ``(n, c, h, w)``.
            timesteps: Training timesteps ``(n,)``.
            text: Text states of ``n`` prompts.
        """
        ...

    def features(
        self, sites: Sequence[str], function: Callable[[Site, Tensor], Tensor]
    ) -> AbstractContextManager[None]:
        """Within the context, the outputs of the named U-Net modules are replaced by ``function`` of them."""
        ...
