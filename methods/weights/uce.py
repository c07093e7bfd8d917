"""UCE: debiasing as one closed-form edit of cross-attention, repeated until the shares meet the target.

Gandikota, Orgad, Belinkov, Materzyńska, Bau: "Unified Concept Editing in Diffusion Models", WACV 2024, arXiv
2308.14761, section 4. The repository (rohitgandikota/unified-concept-editing) had three debiasing
implementations, which share little but the objective (:mod:`evenhand.methods.shared.closed_form`); all three
are implemented, so always state the version. ``E(p)`` are the text states of prompt ``p`` and ``n(p)`` its
number of content tokens, so that row ``n(p)`` is its last content token; guidance ``j`` is the source text
with the concept replaced by the words of cell ``j``.

Version 1 (July 2023 to April 2025), from which MIST is derived. With ``f = max(n(source), n(guidance_1),
..)`` and ``L = length - f``, where ``length`` is the number of text states (77 for Stable Diffusion),

    C   = rows n(source) .. n(source) + L - 1 of E(source)         last content token, EOS and pads
    G_j = rows n(guidance_j) .. n(guidance_j) + L - 1 of E(guidance_j)

enter the edit of :mod:`evenhand.methods.weights._directional`: the last content tokens are aligned, norms are
Frobenius norms over the window, edits accumulate over the rounds. Preserved texts keep the outputs of all
rows.

Version 2 (April 2025 onward). With ``c = E(source)[n]`` and ``a_j = E(guidance_j)[n]``, and the original
projections ``W_0``,

    t <- t + step_size sum_j (pi_j - r_j) W_0 a_j,  initially t = W_0 c
    W  = closed form from W_0 with target t for the row c

A source within the tolerance adds nothing to its target. Targets accumulate and every round starts from the
original projections. Preserved texts keep the output of their last content row. As released, a source text
that is itself in ``preserve`` is preserved at its *shifted* output ``t``.

Version 0 (June 2023), for two cells. All rows of the concept, ``C = E(concept)``, and of the cell's words,
``G_j = E(cell_j)``, with ``W_0`` the original projections and ``V_0 = C W_0^T``,

    w_j <- w_j + step_size (pi_j - r_j)
    V   = V_0 + sum_j w_j ||V_0||_F G_j W_0^T / ||G_j W_0^T||_F
    W   = closed form from W_0 with targets V for the rows C

A source within the tolerance adds nothing to its weights and is not measured again. The weights ``w`` of the
directions accumulate, both directions are scaled by the fixed norm of ``V_0``, and every round starts from
the original projections. Every round judges "picture of ..." on the same seeds.

Versions 0 and 1 were released with a list of professions whose outputs are preserved, except those that are
edited (``preserve="professions"``); version 2 preserves what its user states.

All concepts are solved together in one model, as released (``scope="joint"``), or in one model each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, StringConstraints, model_validator
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Cell, EditableModel, MethodInfo, Task, TextStates
from evenhand.methods.shared.closed_form import ClosedForm
from evenhand.methods.shared.prompt_text import fill
from evenhand.methods.shared.ratio_loop import Editor, RatioLoop, Template, encode
from evenhand.methods.shared.source_history import Shares, Source
from evenhand.methods.space import Choice, Range, Space
from evenhand.methods.weights._directional import DirectionalEdit
from evenhand.methods.weights._professions import PROFESSIONS

VERSION_2: dict[str, Any] = {
    "templates": ("{concept}",),
    "label": "This is a photo of {guidance}.",
    "remeasure": True,
    "step_size": 1.0,
    "mu": 1.0,
    "images": 10,
}
"""The defaults of version 2 where they differ from version 1, whose defaults are the fields' own."""

VERSION_0: dict[str, Any] = {
    "templates": ("{concept}",),
    "measure": "picture of {text}",
    "label": "picture of {guidance}",
    "tolerance": 0.08,
}
"""The defaults of version 0 where they differ from version 1."""

SEEDS_0 = (8393, 47295, 12321, 0, 902)
"""The five seeds of version 0; the release generates a batch of ten images from each."""


