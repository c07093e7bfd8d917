"""A suite may aim at labour statistics or at a user's own shares: methods and measurement follow."""

import json
import tomllib
from dataclasses import replace

import numpy as np
import pytest
from helpers.methods import GENDER, Studio, counts, make_task
from helpers.metrics import CELLS, TAXONOMY, World, pick
from helpers.paths import ROOT, TINY
from helpers.targets import HEADER, NURSES, aiming_at, table

from evenhand.bench import evaluate
from evenhand.bench.errors import EvenhandError
from evenhand.bench.stages import write
from evenhand.bench.suites.evaluation_config import EvaluationConfig
from evenhand.bench.suites.suite import Suite, load_suite, read_suite
from evenhand.bench.suites.targets import labour_table
from evenhand.bench.suites.toml_text import to_toml
from evenhand.methods.weights.mist import Mist
from evenhand.metrics import representation as r
from evenhand.metrics.estimation.measure import MeasurePlan, measure
from evenhand.metrics.fairness.intersectional import worst_cell_share


def test_even_shares_are_the_default_and_do_not_change_the_digest():
    suite = load_suite("mini")
    assert suite.target == "uniform"
    shares = suite.target_shares(["nurse", "CEO"], suite.balanced)
    assert (shares == np.full((2, 12), 1 / 12)).all()
    published = ROOT / "reports" / "entries" / "base@mini-v1" / "entry.json"
    assert suite.digest() == json.loads(published.read_text())["result"]["spec"]["suite_digest"]


def test_the_digest_depends_on_the_shares_and_not_on_their_source(tmp_path):
    plain, labour = load_suite("mini"), aiming_at("labour")
    own = aiming_at(table(tmp_path, NURSES))
    moved = aiming_at(table(tmp_path, "# my source\n" + NURSES, "elsewhere.csv"))
    other = aiming_at(table(tmp_path, NURSES.replace("0.7", "0.8").replace("0.3", "0.2"), "other.csv"))
    assert len({suite.digest() for suite in (plain, labour, own, other)}) == 4
    assert own.digest() == moved.digest()


def test_a_run_stores_the_shares_and_not_the_path(tmp_path):
    path = table(tmp_path, NURSES)
    suite = aiming_at(path)
    written = tmp_path / "suite.toml"
    written.write_text(to_toml(suite.model_dump(mode="json")), encoding="utf-8")
    assert tomllib.loads(written.read_text())["target"]["nurse"] == {"gender": {"woman": 0.7, "man": 0.3}}
    table(tmp_path, HEADER)  # the file has no rows any more; the run keeps the shares
    assert read_suite(written).digest() == suite.digest()


