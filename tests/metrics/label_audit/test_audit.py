"""Labels of a data frame are measured as those of a run, whatever the form of the frame."""

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame, selection_rate
from helpers.label_frames import to_long, wide

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import audit_labels
from evenhand.metrics.base import LabelMetric
from evenhand.metrics.correction.calibration import confusion_table
from evenhand.metrics.estimation.measure import MeasurePlan, measure
from evenhand.metrics.table import label_rows

BOTH = ["gender", "race"]
QUICK = {"concept": "prompt", "cluster": "template", "draws": 200}


def audit(frame, attributes=BOTH, **options):
    return audit_labels(frame, attributes=attributes, **(QUICK | options))


def woman(found, **levels):
    """The shares of women by concept."""
    return found.by_concept["value"].xs(("gender", "share", "woman"), level=["attributes", "metric", "group"])


def test_shares_are_those_of_fairlearn_on_the_same_table():
    frame = wide()
    shown = (frame["gender"] == "woman").astype(int)
    theirs = MetricFrame(
        metrics=selection_rate, y_true=shown, y_pred=shown, sensitive_features=frame["prompt"]
    )
    ours = audit(frame)
    by_concept = woman(ours)
    pd.testing.assert_series_equal(
        by_concept.sort_index(), theirs.by_group.sort_index(), check_names=False, check_dtype=False
    )
    # All concepts have as many images, so the mean over concepts is the pooled share.
    assert ours.by_group.loc[("gender", "woman"), "value"] == pytest.approx(theirs.overall)
    assert by_concept.max() - by_concept.min() == pytest.approx(theirs.difference())


def test_a_difference_from_the_baseline_is_that_of_fairlearn():
    before, after = wide(), wide(seed=1, shares={"nurse": 0.5, "CEO": 0.5, "cook": 0.5})
    both = pd.concat([before.assign(model="before"), after.assign(model="after")])
    shown = (both["gender"] == "woman").astype(int)
    theirs = MetricFrame(metrics=selection_rate, y_true=shown, y_pred=shown, sensitive_features=both["model"])
    found = audit(both, method="model", base="before").compare()
    row = found.loc[("after", "gender", "share", "woman")]
    assert row["value"] == pytest.approx(theirs.by_group["after"] - theirs.by_group["before"])
    assert row["low"] < row["value"] < row["high"]


def test_the_numbers_are_those_of_a_measurement_of_the_same_tables():
    frame = wide()
    images = pd.DataFrame(
        {
            "key": frame["image"],
            "method": "all",
            "prompt_id": frame["prompt"] + frame["template"],
            "prompt": frame["prompt"],
            "concept": frame["prompt"],
            "template": frame["template"],
            "kind": "neutral",
            "cell": "",
            "seed_index": frame.groupby(["prompt", "template"]).cumcount(),
            "status": "ok",
            "alignment": np.nan,
        }
    )
    groups = ("man", "woman")
    labels = label_rows(
        keys=frame["image"].tolist(),
        judge="x",
        version="1",
        family="x",
        attribute="gender",
        groups=groups,
        probabilities=np.eye(3)[[groups.index(label) for label in frame["gender"]]],
        status=["ok"] * len(frame),
    )
    plan = MeasurePlan(attributes={"gender": groups}, panel=("x",), draws=200)
    theirs = {
        (row.metric, row.group): row
        for row in measure(images, labels, plan=plan).estimates["all"]
        if row.judge == "panel" and not row.concept
    }
    ours = audit(frame, ["gender"])
    for metric in ("rms_delta", "delta_tv", "undetermined"):
        row, own = theirs[metric, ""], ours.overall.loc[("gender", metric)]
        assert own[["value", "low", "high", "floor"]].tolist() == pytest.approx(
            [row.value, row.low, row.high, row.floor], nan_ok=True
        )


def test_a_long_frame_gives_the_same_numbers_as_a_wide_one():
    pd.testing.assert_frame_equal(audit(wide()).overall, audit(to_long(wide()), image="image").overall)


def test_the_order_of_the_rows_of_numbered_images_does_not_matter():
    frame = wide().assign(number=lambda rows: rows.groupby(["prompt", "template"]).cumcount())
    mixed = frame.sample(frac=1, random_state=3)
    one, other = (audit(rows, image="image", seed="number") for rows in (frame, mixed))
    pd.testing.assert_frame_equal(one.overall, other.overall)


def test_several_judges_vote_and_their_agreement_is_shown():
    frame = wide()
    wrong = frame.assign(gender=np.where(np.arange(len(frame)) % 10 == 0, "man", frame["gender"]))
    judges = {"a": frame, "b": frame, "c": wrong}
    both = pd.concat([rows.assign(judge=name) for name, rows in judges.items()])
    found = audit(both, judge="judge", image="image")
    assert found.by_group.loc[("gender", "woman"), "value"] == pytest.approx((frame.gender == "woman").mean())
    assert set(found.agreement["statistic"]) == {"krippendorff_alpha", "cohen_kappa"}
    single = found.to_dataframe().query("judge == 'c' and metric == 'share' and group == 'woman'")
    assert single["value"].iloc[0] == pytest.approx((wrong.gender == "woman").mean())


