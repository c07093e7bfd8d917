"""Sortition: a cell drawn for every image, and one closed-form edit per group that makes the image show it.

Evenhand's own method. It combines closed-form edits of cross-attention (UCE, TIME, MIST), groups drawn at
random for every image (Fair Diffusion, EquiSteer), a gate that respects what a prompt states (EquiSteer), and
a loop that compares shares with their target (UCE, MIST).

**Edit.** Let rows ``x_i`` be the text states of prompts that do *not* state attribute ``a``, from the last
token of the concept on, and ``x_i^g`` the same rows with group ``g`` stated ("a nurse", "a female nurse"; the
other attributes may be stated in both). For every attribute and group

    D_ag = argmin_D  sum_i || D x_i - (x_i^g - x_i) ||^2 + lam || D ||_F^2

with one factorization per attribute, shared by its groups and all concepts (:class:`ClosedForm` with ``W =
I``). ``D_ag`` is reduced to rank ``k``, the directions along which it moves the rows most. Every projection
is linear, so ``W (I + D_ag)`` is a rank-k edit of *all* K and V projections at once. The text states are
therefore edited and the projections stay unchanged.

**Image.** A prompt that mentions a treated concept draws a cell ``(g_a, g_b, ..)`` and becomes

    x <- x + D_bh x  after  x <- x + D_ag x          on the rows from the concept on
    x_(L-m+1) .. x_L <- the states of the words      on the last padding rows, with ``words``

In a prompt that states a group, its words have rows before the concept, which no edit of later rows replaces.
Cross-attention does not know the order of rows, so padding rows can hold their states: the mean over the
texts of the fit.

Composing attributes needs one edit per group, where a flat list of cells needs one per combination. An
attribute that the prompt already states is skipped: either a known word states it, or ``w_a . [x_EOS, 1]``, a
ridge regression of "states a" on the states at the first EOS, exceeds one half. Prompts without a treated
concept, and prompts that state every attribute, keep their states bit for bit.

**Sampling weights** are the target, corrected for non-compliance of the model and errors of the judge
(:mod:`evenhand.methods.sortition._compliance`). Explicit prompts calibrate the judge. Then cells are drawn
with the weights, and after every batch a sequential test (:mod:`evenhand.methods.shared.sequential_test`)
checks the shares that are read: if they are within the tolerance, the fit ends; if they are proven to be
outside, the weights are solved again. There is no loop over cells or concepts.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from evenhand.methods.base import (
    EditableModel,
    Intervention,
    MethodInfo,
    Task,
    TextStates,
)
from evenhand.methods.shared.closed_form import ClosedForm
from evenhand.methods.shared.group_assignment import group_words
from evenhand.methods.shared.prompt_text import described, statements
from evenhand.methods.shared.randomness import drawn_cell
from evenhand.methods.shared.ratio_loop import Template, encode
from evenhand.methods.shared.stated_groups import SYNONYMS, stated_groups, stating_phrases
from evenhand.methods.sortition._weight_search import SearchingMethod, WeightSearch
from evenhand.methods.space import Choice, Range, Space


@dataclass(frozen=True, eq=False)
class SortitionIntervention(Intervention):
    """Draws a cell for every image of a treated concept and moves its text states there.

    ``data``: ``lots`` (concept to sampling weights of the cells), ``groups`` (pairs of an attribute and its
    group in every cell; pairs, because stored JSON objects do not keep the order of their keys), ``stating``
    (attribute to group to the phrases that state it), ``tokens`` (concept to its token ids), ``scale``.
    ``tensors``: ``gate/ATTRIBUTE`` ``(d + 1,)``, and the factors of ``D``: ``up/ATTRIBUTE/GROUP`` ``(d, k)``
    and ``down/ATTRIBUTE/GROUP`` ``(k, d)``. With ``words`` also ``words/ATTRIBUTE/GROUP`` ``(m, d)``, the
    mean states of the ``m`` tokens that state the group.
    """

    def embedding(self, text: TextStates, draws: Sequence[np.random.Generator]) -> TextStates:
        """The states with every attribute that a prompt leaves open moved to its drawn group."""
        states = text.states.clone()
        for n, (prompt, draw) in enumerate(zip(text.texts, draws, strict=True)):
            drawn = drawn_cell(prompt, draw, self.data["lots"])
            if drawn is not None:
                self._show(drawn, states=states[n], prompt=prompt, ids=text.ids[n])
        return replace(text, states=states)

    def _show(self, drawn: tuple[str, int], *, states: Tensor, prompt: str, ids: Sequence[int]) -> None:
        """Edit the states ``(length, d)`` of a prompt in place so that its image shows the cell drawn."""
        concept, cell = drawn
        left_open = self.open_attributes(prompt, states[len(ids) - 1].clone())
        groups = {name: column[cell] for name, column in self.data["groups"] if name in left_open}
        start = last_token(ids, self.data["tokens"][concept])
        for attribute, group in groups.items():
            states[start:] = self.moved(states[start:], attribute=attribute, group=group)
        words = self.word_rows(groups, states, free=len(states) - len(ids))
        states[len(states) - len(words) :] = words

    def word_rows(self, groups: Mapping[str, str], rows: Tensor, *, free: int) -> Tensor:
        """The states of the groups' words, ``(m, d)``; none without ``words``, or with fewer free rows."""
        names = [f"words/{attribute}/{group}" for attribute, group in groups.items()]
        found = [self.tensors[name].to(rows) for name in names if name in self.tensors]
        words = torch.cat([rows[:0], *found])
        return words if len(words) <= free else rows[:0]

    def open_attributes(self, prompt: str, eos: Tensor) -> list[str]:
        """Attributes that the prompt states neither in known words nor according to the gate."""
        names = self.unnamed(prompt)
        return [name for name in names if not stated(eos, self.tensors[f"gate/{name}"].to(eos))]

    def unnamed(self, prompt: str) -> list[str]:
        """Attributes that no known word of the prompt states."""
        said = stated_groups(prompt, self.data["stating"])
        return [name for name, _ in self.data["groups"] if name not in said]

    def moved(self, rows: Tensor, *, attribute: str, group: str) -> Tensor:
        """The rows ``(n, d)`` with the edit of a group applied."""
        up = self.tensors[f"up/{attribute}/{group}"].to(rows)
        down = self.tensors[f"down/{attribute}/{group}"].to(rows)
        edited: Tensor = rows + self.data["scale"] * (rows @ down.T) @ up.T
        return edited


