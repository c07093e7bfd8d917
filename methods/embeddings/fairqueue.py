"""FairQueue: ITI-GEN whose tokens act after the first steps only, with amplified attention.

Teo, Abdollahzadeh, Ma, Cheung: "FairQueue: Rethinking Prompt Learning for Fair Text-to-Image Generation",
NeurIPS 2024. Learned tokens distort the cross-attention of the early denoising steps, which determine the
layout of an image, and so reduce its quality. The original prompt is therefore used for the first steps
(prompt queuing), and the attention to the learned tokens is multiplied afterwards (attention amplification).
The training is that of :class:`ItiGen`; :mod:`evenhand.methods.embeddings._learned_tokens` has the formulas.

Defaults of the released script (Bearwithchris/FairQueue_Code): 50 steps, transition at step 40, factor 10 on
token 9 of "a headshot of a person", whose learned tokens are 6 to 8. The sampler that counts steps and tokens
was not released. If steps are counted downwards, as in the samplers of Stable Diffusion, the queue is the
first 10 of 50 steps, the "early" steps of the paper. If tokens are counted from 0, token 9 is the row at the
end of the learned tokens (``amplified="end"``); the paper speaks of the learned tokens, the default here.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from evenhand.methods.base import MethodInfo
from evenhand.methods.embeddings.iti_gen import ItiGen
from evenhand.methods.space import Choice, Range, Space


class FairQueue(ItiGen):
    """FairQueue; the parameters shared with ITI-GEN are those of :class:`ItiGen`."""

    info: ClassVar[MethodInfo] = MethodInfo(
        name="fairqueue",
        version="1.0",
        title="FairQueue",
        summary="ITI-GEN's learned tokens, used after the first steps only, with amplified attention.",
        paper="https://sutd-visual-computing-group.github.io/FairQueue",
        licence="Apache-2.0",
        origin="Bearwithchris/FairQueue_Code, released without a licence; reconstructed from its description",
        family="embedding",
        architectures=("sd1",),
        attributes="any that images show and CLIP represents, alone or as joint cells",
    )

    queue: float = Field(default=0.2, ge=0, le=1)
    amplify: float = Field(default=10.0, ge=0)

    @classmethod
    def space(cls) -> Space:
        """The training of the tokens and its images, when they act, and where and how strongly."""
        trained = ("learning_rate", "epochs", "images")
        return {name: values for name, values in super().space().items() if name in trained} | {
            "queue": Range(low=0.0, high=0.6),
            "amplify": Range(low=1.0, high=12.0, log=True),
            "amplified": Choice(("tokens", "end")),
        }
