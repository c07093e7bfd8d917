"""A suite may aim at labour statistics or at a user's own shares: methods and measurement follow."""

import json
import tomllib
from dataclasses import replace

import numpy as np
import pytest
from helpers.methods import GENDER, Studio, counts, make_task
from helpers.metrics import CELLS, TAXONOMY, World, pick
from helpers.paths import ROOT, TINY
from helpers.report import a_result, an_estimate

from evenhand.bench import evaluate
from evenhand.bench.errors import EvenhandError
from evenhand.bench.stages import write
from evenhand.bench.suites.evaluation_config import EvaluationConfig
from evenhand.bench.suites.suite import Suite, load_suite, read_suite, to_toml
from evenhand.bench.suites.targets import labour_table
from evenhand.methods.weights.mist import Mist
from evenhand.metrics import representation as r
from evenhand.metrics.estimation.measure import MeasurePlan, measure
from evenhand.metrics.fairness.intersectional import worst_cell_share

HEADER = "concept,attribute,group,share\n"
NURSES = HEADER + "nurse,gender,woman,0.7\nnurse,gender,man,0.3\n*,gender,woman,0.4\n*,gender,man,0.6\n"


def table(tmp_path, text, name="target.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def aiming_at(target, suite="mini"):
    data = load_suite(suite).model_dump()
    return Suite.model_validate(data | {"target": target})


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


def test_labour_shares_match_the_published_table():
    shares = {concept: attributes["gender"]["woman"] for concept, attributes in labour_table().items()}
    assert len(shares) == 41
    published = {
        "nurse": 0.879,
        "CEO": 0.292,
        "carpenter": 0.035,
        "construction worker": 0.049,
        "editor": 0.66,
    }
    assert {name: shares[name] for name in published} == published
    # the occupation titles match these only loosely, so the value from WinoBias is used
    assert [shares[name] for name in ("attendant", "assistant", "supervisor")] == [0.76, 0.85, 0.44]
    assert all(
        sum(attributes["gender"].values()) == pytest.approx(1) for attributes in labour_table().values()
    )


def test_other_attributes_are_even_and_independent():
    suite = aiming_at("labour")
    (row,) = suite.target_shares(["nurse"], ("gender", "tone", "age"))
    expected = [w / 6 for w in (0.879, 0.121) for _ in range(6)]
    np.testing.assert_allclose(row, expected)
    assert [cell.groups["gender"] for cell in suite.cells()] == ["woman"] * 6 + ["man"] * 6
    # in the requested order
    (row,) = suite.target_shares(["CEO"], ("tone", "gender"))
    np.testing.assert_allclose(row, [0.292 / 3, 0.708 / 3] * 3)


def test_a_user_table_sets_single_concepts_or_all_others(tmp_path):
    suite = aiming_at(table(tmp_path, NURSES))
    shares = suite.target_shares(["nurse", "CEO"], ("gender",))
    np.testing.assert_allclose(shares, [[0.7, 0.3], [0.4, 0.6]])
    assert (suite.target_shares(["CEO"], ("age",)) == [[0.5, 0.5]]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "concept,group,share\n",
            r":1: column 'attribute' is missing in the header; it needs concept,attribute,group,share",
        ),
        (HEADER, r":2: no rows after the header; add one"),
        (HEADER + "nurse,gender,woman\n", r":2: expected 4 columns as in the header, got 3"),
        (HEADER + "nurse,gender,woman,most\n", r":2: share must be a number, got 'most'; write 0\.25"),
        (NURSES + "nurse,gender,man,0.3\n", r":6: duplicate share of 'man' for 'nurse'"),
        (HEADER + "nurse,gender,woman,1\n", r"target of 'nurse' lacks the share of gender 'man'; add it"),
        (
            NURSES.replace("0.7", "0.8"),
            r"shares of gender in the target of 'nurse' must be .*, got \[0\.8, 0\.3\]",
        ),
        (NURSES.replace("0.7", "nan"), r"shares of gender in the target of 'nurse' must be"),
        (
            HEADER + "nurse,gender,woman,-1\nnurse,gender,man,2\n",
            r"non-negative and sum to 1, got \[-1\.0, 2\.0\]",
        ),
        (
            NURSES.replace("gender", "gendr"),
            r"unknown attribute of the target of 'nurse' 'gendr'; did you mean 'gender'",
        ),
        (NURSES.replace("woman", "women"), r"unknown group of the target of 'nurse' 'women'; did you mean"),
    ],
)
def test_an_invalid_table_is_an_error_with_its_line(tmp_path, text, message):
    with pytest.raises(EvenhandError, match=message):
        aiming_at(table(tmp_path, text))


def test_a_missing_concept_and_a_missing_file_are_errors(tmp_path):
    suite = aiming_at(table(tmp_path, "".join(NURSES.splitlines(keepends=True)[:3])))
    with pytest.raises(EvenhandError, match=r"no shares of gender for 'CEO'; add rows for it or for '\*'"):
        suite.target_shares(["nurse", "CEO"], ("gender",))
    with pytest.raises(
        EvenhandError, match=r"target must be 'uniform', 'labour' or an existing file, got 'labor'"
    ):
        aiming_at("labor")
    with pytest.raises(EvenhandError, match=r"no shares of gender for 'astronaut'"):
        aiming_at("labour").target_shares(["astronaut"], ("gender",))


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


def drawn(tmp_path, women, *, corrected=None):
    """A result file whose baseline has these shares of women by occupation."""
    tables = {False: women} | ({} if corrected is None else {True: corrected})
    rows = [
        an_estimate(
            "share",
            share,
            attributes="gender",
            concept=concept,
            group=group,
            kind="neutral",
            judge="panel",
            corrected=truth,
        )
        for truth, table in tables.items()
        for concept, value in table.items()
        for group, share in (("woman", value), ("man", 1 - value))
    ]
    path = tmp_path / "base.json"
    path.write_text(a_result().model_copy(update={"estimates": rows}).to_json(), encoding="utf-8")
    return str(path)


def test_the_baseline_shares_can_be_the_target(tmp_path):
    seen, true = {"nurse": 0.8, "CEO": 0.125}, {"nurse": 0.9, "CEO": 0.0625}
    for corrected, wanted in ((None, seen), (true, true)):
        suite = aiming_at(drawn(tmp_path, seen, corrected=corrected))
        shares = suite.target_shares(["nurse", "CEO"], ("gender", "age"))
        np.testing.assert_allclose(shares[:, :2].sum(axis=1), list(wanted.values()))
        np.testing.assert_allclose(shares[:, 0], shares[:, 1])


def test_a_result_without_shares_cannot_be_a_target(tmp_path):
    with pytest.raises(
        EvenhandError, match=r"result of 'base' has no shares by concept; use the result of a run"
    ):
        aiming_at(drawn(tmp_path, {}))
    with pytest.raises(EvenhandError, match=r"no gender share of 'nurse'; use more images of this concept"):
        aiming_at(drawn(tmp_path, {"nurse": float("nan")}))
    (tmp_path / "own.json").write_text("{}", encoding="utf-8")
    with pytest.raises(EvenhandError, match=r"own\.json: schema version of the result must be 2, got None"):
        aiming_at(str(tmp_path / "own.json"))


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
