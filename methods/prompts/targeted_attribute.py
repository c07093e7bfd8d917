"""Targeted attribute prompt: inserts drawn groups for the attributes that a prompt leaves open.

FairT2I (arXiv 2502.03826) writes the score of a prompt ``y`` as a mixture over a latent attribute ``z``,

    grad log p(x | y) = sum_z p(z | x, y) grad log p(x | z, y),

replaces the model's own distribution of ``z`` by a chosen one, draws ``z ~ p*(z)``, and generates with ``z``
written into the prompt. Here ``z`` is a joint cell, ``p*`` is the target's row of the concept, and the groups
``s`` that a prompt already states condition the draw:

    z ~ p*(z | s),    p*(z | s) proportional to p*(z) [z agrees with s]

Only the attributes that the prompt does not state are inserted: "a female nurse" may become "an elderly
dark-skinned female nurse", with tone and age drawn from the target among women, and "an elderly dark-skinned
female nurse" stays unchanged. If ``p*`` gives the stated groups no weight, they stay and the rest is drawn
from ``p*`` as if nothing were stated.

FairT2I has a language model propose the attributes; here they are those of the suite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from evenhand.methods.base import Intervention, Method, MethodInfo, Task
from evenhand.methods.shared.completion import CompletingIntervention, completion_data
from evenhand.methods.shared.stated_groups import SYNONYMS


@dataclass(frozen=True, eq=False)
class TargetedAttributePromptIntervention(CompletingIntervention):
    """Completes prompts with cells drawn from the target, ``data["target"]``."""


class TargetedAttributePrompt(Method):
    """Completes every prompt that mentions a concept with the attributes it leaves open.

    Attributes:
        synonyms: Group to words that state it in a prompt, in addition to the words of the cells.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="targeted-attribute-prompt",
        version="1.0",
        title="Targeted attribute prompt",
        summary="Inserts a drawn group for each attribute that the prompt leaves open.",
        paper="https://arxiv.org/abs/2502.03826",
        licence="Apache-2.0",
        origin="FairT2I; implemented from the paper's formula",
        family="prompt",
        ours=True,
        architectures=("any",),
        attributes="any that words can express, alone or as joint cells",
    )
    intervention_type: ClassVar[type[Intervention]] = TargetedAttributePromptIntervention

    synonyms: dict[str, tuple[str, ...]] = Field(default=SYNONYMS)

    def fit(self, task: Task) -> Intervention:
        """Store the words and the target; no image is generated or judged."""
        target = dict(zip(task.concepts, task.target.tolist(), strict=True))
        return TargetedAttributePromptIntervention(
            data={"target": target, **completion_data(task, self.synonyms)}
        )
