"""FairQueue: ITI-GEN whose tokens act after the first steps only, with amplified attention.

Teo, Abdollahzadeh, Ma, Cheung: "FairQueue: Rethinking Prompt Learning for Fair Text-to-Image Generation",
NeurIPS 2024. Learned tokens distort the cross-attention of the early denoising steps, which determine the
layout of an image, and so reduce its quality. The original prompt is therefore used for the first steps
(prompt queuing), and the attention to the learned tokens is multiplied afterwards (attention amplification).
The training is that of :class:`ItiGen`; :mod:`evenhand.methods.embeddings._learned_tokens` has the formulas.

Defaults of the released script (Bearwithchris/FairQueue_Code): 50 steps, transition at step 40, factor 10 on
one learned token. The sampler that counts the steps was not released; if steps are counted downwards, as in
DDIM samplers, the queue is the first 10 of 50 steps, the "early" steps of the paper. Here the factor acts on
all learned tokens.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from evenhand.methods.base import MethodInfo
from evenhand.methods.embeddings.iti_gen import ItiGen


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
