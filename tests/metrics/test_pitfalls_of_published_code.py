"""Mistakes found in released code of other works, each with a test that Evenhand avoids it."""

from dataclasses import replace
from inspect import signature

import numpy as np
import pandas as pd
import pytest
from helpers.metrics import CELLS, TAXONOMY, World, one, pick, read, rows_of

from evenhand.bench.errors import EvenhandError
from evenhand.bench.prompts.prompt_set import list_prompt_sets, load_prompt_set
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics import catalog, taxonomies
from evenhand.metrics import representation as r
from evenhand.metrics.correction import rogan_gladen
from evenhand.metrics.estimation.encode import groups_asked
from evenhand.metrics.estimation.measure import MeasurePlan, measure
from evenhand.metrics.fairness import published as measures
from evenhand.metrics.fairness import quality
from evenhand.metrics.fairness.diversity import vendi_of_kernel
from evenhand.metrics.judges._zero_shot_texts import published
from evenhand.metrics.table import decide, hard_labels, label_rows
from evenhand.metrics.vision.colour import ita, lab
from evenhand.metrics.vision.faces import Face, image_status

GENDER = {"gender": TAXONOMY["gender"]}
PLAN = MeasurePlan(
    attributes=GENDER, panel=("a",), draws=100, metrics=(*catalog.DEFAULT, catalog.kl_divergence)
)


def women(share, n=40):
    """Cells of ``n`` images of which a share are women, tones even."""
    first = round(share * n)
    return [k % 3 for k in range(first)] + [3 + k % 3 for k in range(n - first)]


def world_of(shares, *, failed=0):
    """One occupation for each share of women; some images more that failed."""
    world = World()
    for number, share in enumerate(shares):
        world.draw(
            "base",
            "neutral",
            prompt_id=f"p{number}",
            concept=f"job{number}",
            template="t",
            cells=women(share),
        )
        if failed:
            world.draw(
                "base",
                "neutral",
                prompt_id=f"f{number}",
                concept=f"job{number}",
                template="t",
                cells=[None] * failed,
                status="error",
            )
    return world


def measured(world, labels, plan=PLAN):
    return measure(world.images(), labels, plan=plan)


def panel(found, metric, **keys):
    keys = {"kind": "neutral", "judge": "panel", "concept": "", "corrected": False} | keys
    return one(found.estimates["base"], metric=metric, **keys)


def test_a_model_that_draws_one_group_is_the_least_fair_not_the_fairest():
    world = world_of([1.0])
    found = measured(world, world.labels("a", attributes=("gender",)))
    assert panel(found, "kl_divergence").value == pytest.approx(np.log(2))
    assert panel(found, "delta_tv").value == 1
    assert panel(found, "worst_cell").value == 0


def test_an_unknown_answer_is_a_status_and_not_a_group():
    world = world_of([0.5])
    labels = world.labels("a", attributes=("gender",))
    keys = labels["key"].iloc[:10]
    unknown = rows_of("a", list(keys), "gender", [2] * 10)
    found = measured(world, pd.concat([unknown, labels.iloc[10:]], ignore_index=True))
    value = panel(found, "kl_divergence")
    assert value.value <= np.log(2) and value.n == 30
    assert panel(found, "undetermined").value == pytest.approx(0.25)
    (row,) = [each for each in found.coverage["base"].rows if each.judge == "panel"]
    assert (row.ok, row.undetermined, row.images) == (30, {"low_confidence": 10}, 40)


def test_a_tie_and_a_failed_image_are_undetermined():
    assert decide(np.array([[0.5, 0.5, 0.0], [0.6, 0.4, 0.0]])).tolist() == [2, 0]
    world = world_of([0.75], failed=5)
    found = measured(world, world.labels("a", attributes=("gender",)))
    shares = {row.group: row.value for row in pick(found.estimates["base"], metric="share", concept="job0")}
    assert shares["woman"] == pytest.approx(0.75) and sum(shares.values()) == pytest.approx(1)
    assert panel(found, "undetermined").value == pytest.approx(5 / 45)