class Sortition(SearchingMethod):
    """Evenhand's own method, with the search of :class:`SearchingMethod`.

    Attributes:
        templates: Texts from whose states the edit is fitted, with ``{a}`` and ``{concept}``.
        scale: Factor of every edit; 1 imitates the stated attribute.
        rank: Rank ``k`` of the edit of a group; 0 for full rank.
        pads: Padding rows after the first EOS to which the edit is fitted; all of them are edited.
        lam: Weight of a small edit.
        words: Whether the last padding rows hold the states of the groups' words.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="sortition",
        version="1.0",
        title="Sortition",
        summary="Draws a cell and moves the text states there with one closed-form edit per group.",
        licence="Apache-2.0",
        origin="written for Evenhand",
        family="embedding",
        ours=True,
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any that words can express, alone or as joint cells",
    )
    intervention_type: ClassVar[type[Intervention]] = SortitionIntervention
    strength: ClassVar[str | None] = "scale"

    templates: tuple[Template, ...] = Field(
        default=("{a} {concept}", "a photo of {a} {concept}"), min_length=1
    )
    scale: float = Field(default=1.0, ge=0)
    rank: int = Field(default=0, ge=0)
    pads: int = Field(default=4, ge=0)
    lam: float = Field(default=0.1, gt=0)
    words: bool = False

    @classmethod
    def space(cls) -> Space:
        """Strength, rank, rows and regularizer of the edit, and how far the search trusts few images."""
        return {
            "scale": Range(low=0.5, high=2.0, log=True),
            "rank": Choice((0, 1, 2, 4, 8)),
            "pads": Range(low=0, high=12, integer=True),
            "lam": Range(low=1e-3, high=10.0, log=True),
            "shrink": Range(low=2.0, high=100.0, log=True),
        }

    def fit(self, task: Task) -> Intervention:
        """Solve the edits, then search the sampling weights."""
        edit = SortitionIntervention(
            tensors=self._edits(task), data={**sampling_data(task), "scale": self.scale}
        )
        return WeightSearch(parameters=self, task=task, intervention=edit).fitted()

    def _edits(self, task: Task) -> dict[str, Tensor]:
        """Gate and factors of ``D`` for every attribute and group."""
        tensors: dict[str, Tensor] = {}
        words = group_words(task.cells)
        for attribute, groups in words.items():
            without, with_group = self._texts(task, words, attribute)
            open_texts = encode(task.model, [text for text, _ in without])
            after = torch.tensor([tokens_after(task.model, text, concept) for text, concept in without])
            rows = self._rows(open_texts, after)
            form = ClosedForm.factor(rows, lam=self.lam)
            identity = torch.eye(rows.shape[1], dtype=rows.dtype)
            closed: list[Tensor] = []
            for group in groups:
                states = encode(task.model, with_group[group])
                targets = self._rows(states, after)
                edit = form.solve(identity, targets) - identity
                up, down = reduced(edit, rows, self.rank)
                tensors[f"up/{attribute}/{group}"], tensors[f"down/{attribute}/{group}"] = (
                    up.float(),
                    down.float(),
                )
                if self.words:
                    ids = [task.model.token_ids(text) for text in with_group[group]]
                    word = task.model.token_ids(groups[group])[1:-1]
                    tensors[f"words/{attribute}/{group}"] = word_states(states.states, ids, word).float()
                closed.append(states.at(states.first_eos))
            tensors[f"gate/{attribute}"] = gate(
                open_texts.at(open_texts.first_eos), torch.cat(closed), self.lam
            )
        return tensors

    def _texts(
        self, task: Task, words: Mapping[str, Mapping[str, str]], attribute: str
    ) -> tuple[list[tuple[str, str]], dict[str, list[str]]]:
        """Texts that leave the attribute open, with their concepts; the same texts with each group stated."""
        open_texts: list[tuple[str, str]] = []
        closed: dict[str, list[str]] = {group: [] for group in words[attribute]}
        for template, concept in itertools.product(self.templates, task.concepts):
            for said in statements(words, without=attribute):
                open_texts.append((described(template, concept, words, said), concept))
                for group, texts in closed.items():
                    texts.append(described(template, concept, words, {**said, attribute: group}))
        return open_texts, closed

    def _rows(self, states: TextStates, after: Tensor) -> Tensor:
        """Rows from the last token of the concept over the EOS to the ``pads``-th padding, ``(rows, d)``.

        Args:
            states: States of ``n`` texts.
            after: Distance from that token to the EOS, ``(n,)``.
        """
        last = states.states.shape[1] - 1
        return torch.cat(
            [
                states.at((states.first_eos + offset).clamp(max=last))[after >= -offset]
                for offset in range(-int(after.max()), 1 + self.pads)
            ]
        )


def tokens_after(model: EditableModel, text: str, concept: str) -> int:
    """Distance from the last token of the concept in a text to the end-of-text token."""
    ids = model.token_ids(text)
    return len(ids) - 1 - last_token(ids, model.token_ids(concept)[1:-1])


def sampling_data(task: Task) -> dict[str, Any]:
    """The ``data`` of an intervention that draws cells, with the target as sampling weights."""
    return {
        "lots": dict(zip(task.concepts, task.target.tolist(), strict=True)),
        "groups": [[name, [c.groups[name] for c in task.cells]] for name in group_words(task.cells)],
        "stating": stating_phrases(task.cells, SYNONYMS),
        "tokens": {concept: task.model.token_ids(concept)[1:-1] for concept in task.concepts},
    }


def reduced(edit: Tensor, rows: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Factors ``(d, k)`` and ``(k, d)`` of the part of the edit along which the rows move most.

    Reduced-rank regression: the leading eigenvectors of the moves' second moment ``D X^T X D^T``.
    """
    moved = rows @ edit.T
    _, vectors = torch.linalg.eigh(moved.T @ moved)
    up = vectors[:, -rank:]  # eigenvalues ascend; [:, -0:] keeps all
    return up.float(), (up.T @ edit).float()


