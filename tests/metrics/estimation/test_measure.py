"""``measure`` from tables to estimates, with known true groups and known judge errors."""

import numpy as np
import pandas as pd
import pytest
from helpers.measurement import BIASED, FAIR, JOINT, estimates, judged, plan, rotations
from helpers.metrics import CELLS, TAXONOMY, World, one, pick, rows_of

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import catalog
from evenhand.metrics.correction.calibration import CONFUSION_COLUMNS, confusion_table
from evenhand.metrics.estimation.measure import measure
from evenhand.metrics.estimation.panel import vote


def distances(shares):
    target = np.full(shares.shape[1], 1 / shares.shape[1])
    top = 1 - target[0]
    return {
        "deviation_ratio": np.abs(shares - target).max(axis=1).mean() / top,
        "delta_tv": 0.5 * np.abs(shares - target).sum(axis=1).mean() / top,
        "rms_delta": np.sqrt(((shares - target) ** 2).sum(axis=1).mean() / top),
        "worst_cell": (shares / target).min(axis=1).mean(),
    }


@pytest.fixture(scope="module")
def exact():
    """Images in exactly the biased shares, so that plug-in values are known to the last digit."""
    world = World()
    for number, shares in enumerate(rotations(6)):
        cells = np.repeat(np.arange(CELLS), np.rint(100 * shares).astype(int))
        world.draw(
            "base", "neutral", prompt_id=f"n{number}", concept=f"job{number}", template="t", cells=cells
        )
    return estimates(world)


def test_plug_in_values_match_the_known_shares(exact):
    shares = rotations(6)
    for attributes, known in {
        "gender*tone": shares,
        "gender": shares.reshape(6, 2, 3).sum(axis=2),
        "tone": shares.reshape(6, 2, 3).sum(axis=1),
    }.items():
        for name, value in distances(known).items():
            if name != "rms_delta" and not (name == "worst_cell" and "*" in attributes):
                found = one(exact, metric=name, attributes=attributes, judge="panel", concept="")
                assert found.value == pytest.approx(value), (name, attributes)
                assert found.n == 600


def test_every_concept_has_its_own_row(exact):
    rows = pick(exact, metric="delta_tv", attributes="gender", judge="panel")
    assert [row.concept for row in rows] == ["", *(f"job{number}" for number in range(6))]
    assert [row.n for row in rows] == [600] + [100] * 6


def test_shares_of_groups_add_up(exact):
    rows = pick(exact, metric="share", attributes="gender*tone", judge="panel", concept="job0")
    assert [row.group for row in rows][:2] == ["woman*light", "woman*medium"]
    assert [row.value for row in rows] == pytest.approx(BIASED.tolist())


def test_entanglement_is_measured_on_joint_attributes_only(exact):
    assert {row.attributes for row in pick(exact, metric="total_correlation")} == {"gender*tone"}


def test_the_worst_cell_is_measured_on_single_attributes_only(exact):
    assert {row.attributes for row in pick(exact, metric="worst_cell")} == {"gender", "tone"}


def test_distances_that_noise_inflates_have_a_floor_and_no_interval(exact):
    rows = [row for row in exact if row.metric in ("deviation_ratio", "delta_tv", "worst_cell")]
    assert np.isfinite([[row.value, row.floor] for row in rows]).all()
    assert np.isnan([[row.low, row.high] for row in rows]).all()


def test_single_judges_have_aggregates_but_no_rows(exact):
    assert {row.judge for row in exact} == {"panel", "a", "b", ""}
    assert not [row for row in exact if row.judge == "a" and row.concept]


def test_a_fair_model_scores_its_floor():
    world = World(seed=1)
    world.neutral("base", np.tile(FAIR, (30, 1)), templates=1, seeds=40)
    rows = estimates(world)
    for name in ("delta_tv", "deviation_ratio", "total_correlation"):
        found = one(rows, metric=name, attributes="gender*tone", judge="panel", concept="")
        assert found.value == pytest.approx(found.floor, rel=0.1), name
    rms = one(rows, metric="rms_delta", attributes="gender*tone", judge="panel", concept="")
    assert rms.low <= 0.03 and rms.value < 0.1
    v = one(rows, metric="squared_deviation", attributes="gender*tone", judge="panel", concept="")
    assert v.low < 0 < v.high and abs(v.floor) < 0.001