def test_a_judge_outside_the_panel_has_no_vote():
    frame = wide()
    all_men = frame.assign(gender="man")
    both = pd.concat([frame.assign(judge="a"), all_men.assign(judge="b")])
    found = audit(both, judge="judge", image="image", panel=["a"])
    assert found.by_group.loc[("gender", "woman"), "value"] == pytest.approx((frame.gender == "woman").mean())


def test_missing_labels_are_undetermined_and_counted():
    frame = wide()
    frame.loc[frame.index[:12], "gender"] = None
    frame.loc[frame.index[12:24], "gender"] = "undetermined"
    found = audit(frame)
    assert found.overall.loc[("gender", "undetermined"), "value"] == pytest.approx(24 / len(frame))


def test_a_confusion_table_corrects_the_shares():
    truth = wide(images=200)
    rng = np.random.default_rng(5)
    missed = (truth["gender"] == "woman") & (rng.random(len(truth)) < 0.2)
    seen = truth.assign(gender=truth["gender"].mask(missed, "man"))
    anchors = pd.DataFrame({"key": [str(n) for n in range(1000)], "attribute": "gender", "group": "woman"})
    anchors.loc[500:, "group"] = "man"
    said = anchors.assign(judge="labels", label=anchors["group"], status="ok")
    said.loc[:99, "label"] = "man"
    table = confusion_table(anchors, said[["key", "judge", "attribute", "label", "status"]], [("gender",)])
    table = pd.concat([table, table.assign(judge="panel")])
    plain, corrected = (audit(seen, ["gender"], confusion=given) for given in (None, table))
    true = (truth["gender"] == "woman").mean()
    near, far = (abs(one.by_group.loc[("gender", "woman"), "value"] - true) for one in (corrected, plain))
    assert near < 0.03 < far
    assert corrected.to_dataframe()["corrected"].any()


def test_anchors_correct_like_the_confusion_table_counted_from_them():
    truth = wide(images=100)
    rng = np.random.default_rng(5)
    missed = (truth["gender"] == "woman") & (rng.random(len(truth)) < 0.2)
    seen = truth.assign(gender=truth["gender"].mask(missed, "man"))
    known = truth.sample(n=400, random_state=1)[["image", "gender"]]
    found = audit(seen, ["gender"], image="image", anchors=known)
    plain = audit(seen, ["gender"])
    true = (truth["gender"] == "woman").mean()
    near, far = (abs(one.by_group.loc[("gender", "woman"), "value"] - true) for one in (found, plain))
    assert near < far
    with pytest.raises(EvenhandError, match="pass image="):
        audit(seen, ["gender"], anchors=known)


def test_registered_metrics_and_metric_objects_apply():
    double = LabelMetric(
        name="double",
        title="Twice the share",
        better="",
        high=2.0,
        formula="2 p",
        cannot_tell="",
        source="this test",
        kinds=("neutral",),
        of=lambda tally: 2 * tally.shares[..., 0],
    )
    found = audit(wide(), metrics=["kl_divergence", double]).overall["value"]
    assert found["gender", "kl_divergence"] >= 0
    assert found["gender", "double"] == pytest.approx(2 * (wide()["gender"] == "man").mean())
    with pytest.raises(EvenhandError, match="did you mean 'kl_divergence'"):
        audit(wide(), metrics=["kl_divergense"])


def test_a_second_frame_is_a_baseline():
    found = audit(wide(seed=1), base=wide())
    assert set(found.compare().index.get_level_values("method")) == {"audited"}
    assert set(found.overall.index.get_level_values("method")) == {"audited", "base"}


def test_methods_may_have_different_numbers_of_images():
    many, few = wide(images=20).assign(model="many"), wide(images=15, seed=1).assign(model="few")
    found = audit(pd.concat([many, few]), method="model", base="many")
    assert found.overall.loc[("many", "gender", "rms_delta"), "n"] == 120
    assert found.overall.loc[("few", "gender", "rms_delta"), "n"] == 90
    assert "differences are of 90 images that each method has in common" in found.notes
    alone = audit(many)
    assert (
        found.overall.loc[("many", "gender", "rms_delta"), "value"]
        == alone.overall.loc[("gender", "rms_delta"), "value"]
    )


def test_explicit_prompts_have_their_fidelity():
    neutral = wide().assign(asked="")
    asked = wide(images=10).assign(asked="gender=woman", gender="woman")
    found = audit(pd.concat([neutral, asked]), asked="asked")
    assert found.overall.loc[("explicit", "gender", "explicit_fidelity"), "value"] == 1
    assert found.by_group.loc[("explicit", "gender", "woman"), "target"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concept": "promt"}, "no column 'promt'"),
        ({"attributes": ["gendr"]}, "no column 'gendr'"),
        ({"base": "before"}, "pass method="),
        ({"judge": "template"}, "pass image="),
        ({"attributes": {"gender": ["woman", "person"]}}, "'man' of judge 'labels' is not a group"),
        ({"target": "even"}, "target must be 'uniform'"),
    ],
)
def test_an_error_says_what_to_pass(options, message):
    with pytest.raises(EvenhandError, match=message):
        audit(wide(), **options)


def test_methods_without_a_common_prompt_are_not_compared():
    other = wide(shares={"baker": 0.5}).assign(model="b")
    with pytest.raises(EvenhandError, match="no prompt in common"):
        audit(pd.concat([wide().assign(model="a"), other]), method="model")
