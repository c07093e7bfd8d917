"""What the labels say about single images."""

import itertools

import numpy as np
import pandas as pd
import pytest

from evenhand.bench.policy.image_marks import changed, disobeyed
from evenhand.bench.results.image_facts import image_facts
from evenhand.bench.results.result import ImageRow

GROUPS = {"gender": ["woman", "man"], "tone": ["light", "dark"]}
NAMES = list(GROUPS)


def images(*rows):
    """Rows of method, kind, cell and seed."""
    columns = ["key", "method", "prompt_id", "kind", "cell", "seed_index"]
    table = [(f"k{i}", method, kind, kind, cell, seed) for i, (method, kind, cell, seed) in enumerate(rows)]
    return pd.DataFrame(table, columns=columns)


def labels(**answers):
    """Answers by judge: (number of the image, attribute, label); an empty label is undetermined."""
    rows = [
        (f"k{place}", judge.replace("_", "-"), attribute, label, "ok" if label else "low_confidence")
        for judge, found in answers.items()
        for place, attribute, label in found
    ]
    return pd.DataFrame(rows, columns=["key", "judge", "attribute", "label", "status"])


def facts(table, answers, **changes):
    given = {"attributes": NAMES, "voting": ["a", "b"], "base": "base"} | changes
    return image_facts(table, answers, **given)


def test_image_is_changed_where_the_panel_perceives_another_group_at_the_same_seed():
    table = images(
        ("base", "neutral", "", 0),
        ("base", "neutral", "", 1),
        ("m", "neutral", "", 0),
        ("m", "neutral", "", 1),
    )
    panel = [(0, "gender", "woman"), (1, "gender", "man"), (2, "gender", "man"), (3, "gender", "man")]
    assert list(facts(table, labels(panel=panel))["changed"]) == ["", "", "gender", ""]


@pytest.mark.parametrize(("before", "after"), [("", "man"), ("woman", "")])
def test_undetermined_label_is_no_change(before, after):
    table = images(("base", "neutral", "", 0), ("m", "neutral", "", 0))
    found = facts(table, labels(panel=[(0, "gender", before), (1, "gender", after)]))
    assert list(found["changed"]) == ["", ""]
    assert "undetermined" in set(found["perceived_gender"])


def test_nothing_is_changed_without_a_baseline_or_a_partner():
    panel = labels(panel=[(0, "gender", "woman"), (1, "gender", "man")])
    table = images(("base", "neutral", "", 0), ("m", "neutral", "", 0))
    assert list(facts(table, panel, base=None)["changed"]) == ["", ""]
    alone = images(("base", "neutral", "", 0), ("m", "neutral", "", 1))
    assert list(facts(alone, panel)["changed"]) == ["", ""]


def test_image_disobeys_an_explicit_prompt_and_no_other():
    table = images(
        ("m", "explicit", "gender=man;tone=dark", 0),
        ("m", "explicit", "gender=woman", 1),
        ("m", "over_correction", "gender=man", 0),
    )
    panel = [(0, "gender", "woman"), (0, "tone", "light"), (1, "gender", "woman"), (2, "gender", "woman")]
    assert list(facts(table, labels(panel=panel))["disobeyed"]) == ["gender;tone", "", ""]


def test_judges_disagree_where_two_with_a_vote_decide_differently():
    table = images(*(("m", "neutral", "", seed) for seed in range(3)))
    answers = labels(
        a=[(0, "gender", "woman"), (1, "gender", "woman"), (2, "gender", "woman")],
        b=[(0, "gender", "man"), (1, "gender", ""), (2, "gender", "woman")],
        steering=[(2, "gender", "man")],
    )
    assert list(facts(table, answers)["disagreed"]) == ["gender", "", ""]


def test_unlabelled_image_has_no_label_and_no_fact():
    found = facts(images(("base", "unrelated", "", 0)), labels()).iloc[0]
    assert found[["perceived_gender", "changed", "disobeyed", "disagreed"]].tolist() == [""] * 4


def test_facts_agree_with_the_marks_of_the_report():
    rng = np.random.default_rng(5)
    cells = ["gender=man", "tone=dark;gender=woman", ""]
    rows = list(itertools.product(["base", "m"], ["explicit", "neutral"], cells, range(12)))
    table = images(*((method, kind, cell, seed) for method, kind, cell, seed in rows))
    table["prompt_id"] = table["kind"] + table["cell"]
    shown = [{name: str(rng.choice([*groups, ""])) for name, groups in GROUPS.items()} for _ in rows]
    answers = labels(panel=[(i, name, label) for i, cell in enumerate(shown) for name, label in cell.items()])
    found = facts(table, answers)
    as_rows = [
        ImageRow(
            path="", method=m, prompt="", concept="", kind=kind, seed_index=seed, cell=cell,
            labels={name: label or "undetermined" for name, label in labelled.items()},
        )
        for (m, kind, cell, seed), labelled in zip(rows, shown, strict=True)
    ]  # fmt: skip
    half = len(rows) // 2
    for place, row in enumerate(as_rows):
        assert set(filter(None, found["disobeyed"][place].split(";"))) == set(disobeyed(row))
        assert set(filter(None, found["changed"][place].split(";"))) == set(
            changed(row, as_rows[place % half])
        )
    assert (found["changed"] != "").any() and (found["disobeyed"] != "").any()
