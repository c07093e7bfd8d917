r"""FairQueue: ITI-GEN whose tokens wait for the early steps to pass, and are attended to more afterwards.

Teo, Abdollahzadeh, Ma, Cheung: "FairQueue: Rethinking Prompt Learning for Fair Text-to-Image Generation",
NeurIPS 2024. Learned tokens distort the cross-attention of the early denoising steps, which lay out a
image, and so its quality. The plain prompt therefore steers the first steps (prompt queuing), and the
later attention that the learned tokens get is multiplied (attention amplification). Training is that of
:class:`ItiGen`.

Defaults of the released script: 50 steps, transition at step 40, factor 10 on one learned token. The
sampler that counts the steps was not released; a step counted downwards, as DDIM samplers do, makes the
queue the first 10 of 50 steps, the "early" steps of the paper. Here the factor acts on all learned tokens.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from evenhand.methods.base import MethodInfo
from evenhand.methods.embeddings.iti_gen import ItiGen


class FairQueue(ItiGen):
    """FairQueue; the parameters it shares with ITI-GEN are those of :class:`ItiGen`."""

    info: ClassVar[MethodInfo] = MethodInfo(
        name="fairqueue",
        version="1.0",
        title="FairQueue",
        summary="ITI-GEN's learned tokens, used after the first steps only and then attended to more.",
        paper="https://sutd-visual-computing-group.github.io/FairQueue",
        licence="Apache-2.0",
        origin="Bearwithchris/FairQueue_Code, released without a licence; reconstructed from its description",
        family="embedding",
        architectures=("sd1",),
        attributes="any that images show and CLIP sees, alone or as joint cells",
    )

    queue: float = Field(default=0.2, ge=0, le=1)
    amplify: float = Field(default=10.0, ge=0)