@pytest.fixture(scope="module")
def noisy():
    """Two methods, judges with 15 % errors and 5 % abstentions, and 1,500 anchors."""
    world = World(seed=3)
    base = np.random.default_rng(0).dirichlet(np.full(CELLS, 0.7), size=30)
    better = 0.3 * base + 0.7 * FAIR
    world.neutral("base", base, templates=2, seeds=20)
    world.neutral("better", better, templates=2, seeds=20)
    anchors = World(seed=4)
    anchors.draw("anchors", "person", prompt_id="p", cells=np.repeat(np.arange(CELLS), 250))
    errors = {"recall": 0.85, "abstain": 0.05}
    seen = pd.concat([anchors.labels(name, **errors) for name in "ab"], ignore_index=True)
    votes = vote(seen, members=("a", "b"), taxonomy=TAXONOMY)
    sets = [("gender",), ("tone",), *JOINT]
    confusion = confusion_table(anchors.anchors(), pd.concat([seen, votes]), sets)
    images, labels = judged(world, **errors)
    found = measure(images, labels, plan=plan(base="base", confusion=confusion, draws=300))
    return found, {"base": base, "better": better}, (images, labels, confusion)


@pytest.mark.slow
@pytest.mark.parametrize("judge", ["panel", "a", "b"])
def test_corrected_values_recover_the_truth_that_naive_ones_miss(noisy, judge):
    found, truth, _ = noisy
    key = {"metric": "rms_delta", "attributes": "gender*tone", "concept": "", "judge": judge}
    for method, shares in truth.items():
        true = distances(shares)["rms_delta"]
        naive, corrected = (one(found.estimates[method], **key, corrected=flag) for flag in (False, True))
        assert corrected.low <= true <= corrected.high
        assert abs(corrected.value - true) < 0.05
        # The panel makes fewer errors, because two judges must agree.
        assert method != "base" or judge == "panel" or naive.high < true


@pytest.mark.slow
def test_calibration_error_widens_the_interval(noisy):
    found, _, (images, labels, confusion) = noisy
    few = confusion.assign(count=(confusion["count"] / 5).round())
    again = measure(images, labels, plan=plan(base="base", confusion=few, draws=300))
    key = {
        "metric": "rms_delta",
        "attributes": "gender*tone",
        "judge": "panel",
        "corrected": True,
        "concept": "",
    }
    wide, narrow = (one(each.estimates["base"], **key) for each in (again, found))
    assert wide.high - wide.low > 1.05 * (narrow.high - narrow.low)


@pytest.mark.slow
def test_methods_are_compared_in_pairs(noisy):
    found, truth, _ = noisy
    key = {"metric": "rms_delta", "attributes": "gender*tone", "judge": "panel", "corrected": True}
    difference = one(found.differences, **(key | {"metric": "excess_agreement"}), kind="neutral")
    true = distances(truth["better"])["rms_delta"] ** 2 - distances(truth["base"])["rms_delta"] ** 2
    assert difference.label == "better" and difference.high < 0 and difference.n == 30
    assert difference.value == pytest.approx(true, abs=0.08)
    assert difference.p == difference.p_holm < 0.001
    rows = {method: one(rows, **key) for method, rows in found.ranks.items()}
    ranks = {method: (row.low, row.high, row.tie_group) for method, row in rows.items()}
    assert {row.of for row in rows.values()} == {2}
    assert ranks == {"better": (1, 1, "A"), "base": (2, 2, "B")}
    assert {method: row.beaten_by for method, row in rows.items()} == {"better": [], "base": ["better"]}


@pytest.mark.slow
def test_values_after_a_root_and_values_without_an_interval_are_not_compared(noisy):
    found, _, _ = noisy
    compared = {row.metric for row in found.differences}
    assert {"excess_agreement", "squared_deviation", "share", "undetermined"} <= compared
    assert not compared & {"rms_delta", "deviation_ratio", "delta_tv", "worst_cell", "total_correlation"}
    ranked = {row.metric for row in found.ranks["base"]}
    assert "rms_delta" in ranked and not ranked & {"deviation_ratio", "delta_tv", "worst_cell"}


@pytest.mark.slow
def test_only_the_panel_and_judge_free_metrics_are_ranked(noisy):
    found, _, _ = noisy
    ranks = [row for rows in found.ranks.values() for row in rows]
    assert {row.judge for row in ranks} == {row.judge for row in found.differences} == {"", "panel"}
    assert "share" not in {row.metric for row in ranks}