def test_the_judge_in_a_methods_loop_must_not_vote():
    world = world_of([0.5])
    plan = replace(PLAN, steering={"base": "a"})
    with pytest.raises(EvenhandError, match="judge 'a' steers method 'base' and is in the panel"):
        measured(world, world.labels("a", attributes=("gender",)), plan)


def test_no_text_contains_an_unfilled_placeholder():
    for name in list_prompt_sets():
        assert not [p.text for p in load_prompt_set(name).prompts if set("{}[]<>") & set(p.text)]
    for suite in (load_suite(name) for name in ("mini", "mini-quick")):
        words = [word for cell in suite.cells() for word in (cell.adjective, cell.noun)]
        assert words and not [word for word in words if set("{}") & set(word)]
    texts = [text for group in published("UCE")["gender"].values() for text in group]
    assert sorted(texts) == ["a man", "a woman"]


def test_skin_tone_uses_cielab_and_not_8_bit_lab():
    skin = np.array([[186, 141, 104]], np.uint8)
    colour = lab(skin)[0]
    assert 0 <= colour[0] <= 100
    in_bytes = colour * [255 / 100, 1, 1] + [0, 128, 128]
    swapped = lab(skin[:, ::-1])[0]
    assert abs(float(ita(in_bytes) - ita(colour))) > 5 and abs(float(ita(swapped) - ita(colour))) > 5


def test_a_prompt_without_any_decided_image_has_no_deviation():
    assert np.isnan(r.mean_absolute_deviation(r.shares_of([0, 0])))


def test_no_remaining_image_gives_nan_and_not_one_half():
    world = World()
    world.draw("base", "neutral", prompt_id="p", concept="job0", template="t", cells=women(1.0))
    world.draw(
        "base", "neutral", prompt_id="q", concept="job1", template="t", cells=[None] * 9, status="error"
    )
    found = measured(world, world.labels("a", attributes=("gender",)))
    assert np.isnan(panel(found, "delta_tv", concept="job1").value)
    assert panel(found, "delta_tv").value == 1  # the mean is that of the occupation with images
    assert any("decides gender on no image of job1" in note for note in found.notes)


def test_bigbench_scores_are_at_least_one_half():
    found = [r.bigbench_score(r.shares_of(toy), r.uniform(2)) for toy in ((66, 184), (0, 50))]
    assert found == pytest.approx([0.952163, 0.853553], abs=1e-6)
    cosines = [2 * value - 1 for value in found]
    assert cosines == pytest.approx([0.904326, 0.707107], abs=1e-6)
    assert catalog.bigbench_implicit.low == 0.5 and "(1 + cos" in catalog.bigbench_implicit.formula


def test_unknown_groups_are_an_error_and_not_the_best_score():
    with pytest.raises(EvenhandError, match="unknown group of gender 'wman'; did you mean 'woman'"):
        groups_asked("gender=wman", TAXONOMY)
    with pytest.raises(EvenhandError, match="belongs to no group of age5"):
        taxonomies.group_of("60 years old or older", "age5")
    with pytest.raises(EvenhandError, match="BIGbench's total score needs the attributes gender, race, age"):
        measures.bigbench_total({})
    world = world_of([0.5])
    labels = world.labels("a", attributes=("gender",)).replace({"label": {"woman": "female"}})
    with pytest.raises(EvenhandError, match="unknown label of gender 'female'"):
        measured(world, labels)


def test_eta_of_an_unbiased_pair_is_one_half():
    even = np.full(4, 0.25)
    assert measures.manifestation_factor(even, even, reference=(even, even), weight=0.2) == 0.5


def test_tibet_mad_is_the_root_of_a_mean_absolute_deviation():
    shares = r.shares_of([66, 184])
    plain, rooted = r.mean_absolute_deviation(shares), r.tibet_mad(shares)
    assert plain == pytest.approx(0.236) and rooted == pytest.approx(np.sqrt(plain / 0.5))
    assert "square root" in r.tibet_mad.__doc__


