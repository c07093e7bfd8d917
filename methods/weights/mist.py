"""MIST: intersectional bias is reduced by editing cross-attention at the end-of-text token alone.

Yesiltepe, Akdemir, Yanardag: "MIST: Mitigating Intersectional Bias with Disentangled Cross-Attention Editing
in Text-to-Image Diffusion Models", arXiv 2403.19738. The text encoder is causal, so the end-of-text (EOS)
state summarizes the whole prompt while the states before it keep their own meaning. This module implements
the released code (yesiltepe-hidir/mist). Let ``e(p)`` be the state at the *first* EOS of prompt ``p``. In
every round, with the measured share ``r_j`` of each of the ``K`` cells and its target ``pi_j`` (released:
``1/K``),

    alpha_j = step_size (pi_j - r_j)              all zero if max_j |pi_j - r_j| <= tolerance

and for every K and V projection ``W`` of the U-Net's cross-attention, with ``c = e(source)``,

    v_0 = W c,    g_j = W e(guidance_j),    v_j = v_(j-1) + alpha_j ||v_(j-1)|| g_j / ||g_j||
    M   = lam I + c c^T + mu sum_p p p^T          over all rows p of the preserved texts
    W  <- W + (v_K - W c) (M^-1 c)^T

This is a rank-one update. ``M^-1 c`` is the same for all projections and, while the preserved texts do not
change, for all rounds, so the whole edit of a concept has rank one in each projection. ``W`` is the current
projection: edits accumulate over the rounds, the alphas do not. The cells are one flat list of ``K`` classes.

As in the release, ``r`` counts the class with the highest probability in each of 100 images of a *headshot*
prompt while the source text itself is edited (a tie counts for every tied class). A concept whose first alpha
is exactly zero joins the preserved texts before the edit, permanently, and stays in the sum of edits. The
loop ends when the largest gap is below the tolerance or after 150 rounds; the last edit is then not measured.

The release edits one model per concept (``scope="per-concept"``; it handles only the first of several
concepts correctly). With ``scope="joint"`` one model holds all concepts. Each concept then keeps its own
shares, alphas and convergence; all concepts are solved in one closed form, with targets from the projections
at the start of the round; and the loop ends in the first round in which every concept is within the
tolerance. An edit for one concept can move another one. With ``remeasure=True``, as released, a converged
concept is measured again and edited again if it moved, while it stays preserved; with ``remeasure=False`` it
keeps its last shares, which saves images. The release draws 5 random seeds with batches of 20; here each of
the 100 images has its own seed, new in every round and common to the concepts of the round.

**Extension** (``keep``). ``M`` may also hold, as further rows ``p``, the states ``e(p)`` of texts that name
groups (``explicit``: "{a} {adjective} {concept}" of every concept with every cell, and with every group of an
attribute alone) and of the ``unrelated`` texts. Of the edits that move the sources as far, the closed form
then prefers those that leave these texts alone, at the price of a shorter move. In the joint scope this
matters: the sources span most of what texts have in common, so that an edit of many concepts moves every
text.

Two further forms are readings of the paper's objective, ``||W* g - W* s||^2 + lam ||W* - W||^2`` with
``s = e(source)``, ``g_j = e(guidance_j)``. They need no loop, images or target and serve as ablations. Their
closed forms, summed over several concepts, follow from the objectives

    p1   sum_j ||W' (g_j - s)||^2 + lam ||W' - W||^2       W' = lam W (lam I + D D^T)^-1,  D = [g_j - s]
    p2   sum_j ||W' s - W g_j||^2 + lam ||W' - W||^2       W' = (lam W + sum_j W g_j s^T) (lam I + K s s^T)^-1

``p1`` removes the directions that separate the texts from the projections, so that "nurse" and all its
guidance texts have the same output; ``p2`` maps the source to the mean output of its guidance texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, StringConstraints
from torch import Tensor

from evenhand.methods.base import Budget, Cell, MethodInfo, Task
from evenhand.methods.shared.cells import single_groups
from evenhand.methods.shared.closed_form import ClosedForm
from evenhand.methods.shared.prompt_text import fill
from evenhand.methods.shared.ratio_loop import RatioLoop, Template, double, encode, explicit_texts, select
from evenhand.methods.shared.source_history import Source
from evenhand.methods.space import Range, Space
from evenhand.methods.weights._directional import DirectionalEdit


class Mist(RatioLoop):
    """MIST as released; the parameters shared with UCE are those of :class:`RatioLoop`.

    Attributes:
        form: ``released``; or ``p1`` or ``p2``, which only use ``source``, ``guidance``, ``scope``,
            ``projections``, ``lam`` and ``unrelated``.
        source: Template of the edited text, with ``{a}`` and ``{concept}``.
        measure: Template of the text whose images are judged, with ``{a}`` and ``{concept}``.
        guidance: Template of a cell's guidance text and judge label, with ``{noun}`` (the attributes alone,
            as released) or ``{a}``, ``{adjective}`` and ``{concept}`` (as in the paper's figure).
        preserve: Texts all of whose rows keep their outputs; released: the empty prompt.
        keep: Kinds of texts whose state at the first EOS keeps its output, too; released: none.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="mist",
        version="1.0",
        title="MIST",
        summary="Shifts a concept's end-of-text output towards rare cells until the shares meet the target.",
        paper="https://arxiv.org/abs/2403.19738",
        licence="Apache-2.0",
        origin="yesiltepe-hidir/mist, released without a licence; reimplemented from the formulas",
        family="weights",
        architectures=("sd1", "sd2", "sdxl", "video"),
        attributes="any, alone or as joint cells, that the steering judge can distinguish by words",
    )

    form: Literal["released", "p1", "p2"] = "released"
    source: Template = "a person of {a} {concept}"
    measure: Template = "a headshot of a person of {a} {concept}"
    guidance: Annotated[str, StringConstraints(pattern=r"\{(noun|adjective)\}")] = "{noun}"
    preserve: tuple[str, ...] = ("",)
    keep: tuple[Literal["explicit", "unrelated"], ...] = ()
    remeasure: bool = True
    mu: float = Field(default=0.2, ge=0)
    images: int = Field(default=100, ge=1)
    rounds: int = Field(default=150, ge=1)
    negative_prompt: str = "black and white, drawing, painting, unrealistic, low quality"

    @classmethod
    def space(cls) -> Space:
        """Size and number of the edits, their two regularizers, and the images that each is based on."""
        return {
            "step_size": Range(low=0.02, high=1.0, log=True),
            "lam": Range(low=0.05, high=50.0, log=True),
            "mu": Range(low=0.01, high=10.0, log=True),
            "images": Range(low=8, high=100, log=True, integer=True),
            "rounds": Range(low=2, high=150, log=True, integer=True),
        }

    @property
    def steering_judge(self) -> str | None:
        """The judge inside the released loop; the paper's objective has none."""
        return self.judge if self.form == "released" else None

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """All rounds for all concepts; nothing for the paper's objective."""
        return super().budget(concepts=concepts, cells=cells) if self.form == "released" else Budget()

    def edited(self, task: Task) -> tuple[dict[str, Tensor], dict[str, list[dict[str, Any]]]]:
        """The projections of one model, edited by the released loop or by one closed form."""
        if self.form == "released":
            return super().edited(task)
        sources = self.sources(task)
        form, towards = OBJECTIVES[self.form](*self._states(task, sources), lam=self.lam)
        originals = select(task.model.cross_attention(), self.projections)
        weights = {}
        for name, original in originals.items():
            weight = double(original)
            weights[name] = form.solve(weight, towards @ weight.T).to(original.dtype)
        rows = [{"concept": source.concept, "text": source.text} for source in sources]
        return weights, {"sources": rows, "response": self.leakage(task, sources, form)}

    def sources(self, task: Task) -> list[Source]:
        """One source text per concept; the judge chooses between the guidance texts themselves."""
        guidance = {
            concept: tuple(fill(self.guidance, concept=concept, cell=cell) for cell in task.cells)
            for concept in task.concepts
        }
        return [
            Source(
                concept=concept,
                text=fill(self.source, concept=concept),
                prompt=fill(self.measure, concept=concept),
                guidance=guidance[concept],
                labels=guidance[concept],
            )
            for concept in task.concepts
        ]

    def editor(self, task: Task, sources: Sequence[Source], weights: dict[str, Tensor]) -> DirectionalEdit:
        """The directional edit of one row per text: the state at its first EOS."""
        c, g = self._states(task, sources)
        return DirectionalEdit(
            self,
            task.model,
            weights,
            texts=[source.text for source in sources],
            rows=[row[None, :] for row in c],
            guidance=[rows[:, None, :] for rows in g],
            preserve=self.preserve,
            kept=self._kept(task),
        )

    def _kept(self, task: Task) -> Tensor | None:
        """States at the first EOS of the texts of ``keep``, ``(n, d)``."""
        texts: list[str] = []
        if "explicit" in self.keep:
            stated = [*task.cells, *single_groups(task.cells)]
            # With one attribute, a group alone is a cell again.
            texts += dict.fromkeys(explicit_texts(task.concepts, stated))
        if "unrelated" in self.keep:
            texts += self.unrelated
        if not texts:
            return None
        encoded = encode(task.model, texts)
        return encoded.at(encoded.first_eos)

    def _states(self, task: Task, sources: Sequence[Source]) -> tuple[Tensor, Tensor]:
        """States at the first EOS of the source texts ``(n, d)`` and their guidance texts ``(n, K, d)``."""
        edited = encode(task.model, [source.text for source in sources])
        guiding = encode(task.model, [text for source in sources for text in source.guidance])
        guidance = guiding.at(guiding.first_eos)
        return edited.at(edited.first_eos), guidance.reshape(len(sources), len(task.cells), -1)


def minimise_p1(s: Tensor, g: Tensor, *, lam: float) -> tuple[ClosedForm, Tensor]:
    """The paper's objective, read literally, as a closed form: the differences ``g_j - s`` get output zero.

    Args:
        s: Source states ``(n, d)``.
        g: Guidance states ``(n, K, d)``.
        lam: Weight of staying near the old projection.

    Returns:
        The form, and the states ``(rows, d)`` whose old outputs are the targets of its rows: all zero.
    """
    differences = (g - s[:, None, :]).flatten(0, 1)
    return ClosedForm.factor(differences, lam=lam), torch.zeros_like(differences)


def minimise_p2(s: Tensor, g: Tensor, *, lam: float) -> tuple[ClosedForm, Tensor]:
    """The objective with the guidance at the old projections: ``K`` targets ``W g_j`` for one row.

    They equal their mean with weight ``K``. Arguments and result are those of :func:`minimise_p1`.
    """
    weight = torch.full((len(s),), float(g.shape[1]), dtype=s.dtype)
    return ClosedForm.factor(s, lam=lam, scale=weight), g.mean(dim=1)


OBJECTIVES = {"p1": minimise_p1, "p2": minimise_p2}