@pytest.mark.slow
def test_results_do_not_depend_on_row_order(noisy):
    found, _, (images, labels, confusion) = noisy
    shuffled = [table.sample(frac=1, random_state=7) for table in (images, labels, confusion)]
    again = measure(*shuffled[:2], plan=plan(base="base", confusion=shuffled[2], draws=300))
    assert repr(again) == repr(found)


@pytest.mark.slow
def test_agreement_counts_every_image_once(noisy):
    found, _, (images, _, _) = noisy
    alpha = one(found.agreement, statistic="krippendorff_alpha", attribute="gender")
    kappa = one(found.agreement, statistic="cohen_kappa", attribute="gender")
    assert alpha.judges == kappa.judges == "a*b"
    assert alpha.n == kappa.n < images["key"].nunique()
    # Two judges with 15 % independent errors agree on 0.745 of the images: kappa is 0.49 on balanced groups.
    assert kappa.low <= alpha.value <= kappa.high and 0.3 < kappa.value < 0.6


@pytest.mark.slow
def test_coverage_adds_up(noisy):
    found, _, _ = noisy
    for coverage in found.coverage.values():
        assert coverage.planned == coverage.made == 1200 and coverage.failed == {}
        for row in coverage.rows:
            assert row.ok + sum(row.undetermined.values()) == row.images == 1200
        panel = one(coverage.rows, judge="panel", attribute="gender")
        assert set(panel.undetermined) == {"inconsistent", "low_confidence"}


def test_a_refused_correction_is_noted():
    world = World()
    world.neutral("base", rotations(4))
    blind = [(judge, "gender", truth, label, 50) for judge in ("a", "panel") for truth in TAXONOMY["gender"]
             for label in TAXONOMY["gender"]]  # fmt: skip
    images, labels = judged(world)
    confusion = pd.DataFrame(blind, columns=list(CONFUSION_COLUMNS))
    found = measure(images, labels, plan=plan(confusion=confusion))
    assert not [row for row in found.estimates["base"] if row.corrected]
    assert any(note.startswith("gender is not corrected: condition number") for note in found.notes)
    assert any(note == "tone is not corrected: no anchors (panel, a, b)" for note in found.notes)


def controls(method, *, right, over, world, key=None):
    """Explicit prompts obeyed by ``right`` of ten images, definitional ones broken by ``over`` of ten."""
    for group, asked, other in (("woman", 0, 3), ("man", 3, 0)):
        cells = [asked] * right + [other] * (10 - right)
        world.draw(
            method,
            "explicit",
            prompt_id=f"e-{group}",
            concept="nurse",
            cell=f"gender={group}",
            cells=cells,
            key=key,
        )
    cells = [0] * (10 - over) + [3] * over
    world.draw(
        method,
        "over_correction",
        prompt_id="o1",
        concept="queen",
        cell="gender=woman;tone=light",
        cells=cells,
        key=key,
    )
    world.draw(
        method, "over_correction", prompt_id="o2", concept="nun", cell="gender=woman", cells=[0] * 10, key=key
    )


@pytest.fixture(scope="module")
def controlled():
    world = World()
    controls("base", right=10, over=0, world=world)
    controls("edited", right=8, over=4, world=world)
    controls("untouched", right=10, over=0, world=world, key="base")
    images, labels = judged(world)
    return measure(
        images.drop_duplicates(),
        labels.drop_duplicates(["key", "judge", "attribute"]),
        plan=plan(base="base"),
    )


def test_explicit_fidelity_is_the_fidelity_of_the_worst_group(controlled):
    rows = pick(controlled.estimates["edited"], metric="explicit_fidelity", judge="panel")
    assert {row.group: row.value for row in rows} == {"": 0.8, "woman": 0.8, "man": 0.8}
    difference = one(controlled.differences, metric="explicit_fidelity", label="edited")
    assert difference.value == pytest.approx(-0.2) and np.isnan(difference.p)


def test_perfect_shares_have_an_exact_interval(controlled):
    rows = pick(controlled.estimates["base"], metric="explicit_fidelity", judge="panel")
    # The worst group needs images of its own: those of the other group say nothing about it. It may be either
    # group, so the bounds of both have to hold.
    bound = 1 - np.array([0.025, 0.05, 0.05]) ** (1 / 10)
    assert [row.value for row in rows] == [1, 1, 1]
    assert [row.low for row in rows] == pytest.approx(1 - bound)


