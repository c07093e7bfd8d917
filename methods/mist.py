"""MIST: intersectional bias removed by editing cross-attention at the end-of-text token alone.

Yesiltepe, Akdemir, Yanardag: "MIST: Mitigating Intersectional Bias with Disentangled Cross-Attention
Editing in Text-to-Image Diffusion Models", arXiv 2403.19738. This is the algorithm of the released code,
written from its description. The text encoder is causal, so the end-of-text (EOS) state sums up a whole
prompt while the states before it keep their own meaning. Let ``e(p)`` be the state at the *first* EOS of
prompt ``p``. In every round, with the measured share ``r_j`` of each of the ``K`` cells and its target
``pi_j`` (released: ``1/K``),

    alpha_j = 0.1 (pi_j - r_j)                    all zero where max_j |pi_j - r_j| <= tolerance

and for every K and V projection ``W`` of the U-Net's cross-attention, with ``c = e(source)``,

    v_0 = W c,    g_j = W e(guidance_j),    v_j = v_(j-1) + alpha_j ||v_(j-1)|| g_j / ||g_j||
    M   = lam I + c c^T + mu sum_p p p^T          over all rows p of the preserved texts
    W  <- W + (v_K - W c) (M^-1 c)^T

A rank-one update: ``M^-1 c`` is the same for all projections and, while the preserved texts do not grow,
for all rounds, so the whole edit of a concept has rank one in each projection. ``W`` is the current
projection, so edits add up over the rounds and the alphas do not. The cells are one flat list of ``K``
classes.

As released, ``r`` counts the class with the highest probability in each of 100 pictures of a *headshot*
prompt while the plain source text is edited (a tie counts for every tied class); a concept whose first
alpha is exactly zero joins the preserved texts before the edit, for good, and stays in the sum of edits;
the loop ends when the largest gap is below the tolerance or after 150 rounds, the last edit then
unmeasured.

The release edits one model per concept (``scope="per-concept"``; its own handling of several concepts is
faulty). With ``scope="joint"`` one model holds all concepts, which the release leaves open. Then each
concept keeps its own shares, alphas and convergence, all concepts are solved in one closed form, whose
targets all come from the projections at the start of the round, and the loop ends in the first round that
finds every concept within the tolerance. An edit for one concept can unsettle another; with
``remeasure=True``, as released, a converged concept is measured again and takes up its edits where that
happens, while it stays preserved. With ``remeasure=False`` it keeps its last shares, which saves pictures.
The release draws 5 random seeds with batches of 20; here each of the 100 pictures has its own seed, fresh
in every round and common to the concepts of the round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints
from torch import Tensor

from evenhand.methods.base import MethodInfo, Task
from evenhand.methods.directional import DirectionalEdit
from evenhand.methods.phrases import fill
from evenhand.methods.ratio_loop import RatioLoop, Template, encode
from evenhand.methods.tracks import Source


class Mist(RatioLoop):
    """MIST as released; the parameters it shares with UCE are those of :class:`RatioLoop`.

    Attributes:
        source: Template of the edited text, with ``{a}`` and ``{concept}``.
        measure: Template of the text whose pictures are judged, with ``{a}`` and ``{concept}``.
        guidance: Template of a cell's guidance text and judge label, with ``{noun}`` (the bare attributes, as
            released) or ``{a}``, ``{adjective}`` and ``{concept}`` (as in the paper's figure).
        preserve: Texts all of whose rows keep their outputs; released: the empty prompt.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="mist",
        version="1.0",
        title="MIST",
        summary="Moves a concept's end-of-text output towards under-represented cells until shares are met.",
        paper="https://arxiv.org/abs/2403.19738",
        licence="Apache-2.0",
        origin="yesiltepe-hidir/mist, released without a licence; written anew from the formulas",
        family="weights",
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any, alone or as joint cells, that the steering judge can tell apart by words",
    )

    source: Template = "a person of {a} {concept}"
    measure: Template = "a headshot of a person of {a} {concept}"
    guidance: Annotated[str, StringConstraints(pattern=r"\{(noun|adjective)\}")] = "{noun}"
    preserve: tuple[str, ...] = ("",)
    remeasure: bool = True
    mu: float = Field(default=0.2, ge=0)
    pictures: int = Field(default=100, ge=1)
    rounds: int = Field(default=150, ge=1)
    negative_prompt: str = "black and white, drawing, painting, unrealistic, low quality"

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
        edited = encode(task.model, [source.text for source in sources])
        guiding = encode(task.model, [text for source in sources for text in source.guidance])
        c = edited.at(edited.first_eos)
        g = guiding.at(guiding.first_eos).reshape(len(sources), len(task.cells), -1)
        return DirectionalEdit(
            self,
            task.model,
            weights,
            texts=[source.text for source in sources],
            rows=[row[None, :] for row in c],
            guidance=[rows[:, None, :] for rows in g],
            preserve=self.preserve,
        )