class Uce(RatioLoop):
    """UCE as released; the parameters shared with MIST are those of :class:`RatioLoop`.

    The fields show the defaults of version 1; :data:`VERSION_0` and :data:`VERSION_2` hold the differing
    defaults of the other versions. The weight of an edited row is one, as released; only its ratio to ``lam``
    and ``mu`` matters.

    Attributes:
        version: Which of the released implementations to use.
        templates: Source texts of a concept, with ``{concept}``, which a cell's noun replaces in the
            guidance.
        measure: Template of the text whose images are judged, with ``{text}``, the source text.
        label: Template of the judge's text for a cell, with ``{guidance}``.
        preserve: Texts whose outputs are preserved; ``professions`` stands for the 225 that versions 0 and 1
            were released with. Those equal to a source text or a treated concept in any case are left out
            there.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="uce",
        version="1.0",
        title="UCE",
        summary="Shifts a concept's token outputs towards rare cells until the shares meet the target.",
        paper="https://arxiv.org/abs/2308.14761",
        licence="Apache-2.0",
        origin="rohitgandikota/unified-concept-editing, MIT; reimplemented from the formulas",
        family="weights",
        architectures=("sd1", "sd2", "sdxl", "video"),
        attributes="any, alone or as joint cells, that the steering judge can distinguish by words",
    )

    version: Literal["v0", "v1", "v2"] = "v1"
    templates: tuple[Template, ...] = Field(
        default=(
            "image of {concept}",
            "photo of {concept}",
            "portrait of {concept}",
            "picture of {concept}",
            "{concept}",
        ),
        min_length=1,
    )
    measure: Annotated[str, StringConstraints(pattern=r"\{text\}")] = "{text}"
    label: Annotated[str, StringConstraints(pattern=r"\{guidance\}")] = "{guidance}"
    preserve: tuple[str, ...] | Literal["professions"] = ()
    remeasure: bool = False
    mu: float = Field(default=0.1, ge=0)
    images: int = Field(default=50, ge=1)
    rounds: int = Field(default=30, ge=1)

    @classmethod
    def space(cls) -> Space:
        """The released versions for any number of cells, size and number of the edits, and the regularizer.

        Version 0 is left out because it balances two cells only, ``mu`` because it acts on preserved texts
        only: those of ``preserve``, and in version 1 also the sources that have converged.
        """
        return {
            "version": Choice(("v1", "v2")),
            "step_size": Range(low=0.02, high=2.0, log=True),
            "lam": Range(low=0.05, high=50.0, log=True),
            "images": Range(low=8, high=50, log=True, integer=True),
            "rounds": Range(low=2, high=30, log=True, integer=True),
        }

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_version(cls, given: dict[str, Any]) -> dict[str, Any]:
        defaults = {"v0": VERSION_0, "v2": VERSION_2}
        # As text, since this comes before the types are checked.
        return defaults.get(str(given.get("version")), {}) | given

    @model_validator(mode="after")
    def _fixed_seeds_are_counted_once(self) -> Uce:
        if self.version == "v0" and self.stopping == "sequential":
            raise ValueError("version v0 judges the same seeds in every batch; use stopping='released'")
        return self

    def check(self, *, family: str, cells: Sequence[Cell]) -> None:
        """Also require two cells for version 0."""
        super().check(family=family, cells=cells)
        if self.version == "v0" and len(cells) != 2:
            raise EvenhandError(f"uce: version v0 balances exactly two cells, not {len(cells)}; use v1 or v2")

    def seeds(self, task: Task, count: int) -> list[int]:
        """New seeds; in version 0 the same seeds in every round."""
        if self.version != "v0":
            return super().seeds(task, count)
        fixed: list[int] = np.random.default_rng(SEEDS_0).integers(0, 2**31, size=count).tolist()
        return fixed

    @property
    def sources_per_concept(self) -> int:
        """One per template."""
        return len(self.templates)

    def sources(self, task: Task) -> list[Source]:
        """One source per concept and template; versions 1 and 2 measure the edited text itself."""
        return [
            self._source(template, concept, task) for concept in task.concepts for template in self.templates
        ]

    def _source(self, template: str, concept: str, task: Task) -> Source:
        text = fill(template, concept=concept)
        guidance = tuple(fill(template, concept=cell.noun) for cell in task.cells)
        labels = tuple(self.label.replace("{guidance}", words) for words in guidance)
        prompt = self.measure.replace("{text}", text)
        return Source(concept=concept, text=text, prompt=prompt, guidance=guidance, labels=labels)

    def editor(self, task: Task, sources: Sequence[Source], weights: dict[str, Tensor]) -> Editor:
        """The edit of the chosen version."""
        texts = [source.text for source in sources]
        edited = encode(task.model, texts)
        guiding = encode(task.model, [text for source in sources for text in source.guidance])
        if self.version == "v2":
            c = edited.at(edited.first_eos - 1)
            a = guiding.at(guiding.first_eos - 1).reshape(len(sources), len(task.cells), -1)
            return AccumulatedEdit(self, weights, form=self._form(task.model, texts, c), guidance=a)
        # As released, where a concept is always one of its source texts.
        folded = {text.casefold() for text in (*texts, *task.concepts)}
        preserve = [text for text in self.preserved if text.casefold() not in folded]
        if self.version == "v0":
            kept = encode(task.model, preserve).states.flatten(0, 1) if preserve else None
            form = ClosedForm.factor(edited.states.flatten(0, 1), lam=self.lam, preserved=kept, mu=self.mu)
            g = guiding.states.reshape(len(sources), len(task.cells), *guiding.states.shape[1:])
            return FixedNormEdit(self, weights, form=form, rows=edited.states, guidance=g)
        rows, guidance = windows(edited, guiding, len(task.cells))
        return DirectionalEdit(
            self,
            task.model,
            weights,
            texts=texts,
            rows=rows,
            guidance=guidance,
            preserve=preserve,
        )

    @property
    def preserved(self) -> tuple[str, ...]:
        """The texts that ``preserve`` stands for."""
        return PROFESSIONS if isinstance(self.preserve, str) else self.preserve

    def _form(self, model: EditableModel, texts: Sequence[str], rows: Tensor) -> ClosedForm:
        """Version 2's closed form: a source that is also preserved has both weights."""
        scale = torch.tensor([1 + self.mu * (text in self.preserved) for text in texts], dtype=rows.dtype)
        kept = sorted({*self.preserved} - {*texts})
        if not kept:
            return ClosedForm.factor(rows, lam=self.lam, scale=scale)
        states = encode(model, kept)
        preserved = states.at(states.first_eos - 1)
        return ClosedForm.factor(rows, lam=self.lam, scale=scale, preserved=preserved, mu=self.mu)