def test_over_correction_is_measured_per_attribute_and_jointly(controlled):
    rows = pick(controlled.estimates["edited"], metric="over_correction", judge="panel", concept="")
    assert {row.attributes: row.value for row in rows} == {"gender": 0.2, "tone": 0, "gender*tone": 0.4}
    difference = one(controlled.differences, metric="over_correction", attributes="gender", label="edited")
    assert difference.value == pytest.approx(0.2) and difference.n == 2


def test_a_method_that_keeps_every_image_has_differences_of_exactly_zero(controlled):
    rows = pick(controlled.differences, label="untouched")
    assert rows and all(row.value == row.low == row.high == 0 for row in rows)


def test_equal_values_of_different_images_have_an_interval():
    world = World()
    for method in ("base", "other"):
        controls(method, right=10, over=0, world=world)
    images, labels = judged(world)
    found = measure(images, labels, plan=plan(base="base"))
    difference = one(found.differences, metric="explicit_fidelity")
    bound = 1 - 0.05 ** (1 / 10)
    assert difference.value == 0
    assert (difference.low, difference.high) == (pytest.approx(-bound), pytest.approx(bound))


def test_undetermined_images_count_as_failures_of_fidelity():
    world = World()
    controls("base", right=10, over=0, world=world)
    images, labels = judged(world)
    lost = labels["key"].str.startswith("base/e-woman") & labels["key"].str.endswith(("/0", "/1"))
    labels = labels.assign(
        status=labels["status"].mask(lost, "no_face"), label=labels["label"].mask(lost, "")
    )
    rows = measure(images, labels, plan=plan()).estimates["base"]
    fidelity = pick(rows, metric="explicit_fidelity", judge="panel")
    assert {row.group: row.value for row in fidelity} == {"": 0.8, "woman": 0.8, "man": 1.0}
    undetermined = pick(rows, metric="undetermined", kind="explicit", attributes="gender", judge="panel")
    rates = {row.group: row.value for row in undetermined}
    assert rates == pytest.approx({"": 0.1, "woman": 0.2, "man": 0})


def test_all_undetermined_is_missing_with_a_note():
    world = World()
    world.neutral("base", rotations(2), templates=1, seeds=3)
    images, labels = judged(world)
    gone = labels["key"].str.contains("n00")
    labels = labels.assign(
        status=labels["status"].mask(gone, "no_person"), label=labels["label"].mask(gone, "")
    )
    found = measure(images, labels, plan=plan())
    rows = pick(found.estimates["base"], metric="delta_tv", attributes="gender", judge="panel")
    assert np.isnan(rows[1].value) and rows[1].n == 0 and rows[0].value == rows[2].value
    rate = pick(found.estimates["base"], metric="undetermined", attributes="gender", judge="panel")
    assert [row.value for row in rate] == [0.5, 1, 0] and [row.n for row in rate] == [6, 3, 3]
    assert rate[1].low < 1 and rate[2].high > 0
    assert "base: the panel decides gender on no image of job00; left out" in found.notes


@pytest.mark.slow
def test_a_concept_without_decided_images_stays_missing_after_correction(noisy):
    _, _, (images, labels, confusion) = noisy
    gone = labels["key"].str.contains("/n00-")
    labels = labels.assign(
        status=labels["status"].mask(gone, "no_face"), label=labels["label"].mask(gone, "")
    )
    found = measure(images, labels, plan=plan(base="base", confusion=confusion))
    key = {"attributes": "gender*tone", "judge": "panel", "corrected": True}
    for metric in ("rms_delta", "excess_agreement"):
        aggregate, missing, *_ = pick(found.estimates["base"], metric=metric, **key)
        assert np.isfinite([aggregate.value, aggregate.low, aggregate.high]).all()
        assert np.isnan([missing.value, missing.low, missing.high, missing.floor]).all()
    assert one(found.differences, metric="excess_agreement", **key).n == 29


def test_failed_images_count_as_undetermined_and_need_no_label():
    world = World()
    world.neutral("base", rotations(2), templates=1, seeds=4)
    images, labels = judged(world)
    failed = images["key"].isin(["base/n00-0/0", "base/n00-0/1"])
    images["status"] = images["status"].mask(failed, "error")
    labels = labels[~labels["key"].isin(images["key"][failed])]
    found = measure(images, labels, plan=plan())
    rate = pick(found.estimates["base"], metric="undetermined", attributes="tone", judge="a")
    assert [row.value for row in rate] == [0.25]
    coverage = found.coverage["base"]
    assert (coverage.planned, coverage.made, coverage.failed) == (8, 6, {"error": 2})
    assert one(coverage.rows, judge="a", attribute="tone").undetermined == {"error": 2}


