"""Learned tokens in a prompt: insertion, prompt queuing, and attention amplification.

The tokens ``S`` ``(q, d)`` of a cell overwrite the rows ``e .. e+q-1`` of the text encoder's input, token
plus position embedding, where ``e`` is the position of the first end-of-text token: the insertion of ITI-GEN
(arXiv 2309.05569). FairQueue (Teo, Abdollahzadeh, Ma, Cheung, NeurIPS 2024) adds two changes to the
denoising:

    queue      the original prompt is used for the first share of the steps, the prompt with tokens afterwards
    amplify    in the latter steps attention is softmax(Q K^T / sqrt(d)) diag(a), a = 1 except at learned
    tokens, or at the row after them, which summarizes the prompt (``amplified``)

The attention is not normalized again. A module's output is linear in its attention, so amplification adds
``a - 1`` times the contribution of the learned tokens to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Intervention, TextStates
from evenhand.methods.hooks import Batch, Site, Steering, Step
from evenhand.methods.shared.randomness import drawn_cell


@dataclass(frozen=True, eq=False)
class LearnedTokens(Intervention):
    """Inserts the tokens of a drawn cell into prompts that mention a concept.

    ``tensors["tokens"]``: the tokens of every cell, ``(K, q, d)``. ``data``: ``target``, concept to its
    shares of the cells; ``queue``; ``amplify``; ``amplified``, if it is ``end``; ``sites``, the
    cross-attention modules whose attention is amplified.
    """

    def sites(self) -> Sequence[str]:
        """The cross-attention modules; empty if attention is not amplified."""
        sites: list[str] = self.data["sites"]
        return sites

    def steer(self, batch: Batch) -> Steering:
        """Draw a cell for every prompt that mentions a concept, and encode the prompt with its tokens."""
        pairs = zip(batch.texts, batch.draws, strict=True)
        drawn = [drawn_cell(text, draw, self.data["target"]) for text, draw in pairs]
        treated = [(row, cell[1]) for row, cell in enumerate(drawn) if cell is not None]
        if not treated:
            return Steering()
        rows, cells = zip(*treated, strict=True)
        tokens = self.tensors["tokens"][list(cells)]
        length = tokens.shape[1]
        return Queued(
            rows=torch.tensor(rows),
            learned=batch.encode([batch.texts[row] for row in rows], lambda x, eos: insert(x, eos, tokens)),
            amplified=range(length, length + 1) if self._at_end else range(length),
            queue=self.data["queue"],
            amplify=self.data["amplify"],
        )

    @property
    def _at_end(self) -> bool:
        """Whether the attention to the row after the tokens is amplified instead of that to the tokens."""
        at_end: bool = self.data.get("amplified", "tokens") == "end"
        return at_end


@dataclass
class Queued(Steering):
    """Uses the original prompts first, then those with learned tokens, whose attention is amplified.

    Attributes:
        rows: Images of the batch with learned tokens, ``(r,)``.
        learned: Their text states.
        amplified: Rows whose attention is amplified, counted from the first learned token.
        queue: Share of the steps with the original prompt.
        amplify: Factor ``a`` on the attention to these rows.
    """

    rows: Tensor
    learned: TextStates
    amplified: range
    queue: float
    amplify: float

    def text(self, step: Step, states: Tensor, latents: Tensor) -> Tensor:
        """The original states during the queue, then the states with learned tokens."""
        if self._queued(step):
            return states
        return states.index_copy(0, self.rows.to(states.device), self.learned.states.to(states))

    def feature(self, step: Step, site: Site, output: Tensor) -> Tensor:
        """The output plus ``a - 1`` times the contribution of the amplified rows."""
        if self._queued(step) or self.amplify == 1:
            return output
        # The conditional rows are the second half, because this steering has no further branches.
        rows = output.shape[0] // 2 + self.rows.to(output.device)
        positions = self.learned.first_eos[:, None] + torch.tensor(self.amplified)
        chosen = torch.zeros(len(rows), self.learned.states.shape[1]).scatter(1, positions, 1.0)
        return output.index_add(0, rows, (self.amplify - 1) * contribution(site, rows, chosen.to(output)))

    def _queued(self, step: Step) -> bool:
        return step.index < round(self.queue * step.count)


def contribution(site: Site, rows: Tensor, chosen: Tensor) -> Tensor:
    """Contribution of text tokens to a cross-attention: ``W_o softmax(Q K^T / sqrt(d)) diag(chosen) V``.

    Args:
        site: An ``attn2`` of diffusers and the arguments of its call.
        rows: Rows of the batch, ``(r,)``.
        chosen: Weight of every text token in the sum, ``(r, length)``.

    Returns:
        ``(r, pixels, channels)``; if every weight is one, the module's output without its bias.
    """
    attention: Any = site.module
    pixels, states = site.inputs[0][rows], site.keywords["encoder_hidden_states"][rows]
    query, key, value = (
        attention.head_to_batch_dim(x)
        for x in (attention.to_q(pixels), attention.to_k(states), attention.to_v(states))
    )
    scores = attention.get_attention_scores(query, key)
    heads = len(scores) // len(rows)
    mixed = attention.batch_to_head_dim(scores * chosen.repeat_interleave(heads, dim=0)[:, None] @ value)
    contributed: Tensor = linear(mixed, attention.to_out[0].weight) / attention.rescale_output_factor
    return contributed


def insert(embedded: Tensor, first_eos: Tensor, tokens: Tensor) -> Tensor:
    """Input rows ``(n, length, d)`` with ``tokens`` ``(n, q, d)`` in place of the rows ``e .. e+q-1``.

    Raises:
        EvenhandError: A prompt has no room for them and for the row after them, which summarizes them.
    """
    length, (count, width) = embedded.shape[1], tokens.shape[1:]
    longest = int(first_eos.max())
    if longest + count >= length:
        raise EvenhandError(
            f"a prompt of {longest + 1} tokens has no room for {count} learned ones in {length}; shorten it"
        )
    positions = first_eos[:, None] + torch.arange(count, device=first_eos.device)
    return embedded.scatter(1, positions[:, :, None].expand(-1, -1, width), tokens.to(embedded))
