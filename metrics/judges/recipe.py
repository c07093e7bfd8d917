"""Judges with parameters: a recipe is checked and described before any weights are touched."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from evenhand.metrics.judges.base import Judge


class RecipeCard(BaseModel):
    """What is known of a recipe's judges before their weights are there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    summary: str
    family: str
    """Judges that share training data share a family; one family has one vote."""
    attributes: tuple[str, ...]
    """Attributes that the judges may know; which ones a judge knows can depend on its parameters."""
    licence: str
    origin: str


class JudgeRecipe(BaseModel, ABC):
    """The parameters of a judge, as its pydantic fields, and how the judge is made from them."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    card: ClassVar[RecipeCard]

    @abstractmethod
    def make(self, name: str) -> Judge:
        """The judge, called ``name``.

        Raises:
            EvenhandError: Its weights or a package that it needs are missing.
        """
