"""MIST and UCE on real images: one attribute, joint cells, one model for all concepts or one each."""

import numpy as np
import pytest
from helpers.paths import TINY

from evenhand.bench import evaluate
from evenhand.bench.suites.suite import Suite, read_suite

pytestmark = pytest.mark.slow

TONE = {"light": "light-skinned", "medium": "medium-skinned", "dark": "dark-skinned"}
AGE = {"adult": "young", "older": "elderly"}


def suite(balance, **mist) -> Suite:
    """The tiny suite on gender, tone and age, balancing some of them."""
    data = read_suite(TINY).model_dump(mode="json")
    words = {"tone": TONE, "age": AGE}
    for name, groups in words.items():
        data["attributes"][name] = {"groups": {group: {"adjective": word} for group, word in groups.items()}}
    names = tuple(data["attributes"])
    data |= {"balance": balance, "report": [[name] for name in names] + [list(names)], "primary": list(names)}
    data["methods"]["mist"] |= mist
    return Suite.model_validate(data)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Joint cells, with a second MIST of one model per concept."""
    out = tmp_path_factory.mktemp("joint") / "run"
    joint = suite(("gender", "tone", "age"), images=6, rounds=2)
    return evaluate(joint, methods=["mist", "mist:scope=per-concept"], out=out), out


def by_label(run):
    return {result.spec.method.label: result for result in run.results}


def test_joint_cells_are_one_flat_list_in_the_order_of_the_groups(run):
    result = by_label(run[0])["mist"]
    assert len(result.spec.target) == 12
    assert list(result.spec.target)[:2] == ["woman*light*adult", "woman*light*older"]
    assert np.isclose(sum(result.spec.target.values()), 1)
    assert [len(source["ratios"][0]) for source in result.cost.record["sources"]] == [12, 12]


def test_the_cost_counts_every_image_of_the_loop(run):
    cost = by_label(run[0])["mist"].cost
    assert cost.fit_images == cost.fit_judgements == 2 * 6 * 2
    assert cost.intervention_bytes == 516_096 * 4


def test_per_concept_fitting_gives_a_separate_model_per_concept(run):
    results, out = run
    folder = next((out / "interventions").glob("mist_scope*"))
    assert (folder / "intervention.safetensors").stat().st_size > 2 * 516_096 * 4
    assert by_label(results)["mist:scope=per-concept"].cost.intervention_bytes == 2 * 516_096 * 4


def test_an_edit_changes_the_images_of_the_edited_concepts(run):
    import pandas as pd

    table = pd.read_parquet(run[1] / "tables" / "images.parquet")
    keys = {label: set(rows["key"]) for label, rows in table.groupby("method")}
    assert not keys["base"] & keys["mist"]
    assert not keys["mist"] & keys["mist:scope=per-concept"]


def test_a_steering_judge_is_never_part_of_the_panel(run):
    result = by_label(run[0])["mist"]
    roles = {judge.name: judge.role for judge in result.spec.judges}
    assert result.spec.method.steering_judge == "clip-xs"
    assert roles["clip-xs"] == "steering"
    assert {judge for row in result.agreement for judge in row.judges.split("*")} <= set(roles)


def test_mist_moves_gender_towards_balance(tmp_path):
    """Sixteen images are too few for an estimate, but enough for a direction."""
    steered = suite(("gender",), images=12, rounds=3, step_size=0.3)
    data = steered.model_dump(mode="json")
    data["protocol"] |= {"steps": 6, "width": 64, "height": 64, "version": "t"}
    data["prompts"][0] |= {"seeds": 16, "templates": ["portrait"]}
    run = evaluate(Suite.model_validate(data), methods=["mist"], out=tmp_path / "run")
    ratio = {
        label: result.estimate("deviation_ratio", attributes="gender").value
        for label, result in by_label(run).items()
    }
    assert ratio["mist"] < ratio["base"] - 0.2