def test_the_vendi_score_has_order_one_only():
    assert list(signature(vendi_of_kernel).parameters) == ["kernel"]
    assert vendi_of_kernel(np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])) == pytest.approx(
        2.157300, abs=1e-6
    )


def test_races_are_matched_by_name_in_both_released_orders():
    orders = (
        ("White", "Black", "Latino_Hispanic", "East Asian", "Southeast Asian", "Indian", "Middle Eastern"),
        ("East Asian", "Indian", "Black", "White", "Middle Eastern", "Latino_Hispanic", "Southeast Asian"),
    )
    named = dict(zip(orders[0], (0.3, 0.05, 0.1, 0.2, 0.15, 0.12, 0.08), strict=True))
    rows = [
        taxonomies.regroup(np.array([[named[name] for name in order]]), order, "race4") for order in orders
    ]
    np.testing.assert_allclose(rows[0], rows[1])
    assert dict(zip(taxonomies.groups("race4"), rows[0][0], strict=True)) == pytest.approx(
        {"WMELH": 0.48, "Black": 0.05, "Indian": 0.12, "Asian": 0.35}
    )


def test_a_confident_label_without_a_face_does_not_count():
    labels, statuses = hard_labels(
        np.array([[0.99, 0.01, 0.0]] * 2), ("woman", "man"), status=["no_face", "ok"]
    )
    assert (labels, statuses) == (["", "woman"], ["no_face", "ok"])
    assert image_status([], 512) == "no_face"


def test_the_status_of_an_image_does_not_depend_on_earlier_images():
    face = Face((100.0, 100.0, 300.0, 300.0), 1.0, "test")
    assert [image_status(faces, 512) for faces in ([face], [], [face], [])] == ["ok", "no_face"] * 2
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 0.5], size=30)
    status = rng.choice(["ok", "no_face"], size=30).tolist()
    together = hard_labels(p, ("woman", "man"), status=status)
    alone = [hard_labels(p[[k]], ("woman", "man"), status=[status[k]]) for k in range(30)]
    assert together == ([a[0] for a, _ in alone], [b[0] for _, b in alone])


def test_an_interval_with_the_judges_accuracy_as_known_is_too_short():
    rng, truth, se, sp, n, anchors = np.random.default_rng(0), 0.3, 0.93, 0.95, 500, 100
    seen = rng.binomial(n, truth * se + (1 - truth) * (1 - sp), size=2000) / n
    found_se, found_sp = rng.binomial(anchors, se, 2000) / anchors, rng.binomial(anchors, sp, 2000) / anchors
    ours = rogan_gladen.rogan_gladen(
        seen, n, sensitivity=found_se, positives=anchors, specificity=found_sp, negatives=anchors
    )
    point = rogan_gladen.cleam_point(seen, alpha_0=found_se, alpha_1=found_sp)
    # thirty batches redrawn from one pool look like thirty independent ones
    reach = 1.96 * np.sqrt(seen * (1 - seen) / n / 30) / (found_se + found_sp - 1)
    covered = (ours.low <= truth) & (truth <= ours.high)
    assert np.mean(np.abs(point - truth) <= reach) < 0.4
    assert 0.93 <= covered.mean() <= 0.97


def test_opposite_stereotypes_do_not_cancel():
    world = world_of([1.0, 0.0])
    found = measured(world, world.labels("a", attributes=("gender",)))
    assert panel(found, "delta_tv").value == 1 and panel(found, "rms_delta").value == pytest.approx(1)
    assert measures.signed_balance(40, 40) == 0  # what a pooled score makes of the same images


def test_an_absent_group_leaves_the_divergence_finite():
    shares = r.shares_of([50, 0, 0, 0])
    assert r.kl_divergence(shares, r.uniform(4)) == pytest.approx(np.log(4))
    assert r.kl_divergence(r.uniform(4), shares) == np.inf  # the reverse, which no metric takes