def test_a_third_party_metric_is_measured():
    world = World()
    world.neutral("base", rotations(3))
    largest = catalog.LabelMetric(
        name="largest",
        title="Largest share",
        better="lower",
        formula="max p",
        cannot_tell="much",
        source="a test",
        kinds=("neutral",),
        of=lambda tally: tally.shares.max(axis=-1),
    )
    hue = catalog.ImageMetric(
        name="hue",
        title="Hue",
        better="",
        formula="h",
        cannot_tell="much",
        source="a test",
        kinds=("neutral",),
        column="hue",
    )
    images, labels = judged(world)
    found = measure(images.assign(hue=3.0), labels, plan=plan(metrics=(largest, hue)))
    rows = found.estimates["base"]
    assert {row.metric for row in rows} == {"largest", "hue"}
    assert 1 / 6 < one(rows, metric="largest", attributes="gender*tone", judge="a").value < 1
    assert one(rows, metric="hue", concept="").value == 3
    with pytest.raises(EvenhandError, match="image column of metric hue 'hue'"):
        measure(images, labels, plan=plan(metrics=(hue,)))


@pytest.fixture(scope="module")
def tables():
    world = World()
    for method in ("base", "edited"):
        world.neutral(method, rotations(2), templates=1, seeds=2)
    return judged(world)


FAULTS = {
    "steers method 'edited' and is in the panel": {"plan": {"steering": {"edited": "a"}}},
    "judge 'c' has no row": {"plan": {"non_voting_judges": ("c",)}},
    "unknown judge in the label table 'b'": {"plan": {"panel": ("a",)}},
    "unknown attribute 'race'": {"plan": {"joints": (("gender", "race"),)}},
    "unknown base method 'bse'; did you mean 'base'": {"plan": {"base": "bse"}},
    "judge 'a' has no gender label for image 'base/n00-0/0'": {"labels": lambda t: t.iloc[1:]},
    "labels the gender of image 'base/n00-0/0' twice": {"labels": lambda t: pd.concat([t, t.iloc[:1]])},
    "labels of judge 'a' come from 2 versions": {
        "labels": lambda t: t.assign(judge_version=["2", *t["judge_version"][1:]])
    },
    "unknown label of gender 'womn'; did you mean 'woman'": {"labels": lambda t: t.replace("woman", "womn")},
    "unknown label status 'fine'": {"labels": lambda t: t.assign(status="fine")},
    "label table lacks column 'family'": {"labels": lambda t: t.drop(columns="family")},
    "image table is empty": {"images": lambda t: t.iloc[:0]},
    "has prompt 'n00-0' with seed 0 twice": {"images": lambda t: pd.concat([t, t.iloc[:1]])},
    "method 'base' has 3 of 4 images": {"images": lambda t: t.iloc[1:]},
    "prompt 'n00-0' differs between methods": {
        "images": lambda t: t.assign(concept=["other", *t["concept"][1:]])
    },
    "unknown kind of prompt 'neutrl'": {"images": lambda t: t.assign(kind="neutrl")},
    "unknown group of gender 'womn'": {"images": lambda t: t.assign(cell="gender=womn")},
}


@pytest.mark.parametrize("message", FAULTS)
def test_invalid_tables_are_an_error(message, tables):
    fault = FAULTS[message]
    images, labels = tables
    with pytest.raises(EvenhandError) as caught:
        measure(
            fault.get("images", lambda table: table)(images),
            fault.get("labels", lambda table: table)(labels),
            plan=plan(**fault.get("plan", {})),
        )
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_steering_judge_is_shown_without_a_vote(tables):
    images, labels = tables
    keys = list(images["key"].unique())
    steering = rows_of("s", keys, "gender", np.zeros(len(keys), int))
    found = measure(images, pd.concat([labels, steering]), plan=plan(steering={"edited": "s"}))
    without = measure(images, labels, plan=plan())
    assert pick(found.estimates["edited"], judge="s", metric="delta_tv")
    panels = [pick(each.estimates["edited"], judge="panel") for each in (found, without)]
    assert repr(panels[0]) == repr(panels[1])
