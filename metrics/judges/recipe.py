"""Judges with parameters: a recipe is validated and described before any weights are loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from evenhand.metrics import taxonomies
from evenhand.metrics.judges.base import Judge, JudgeInfo
from evenhand.metrics.vision.weight_source import WeightSource
from evenhand.metrics.vision.weights import HUB_FILES


class RecipeCard(BaseModel):
    """The description of a recipe's judges, available before their weights are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    summary: str
    family: str
    """Judges that share training data belong to one family; a family has one vote."""
    attributes: tuple[str, ...]
    """Attributes that the judges may know; the parameters can determine which ones a judge knows."""
    licence: str
    origin: str

    def info(self, *, name: str, version: str, attributes: Sequence[str] | None = None) -> JudgeInfo:
        """The card of a judge of this recipe.

        Args:
            name: The judge's name.
            version: Its version.
            attributes: The attributes that it knows; all of the recipe's if ``None``.
        """
        known = self.attributes if attributes is None else attributes
        return JudgeInfo(
            name=name,
            version=version,
            title=self.title,
            summary=self.summary,
            family=self.family,
            taxonomies={attribute: taxonomies.groups(attribute) for attribute in known},
            licence=self.licence,
            origin=self.origin,
        )


class JudgeRecipe(BaseModel, ABC):
    """The parameters of a judge, as pydantic fields, and the construction of the judge from them."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    card: ClassVar[RecipeCard]

    @abstractmethod
    def make(self, name: str) -> Judge:
        """The judge, called ``name``.

        Raises:
            EvenhandError: The weights or a required package are missing.
        """

    def sources(self) -> tuple[WeightSource, ...]:
        """The weights that the judge needs, and where they come from; none if it has no weights."""
        return ()


def hub_weights(name: str, *, title: str, files: tuple[str, ...] = HUB_FILES) -> WeightSource:
    """The source of weights that ``name`` gives as a folder or hub id."""
    if Path(name).is_dir():
        return WeightSource(title, place=Path(name), address=name)
    return WeightSource(title, repository=name, files=files)