def test_a_fair_model_with_few_images_scores_its_floor():
    rng, published_floor = np.random.default_rng(0), read("finite_sample_floor").query("K == 2 and n == 50")
    world = World()
    for number in range(40):
        cells = rng.choice(CELLS, size=50)
        world.draw("base", "neutral", prompt_id=f"p{number}", concept=f"j{number}", template="t", cells=cells)
    found = measured(world, world.labels("a", attributes=("gender",)))
    row = panel(found, "delta_tv")
    assert row.floor == pytest.approx(float(published_floor.delta_mean.iloc[0]), abs=0.005)
    assert row.value == pytest.approx(row.floor, abs=0.03) and row.value > 0.08
    assert abs(panel(found, "squared_deviation").value) < 0.01


def test_an_occupation_with_one_image_shows_n_and_does_not_enter_the_ranking():
    counts = read("fair_diffusion_fairface_counts").set_index("occupation")
    laion = counts.loc[["community manager", "nurse"], ["laion_woman", "laion_man"]].to_numpy(float)
    assert laion[0].sum() == 1 and r.delta_tv(r.shares_of(laion), r.uniform(2))[0] == 1
    world = World()
    world.draw("base", "neutral", prompt_id="a", concept="community manager", template="t", cells=[0])
    world.draw("base", "neutral", prompt_id="b", concept="nurse", template="t", cells=women(0.5))
    found = measured(world, world.labels("a", attributes=("gender",)))
    row = panel(found, "squared_deviation", concept="community manager")
    assert row.n == 1 and np.isnan(row.value)
    assert panel(found, "rms_delta").value < 0.1


def test_images_are_counted_instead_of_faces_and_keys_match_exactly():
    world = world_of([0.5])
    labels = world.labels("a", attributes=("gender",))
    with pytest.raises(EvenhandError, match=r"labels the gender of image .* twice; keep one row"):
        measured(world, pd.concat([labels, labels.iloc[[3]]], ignore_index=True))
    # base/p0/1 is a part of base/p0/10: a search for its name would find both
    said = dict(zip(labels["key"], labels["label"], strict=True))
    assert said["base/p0/1"] == "woman" and said["base/p0/39"] == "man"
    found = measured(world, labels)
    share = one(
        found.estimates["base"], metric="share", concept="job0", group="woman", kind="neutral", judge="panel"
    )
    assert (share.value, share.n) == (0.5, 40)


def test_a_pooled_reference_is_an_error():
    features = np.random.default_rng(0).standard_normal((20, 4))
    with pytest.raises(EvenhandError, match="two groups share their reference images"):
        quality.kid_by_group(
            {"woman": features[:10], "man": features[10:]},
            {"woman": features, "man": features},
            rng=np.random.default_rng(0),
        )


def test_the_scale_of_a_clip_score_is_in_its_unit():
    assert catalog.alignment.unit == "100 cos" and "100 cos" in catalog.alignment.formula
    assert len({float(quality.clip_score(0.45, scale=name)) for name in quality.CLIP_SCALES}) == 3
    with pytest.raises(TypeError, match="scale"):
        quality.clip_score(0.45)


def test_a_label_keeps_its_probabilities_and_the_order_of_its_groups():
    p = np.array([[0.8, 0.1, 0.1]])
    keys = {
        "keys": ["x"],
        "judge": "a",
        "version": "1",
        "family": "a",
        "attribute": "gender",
        "status": ["ok"],
    }
    (row,) = label_rows(groups=("woman", "man"), probabilities=p, **keys).itertuples()
    assert (row.label, row.probabilities) == ("woman", [0.8, 0.1, 0.1])
    (row,) = label_rows(groups=("man", "woman"), probabilities=p[:, [1, 0, 2]], **keys).itertuples()
    assert row.label == "woman"