def word_states(states: Tensor, ids: Sequence[Sequence[int]], word: Sequence[int]) -> Tensor:
    """Mean states ``(m, d)`` of a word's tokens.

    Args:
        states: States of the texts, ``(n, length, d)``.
        ids: Token ids of the texts, each of which has the word.
        word: Token ids of the word, ``m``.
    """
    ends = [last_token(each, word) + 1 for each in ids]
    return torch.stack([rows[end - len(word) : end] for rows, end in zip(states, ends, strict=True)]).mean(0)


def gate(open_states: Tensor, closed_states: Tensor, lam: float) -> Tensor:
    """Ridge weights ``(d + 1,)`` of "the prompt states the attribute", on states at the first EOS.

    Args:
        open_states: States ``(n, d)`` of texts that leave the attribute open.
        closed_states: States of texts that state it, weighted to have the same total weight.
        lam: Ridge penalty, also on the constant.
    """
    ratio = len(open_states) / len(closed_states)
    states = torch.cat([open_states, closed_states])
    weight = torch.cat([states.new_ones(len(open_states)), states.new_full((len(closed_states),), ratio)])
    rows = torch.cat([states, states.new_ones(len(states), 1)], dim=1)
    labels = torch.cat([states.new_zeros(len(open_states)), states.new_ones(len(closed_states))])
    form = ClosedForm.factor(rows, lam=lam, scale=weight)
    return form.solve(rows.new_zeros(1, rows.shape[1]), labels[:, None])[0].float()


def stated(state: Tensor, weights: Tensor) -> bool:
    """Whether the gate ``(d + 1,)`` reads the attribute as stated in a state ``(d,)`` at the first EOS."""
    return bool(state @ weights[:-1] + weights[-1] > 0.5)


def last_token(ids: Sequence[int], concept: Sequence[int]) -> int:
    """Position of the last token of the concept's last mention; without one, of the last content token."""
    size = len(concept)
    starts = [i for i in range(len(ids) - size + 1) if tuple(ids[i : i + size]) == tuple(concept)]
    return starts[-1] + size - 1 if starts else len(ids) - 2
