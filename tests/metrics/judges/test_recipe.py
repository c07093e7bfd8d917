"""Recipes of judges: parameters are checked before any weights are loaded."""

from typing import ClassVar

import pytest
from pydantic import ValidationError

from evenhand.metrics.judges.recipe import JudgeRecipe, RecipeCard

CARD = {
    "title": "Test",
    "summary": "a test",
    "family": "test",
    "attributes": ("gender",),
    "licence": "Apache-2.0",
    "origin": "test",
}


class Recipe(JudgeRecipe):
    """A recipe with one parameter."""

    card: ClassVar[RecipeCard] = RecipeCard(**CARD)
    model_path: str = "weights"

    def make(self, name):
        return name, self.model_path


def test_a_recipe_is_built_from_its_parameters_and_names_its_judge():
    assert Recipe(model_path="mine").make("judge") == ("judge", "mine")
    assert Recipe.card.attributes == ("gender",)


def test_a_misspelt_parameter_is_an_error():
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Recipe(model_pth="mine")


def test_recipes_and_cards_do_not_change():
    for thing, field in ((Recipe(), "model_path"), (Recipe.card, "family")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(thing, field, "other")


def test_a_recipe_without_make_cannot_be_built():
    class Unfinished(JudgeRecipe):
        card: ClassVar[RecipeCard] = RecipeCard(**CARD)

    with pytest.raises(TypeError, match=r"abstract method '?make"):
        Unfinished()
