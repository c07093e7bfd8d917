"""The method of a result: what a fit has cost, and which fields are written."""

import pytest
from helpers.report import a_result

from evenhand.bench.results.method_card import passes_of_image


def with_cost(**cost):
    result = a_result("mist")
    protocol = {"steps": 8, "guidance": 2.5}
    return result.model_copy(
        update={
            "spec": result.spec.model_copy(update={"protocol": protocol}),
            "cost": result.cost.model_copy(update={"fit_images": 0, "fit_evaluations": 0} | cost),
        }
    )


def test_the_passes_of_a_fit_are_those_of_its_images_and_of_its_training():
    assert with_cost(fit_images=10, fit_evaluations=5).fit_passes == 10 * 16 + 5
    assert passes_of_image(8, 1.0) == 8, "without classifier-free guidance"


def test_the_passes_of_a_training_count_as_images_rounded_up():
    assert with_cost(fit_images=10, fit_evaluations=17).images_to_fit == 12
    assert with_cost(fit_images=10).images_to_fit == 10


@pytest.mark.parametrize(("branches", "passes"), [(0, 1.0), (1, 1.5), (2, 2.0), (None, None)])
def test_every_branch_adds_half_the_passes_of_the_baseline(branches, passes):
    assert with_cost(branches=branches).cost.relative_passes == passes


def test_fields_added_later_are_written_only_where_they_say_something():
    card, cost = a_result("mist").spec.method, a_result("mist").cost
    assert {"fit", "fit_of", "other_fits", "track", "share_trained", "search"} & set(
        card.model_dump()
    ) == set()
    assert "branches" not in cost.model_dump()
    second = card.model_copy(update={"fit": 2, "fit_of": "mist", "share_trained": 0.0})
    assert type(card).model_validate(second.model_dump()) == second
    assert cost.model_copy(update={"branches": 0}).model_dump()["branches"] == 0