def test_an_error_in_a_suite_file_names_the_file(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(to_toml(load_suite("mini").model_dump() | {"target": "nowhere.csv"}), encoding="utf-8")
    with pytest.raises(EvenhandError, match=r"own\.toml: target must be .*, got 'nowhere\.csv'"):
        read_suite(path)


@pytest.mark.parametrize("stopping", ["released", "sequential"])
def test_mist_moves_towards_seventy_thirty_and_stops_there(stopping):
    prompt = "a headshot of a person of a nurse"
    script = [counts(500, 500), counts(600, 400), counts(700, 300)]
    studio = Studio({prompt: script})
    task = make_task(studio, target=(0.7, 0.3))
    method = Mist(stopping=stopping, images=1000, batch=1000, tolerance=0.08)
    (row,) = method.fit(task).record["sources"]
    assert row["converged"] and row["edits"] == 2
    np.testing.assert_allclose(row["gaps"], [0.2, 0.1, 0.0], atol=1e-12)
    # with the uniform target, even shares are not edited
    (row,) = method.fit(make_task(Studio({prompt: script}))).record["sources"]
    assert row["converged"] and row["edits"] == 0


def test_mist_edits_in_opposite_directions_for_opposite_targets():
    prompt = {c: f"a headshot of a person of a {c}" for c in ("nurse", "CEO")}
    studio = Studio({text: [counts(50, 50)] for text in prompt.values()})
    task = make_task(studio, concepts=tuple(prompt), cells=GENDER)
    task = replace(task, target=np.array([[0.9, 0.1], [0.3, 0.7]]))
    rows = Mist(rounds=1).fit(task).record["sources"]
    np.testing.assert_allclose([row["gaps"][0] for row in rows], [0.4, 0.2])


def stated(suite, concepts):
    """The target as stated by a result."""
    return write._target(EvaluationConfig.of(suite), concepts=concepts, balanced=suite.balanced)


def test_the_result_states_the_target_of_every_concept(tmp_path):
    concepts = ("nurse", "CEO")
    even = stated(load_suite("mini"), concepts)
    assert even["target_name"] == "uniform" and even["targets"] == {}
    assert list(even["target"].values()) == [pytest.approx(1 / 12)] * 12
    own = stated(aiming_at(table(tmp_path, NURSES), "mini-quick"), concepts)
    assert own["target_name"] == "table"
    assert own["targets"] == {
        "nurse": {"woman": pytest.approx(0.7), "man": pytest.approx(0.3)},
        "CEO": {"woman": pytest.approx(0.4), "man": pytest.approx(0.6)},
    }
    assert own["target"] == {"woman": pytest.approx(0.55), "man": pytest.approx(0.45)}
    same = stated(aiming_at(table(tmp_path, NURSES), "mini-quick"), ("CEO", "cook"))
    assert same["targets"] == {} and same["target"]["woman"] == pytest.approx(0.4)


def measured(world, target):
    plan = MeasurePlan(
        attributes=TAXONOMY, panel=("a",), target=target, draws=200, joints=(("gender", "tone"),)
    )
    return measure(world.images(), world.labels("a"), plan=plan).estimates


def lopsided():
    """Two jobs: women have a share of 0.8 in the first and 0.2 in the second, tones are even."""
    world = World()
    shares = [[w / 3] * 3 + [(1 - w) / 3] * 3 for w in (0.8, 0.2)]
    for method in ("base", "m"):
        world.neutral(method, shares, templates=4, seeds=60)
        world.draw(method, "person", prompt_id="p", concept="person", cells=world.rng.integers(0, CELLS, 60))
    return world


def test_deviations_are_measured_from_the_target_of_each_concept():
    world = lopsided()
    target = {"gender": {"job00": [0.8, 0.2], "job01": [0.2, 0.8]}}
    own, even = (measured(world, each)["m"] for each in (target, {}))
    for metric in ("delta_tv", "rms_delta", "squared_deviation"):
        of = [
            pick(rows, metric=metric, attributes="gender", kind="neutral", concept="") for rows in (own, even)
        ]
        near, far = (next(row for row in rows if row.judge == "panel").value for rows in of)
        assert abs(near) < 0.1 < far
    # computed directly from the shares in the tables
    for concept, q in target["gender"].items():
        shares = {
            row.group: row.value
            for row in pick(
                own, metric="share", attributes="gender", kind="neutral", concept=concept, judge="panel"
            )
        }
        p = np.array([shares["woman"], shares["man"]])
        (row,) = pick(
            own, metric="delta_tv", attributes="gender", kind="neutral", concept=concept, judge="panel"
        )
        assert row.value == pytest.approx(0.5 * np.abs(p - q).sum() / (1 - min(q)))
        (row,) = pick(
            own, metric="worst_cell", attributes="gender", kind="neutral", concept=concept, judge="panel"
        )
        assert row.value == pytest.approx((p / q).min())
        # the noise floor is that of the target's shares: smaller for an uneven target than for an even one
        n, k = 240, 20_000
        draws = np.random.default_rng(0).multinomial(n, q, size=k) / n
        assert pick(
            own, metric="delta_tv", attributes="gender", kind="neutral", concept=concept, judge="panel"
        )[0].floor == pytest.approx(r.delta_tv(draws, np.array(q)).mean(), rel=0.1)


def test_prompts_without_an_occupation_have_even_targets():
    world = lopsided()
    target = {"gender": {"job00": [0.8, 0.2], "job01": [0.2, 0.8]}}
    person = [
        pick(measured(world, each)["m"], metric="delta_tv", attributes="gender", kind="person", judge="panel")
        for each in (target, {})
    ]
    assert repr(person[0]) == repr(person[1]) and person[0]


def test_one_target_for_all_equals_the_same_target_for_each():
    world = lopsided()
    shares = [0.6, 0.4]
    once, each = (
        measured(world, {"gender": given})["m"] for given in (shares, {"job00": shares, "job01": shares})
    )
    neutral = [pick(rows, kind="neutral") for rows in (once, each)]
    assert repr(neutral[0]) == repr(neutral[1])


def test_a_concept_without_a_target_is_an_error():
    with pytest.raises(EvenhandError, match=r"target of gender has no shares for concept 'job01'; give 2"):
        measured(lopsided(), {"gender": {"job00": [0.8, 0.2]}})


def test_row_targets_equal_the_same_function_row_by_row():
    rng = np.random.default_rng(0)
    shares, targets = rng.dirichlet(np.ones(4), size=(7, 3)), rng.dirichlet(np.ones(4), size=3)
    targets[1] = [0, 0.5, 0.25, 0.25]
    noise = rng.random((7, 3)) / 50
    functions = [
        r.deviation_ratio,
        r.worst_deviation,
        r.total_variation,
        r.delta_tv,
        r.fd_l2,
        r.js_divergence,
    ]
    for function in [*functions, r.kl_divergence, worst_cell_share]:
        together = function(shares, targets)
        apart = [function(shares[:, row], targets[row]) for row in range(3)]
        np.testing.assert_allclose(together, np.stack(apart, axis=1), equal_nan=True)
    squared = r.squared_deviation(shares, targets, noise)
    wanted = [r.squared_deviation(shares[:, k], targets[k], noise[:, k]) for k in range(3)]
    np.testing.assert_allclose(squared, np.stack(wanted, axis=1))
    tops = [float(r.largest_squared_distance(target)) for target in targets]
    np.testing.assert_allclose(r.largest_squared_distance(targets), tops)
    means = np.mean(np.stack(wanted, axis=1) / tops, axis=1)
    np.testing.assert_allclose(r.rms_delta(squared, targets), np.sqrt(np.maximum(means, 0)))


@pytest.mark.slow
def test_a_run_fits_measures_and_reports_towards_labour_shares(tmp_path):
    data = read_suite(TINY).model_dump() | {"target": "labour"}
    out = tmp_path / "run"
    run = evaluate(Suite.model_validate(data), methods=["mist:rounds=1,images=4"], out=out)
    for result in run.results:
        assert result.spec.target_name == "labour"
        concepts = result.spec.concepts
        women = [result.spec.targets[concept]["woman"] for concept in concepts]
        assert women == [labour_table()[concept]["gender"]["woman"] for concept in concepts]
        for concept, share in zip(concepts, women, strict=True):
            shown = result.estimate("share", attributes="gender", concept=concept, group="woman").value
            wanted = abs(shown - share) / max(share, 1 - share)
            assert result.estimate("delta_tv", attributes="gender", concept=concept).value == pytest.approx(
                wanted
            )
    fitted = next(result for result in run.results if result.spec.method.label != "base")
    for row in fitted.cost.record["sources"]:
        share = labour_table()[row["concept"]]["gender"]["woman"]
        assert row["gaps"][0] == pytest.approx(abs(row["ratios"][0][0] - share))
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "the share of women in each occupation in the United States, 2022" in page


@pytest.mark.slow
def test_a_model_has_zero_distance_from_its_own_shares(tmp_path):
    data = read_suite(TINY).model_dump()
    (base,) = evaluate(Suite.model_validate(data), methods=["base"], out=tmp_path / "even").results
    path = tmp_path / "even" / "results" / "base.json"
    own = Suite.model_validate(data | {"target": str(path)})
    (again,) = evaluate(own, methods=["base"], out=tmp_path / "own").results
    corrected = base.estimate(
        "share", attributes="gender", corrected=True, concept=base.spec.concepts[0], group="woman"
    )
    keys = {"attributes": "gender", "corrected": corrected is not None}
    assert base.estimate("delta_tv", **keys).value > 0.01
    assert again.estimate("delta_tv", **keys).value == pytest.approx(0, abs=1e-8)