class AccumulatedEdit:
    """Version 2: targets accumulate, and the projections restart from the originals in every round.

    Args:
        method: Provides ``step_size`` and ``tolerance``; a source whose largest gap is below it adds nothing.
        weights: Original projections, float64.
        form: Closed form of the source rows.
        guidance: Guidance rows ``a_j`` of every source, ``(sources, K, d)``.
    """

    def __init__(
        self, method: RatioLoop, weights: dict[str, Tensor], *, form: ClosedForm, guidance: Tensor
    ) -> None:
        self.weights = weights
        self.form = form
        self._method, self._original, self._guidance = method, weights, guidance
        self._targets = {name: form.rows @ weight.T for name, weight in weights.items()}

    def edit(self, difference: Shares) -> None:
        """One round: ``difference`` is ``target - ratio``, ``(sources, K)``."""
        gaps = np.abs(difference).max(axis=1, keepdims=True)
        moves = self._method.step_size * np.where(gaps < self._method.tolerance, 0.0, difference)
        moved = torch.einsum("sk,skd->sd", torch.from_numpy(moves), self._guidance)
        for name, weight in self._original.items():
            self._targets[name] = self._targets[name] + moved @ weight.T
        self.weights = {
            name: self.form.solve(weight, self._targets[name]) for name, weight in self._original.items()
        }


class FixedNormEdit:
    """Version 0: the weights of the directions accumulate, and the projections restart in every round.

    Args:
        method: Provides ``step_size`` and ``tolerance``; a source whose largest gap is not above it adds
            nothing.
        weights: Original projections, float64.
        form: Closed form of all rows of all sources.
        rows: ``C`` of every source, ``(sources, length, d)``.
        guidance: ``G`` of every source, ``(sources, K, length, d)``.
    """

    def __init__(
        self,
        method: RatioLoop,
        weights: dict[str, Tensor],
        *,
        form: ClosedForm,
        rows: Tensor,
        guidance: Tensor,
    ) -> None:
        self.weights = weights
        self.form = form
        self._method, self._original, self._rows, self._guidance = method, weights, rows, guidance
        self._w = np.zeros(guidance.shape[:2])

    def edit(self, difference: Shares) -> None:
        """One round: ``difference`` is ``target - ratio``, ``(sources, K)``."""
        gaps = np.abs(difference).max(axis=1, keepdims=True)
        self._w = self._w + self._method.step_size * np.where(gaps <= self._method.tolerance, 0.0, difference)
        self.weights = {
            name: self.form.solve(weight, self._targets(weight)) for name, weight in self._original.items()
        }

    def _targets(self, weight: Tensor) -> Tensor:
        """``V`` of all rows, ``(sources * length, m)``."""
        V, G = self._rows @ weight.T, self._guidance @ weight.T
        norms = torch.linalg.norm(V, dim=(1, 2))[:, None] / torch.linalg.norm(G, dim=(2, 3))
        moved = torch.einsum("sk,sklm->slm", torch.from_numpy(self._w) * norms, G)
        return (V + moved).flatten(0, 1)


def windows(edited: TextStates, guiding: TextStates, cells: int) -> tuple[list[Tensor], list[Tensor]]:
    """The aligned rows of version 1: from the last content token on, as many as the longest text allows.

    Args:
        edited: States of the ``n`` source texts.
        guiding: States of their guidance texts, ``n * cells``.
        cells: Number of cells.

    Returns:
        Source rows ``(L, d)`` and guidance rows ``(cells, L, d)`` of every source, each with its own ``L``.
    """
    size = edited.states.shape[1]
    firsts = (edited.first_eos - 1).tolist()
    guiding_firsts = (guiding.first_eos - 1).reshape(-1, cells).tolist()
    blocks = guiding.states.reshape(-1, cells, *guiding.states.shape[1:])
    rows, guidance = [], []
    for states, n, block, ns in zip(edited.states, firsts, blocks, guiding_firsts, strict=True):
        length = size - max(n, *ns)
        rows.append(states[n : n + length])
        guidance.append(torch.stack([words[m : m + length] for words, m in zip(block, ns, strict=True)]))
    return rows, guidance
