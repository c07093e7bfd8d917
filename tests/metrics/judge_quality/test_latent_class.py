"""Dawid-Skene and Hui-Walter: published annotations of four people, crowd-kit, and simulations."""

import numpy as np
import pandas as pd
import pytest
from crowdkit.aggregation import DawidSkene
from helpers.metrics import read
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.judge_quality.agreement import cohen_kappa, krippendorff_alpha
from evenhand.metrics.judge_quality.latent_class import MISSING, code_abstention, dawid_skene, hui_walter

WORDS = {"Male": 0, "Female": 1, "Pass": 2}
RATERS = ["a1", "a2", "a3", "a4"]


def answers(source=None):
    """Codes ``(images, 4)`` of the public four-annotator set."""
    table = read("sd_gender_human_label_patterns")
    rows = table if source is None else table[table["source"] == source]
    codes = rows[RATERS].apply(lambda column: column.map(WORDS)).fillna(MISSING).to_numpy(int)
    return codes.repeat(rows["count"], axis=0)


@pytest.fixture(scope="module")
def generated():
    return answers("SD")


def test_three_classes_of_the_generated_images(generated):
    fit = dawid_skene(generated, classes=3, smoothing=0)
    assert len(generated) == 1228 and fit.converged
    assert fit.log_likelihood == pytest.approx(-2391.069, abs=1e-3)
    assert fit.shares[0] == pytest.approx([0.4901, 0.3439, 0.1660], abs=1e-4)


def test_two_classes_with_pass_as_missing(generated):
    codes = code_abstention(generated, classes=2, mode="missing")
    decided = codes[(codes != MISSING).any(axis=1)]
    fit = dawid_skene(decided, classes=2, smoothing=0)
    assert len(decided) == 1125
    assert fit.log_likelihood == pytest.approx(-880.314, abs=1e-3)
    assert fit.shares[0] == pytest.approx([0.6018, 0.3982], abs=1e-4)


def test_majority_of_the_generated_images(generated):
    """The reference shares of the majority give a tie to the first of Female, Male, Pass."""
    votes = (generated[..., None] == np.array([1, 0, 2])).sum(axis=1)
    shares = np.bincount(votes.argmax(axis=1)) / len(votes)
    assert shares == pytest.approx([0.3493, 0.5195, 0.1311], abs=1e-4)


@pytest.mark.parametrize(
    ("source", "images", "complete", "fleiss", "alpha", "without_pass"),
    [
        (None, 3571, 3555, 0.879, 0.878, 0.980),
        ("SD", 1228, 1222, 0.803, 0.803, 0.977),
        ("CR", 2343, 2333, 0.919, 0.918, 0.981),
    ],
)
def test_agreement_of_the_four_annotators(source, images, complete, fleiss, alpha, without_pass):
    codes = answers(source)
    whole = codes[(codes != MISSING).all(axis=1)]
    assert (len(codes), len(whole)) == (images, complete)
    assert fleiss_kappa(aggregate_raters(whole)[0]) == pytest.approx(fleiss, abs=5e-4)
    given = np.where(codes == MISSING, 3, codes).T
    rng = np.random.default_rng(0)
    assert krippendorff_alpha(given, 3, draws=10, rng=rng).value == pytest.approx(alpha, abs=5e-4)
    assert krippendorff_alpha(given, 2, draws=10, rng=rng).value == pytest.approx(without_pass, abs=5e-4)


def test_pairs_of_annotators_on_the_generated_images(generated):
    codes = np.where(generated == MISSING, 3, generated).T
    pairs = [(0, 1), (0, 2), (0, 3), (1, 3), (1, 2), (2, 3)]
    found = [cohen_kappa(codes[a], codes[b], 3).value for a, b in pairs]
    assert found == pytest.approx([0.823, 0.852, 0.797, 0.768, 0.788, 0.793], abs=5e-4)


@pytest.mark.filterwarnings("ignore:The (inplace|copy) keyword")
def test_each_em_step_without_smoothing_matches_crowd_kit(generated):
    ours = dawid_skene(generated, classes=3, smoothing=0, starts=0)
    items, raters = np.nonzero(generated != MISSING)
    rows = pd.DataFrame({"task": items, "worker": raters, "label": generated[items, raters]})
    # Its own stopping rule looks at a bound that falls at times, so it is switched off.
    theirs = DawidSkene(n_iter=ours.steps - 1, tol=-np.inf).fit(rows)
    assert ours.shares[0] == pytest.approx(theirs.priors_.sort_index().to_numpy(), abs=1e-9)
    for rater in range(4):
        errors = theirs.errors_.loc[rater].sort_index().to_numpy().T
        assert ours.errors[rater] == pytest.approx(errors, abs=1e-6)
    assert (ours.posteriors.argmax(axis=1) == theirs.labels_.sort_index().to_numpy()).all()


def simulated(rng, shares, errors, n):
    """Truth and answers of ``n`` items; ``errors (J, K, L)``."""
    truth = rng.choice(len(shares), size=n, p=shares)
    said = [[rng.choice(matrix.shape[1], p=matrix[k]) for k in truth] for matrix in errors]
    return truth, np.array(said).T


def binary(sensitivity, specificity):
    return np.array([[sensitivity, 1 - sensitivity], [1 - specificity, specificity]])


JUDGES = np.stack([binary(*pair) for pair in [(0.96, 0.98), (0.93, 0.95), (0.90, 0.99), (0.97, 0.94)]])


@pytest.mark.parametrize("share", [0.5, 0.2, 0.05])
def test_shares_and_errors_of_independent_judges_are_recovered(share):
    _, said = simulated(np.random.default_rng(3), [share, 1 - share], JUDGES, 2000)
    fit = dawid_skene(said, classes=2, smoothing=0)
    assert fit.shares[0, 0] == pytest.approx(share, abs=0.03)
    assert np.abs(fit.errors - JUDGES).max() < 0.08


def test_posteriors_follow_bayes_rule_under_the_fitted_model():
    _, said = simulated(np.random.default_rng(4), [0.3, 0.7], JUDGES, 300)
    said[::7, 1] = MISSING
    fit = dawid_skene(said, classes=2)
    for item in (0, 5, 7, 14):
        parts = fit.shares[0].copy()
        for judge, answer in enumerate(said[item]):
            if answer != MISSING:
                parts *= fit.errors[judge, :, answer]
        assert fit.posteriors[item] == pytest.approx(parts / parts.sum(), abs=1e-4)


def test_two_judges_and_two_populations_identify_the_model():
    rng = np.random.default_rng(5)
    first, second = (simulated(rng, [share, 1 - share], JUDGES[:2], 4000)[1] for share in (0.1, 0.9))
    fit = hui_walter(np.concatenate([first, second]), classes=2, populations=np.repeat([0, 1], 4000))
    assert fit.shares[:, 0] == pytest.approx([0.1, 0.9], abs=0.03)
    assert np.abs(fit.errors - JUDGES[:2]).max() < 0.05


def test_populations_may_have_any_codes(generated):
    population = np.arange(len(generated)) % 2
    fits = [
        dawid_skene(generated, classes=3, populations=codes, starts=1)
        for codes in (population, 3 * population)
    ]
    assert fits[1].converged
    np.testing.assert_array_equal(fits[1].shares, fits[0].shares)
    np.testing.assert_array_equal(fits[1].posteriors, fits[0].posteriors)


def test_a_fit_that_explains_every_label_converges():
    fit = dawid_skene(np.zeros((4, 2), int), classes=2, smoothing=0, starts=0)
    assert fit.log_likelihood == pytest.approx(0, abs=1e-12) and fit.converged


def test_anchors_stay_fixed_and_determine_the_class_order():
    truth, said = simulated(np.random.default_rng(6), [0.4, 0.6], JUDGES[:3], 400)
    known = np.where(np.arange(400) < 50, truth, MISSING)
    fit = dawid_skene(said, classes=2, anchors=known)
    assert (fit.posteriors[:50] == np.eye(2)[truth[:50]]).all()
    flipped = dawid_skene(said, classes=2, anchors=np.where(known == MISSING, known, 1 - known))
    assert (flipped.posteriors[:50] == np.eye(2)[1 - truth[:50]]).all()


def test_abstention_can_be_informative():
    """Judges who abstain mostly on class 1: as one more answer that tells the classes apart."""
    rng = np.random.default_rng(7)
    errors = np.stack([np.array([[0.9, 0.05, 0.05], [0.25, 0.25, 0.5]])] * 3)
    truth, said = simulated(rng, [0.5, 0.5], errors, 3000)
    informed = dawid_skene(code_abstention(said, classes=2, mode="answer"), classes=2, choices=3)
    assert informed.shares[0, 0] == pytest.approx(0.5, abs=0.04)
    assert (informed.posteriors.argmax(axis=1) == truth).mean() > 0.85
    ignored = dawid_skene(code_abstention(said, classes=2, mode="missing"), classes=2)
    assert abs(ignored.shares[0, 0] - 0.5) > 0.05


def test_order_of_items_raters_and_classes_changes_nothing():
    _, said = simulated(np.random.default_rng(8), [0.3, 0.7], JUDGES, 500)
    fit = dawid_skene(said, classes=2)
    turned = dawid_skene(1 - said[::-1, ::-1], classes=2)
    assert turned.posteriors[::-1, ::-1] == pytest.approx(fit.posteriors, abs=1e-3)
    assert turned.errors[::-1, ::-1, ::-1] == pytest.approx(fit.errors, abs=1e-3)


def test_shared_errors_bias_the_latent_class_model():
    """Five in a hundred images that all judges get wrong together nearly double a share of 0.05."""
    rng = np.random.default_rng(9)
    _, said = simulated(rng, [0.05, 0.95], JUDGES, 4000)
    hard = rng.random(4000) < 0.05
    said[hard] = 0
    assert dawid_skene(said, classes=2).shares[0, 0] > 0.085


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dawid_skene([[MISSING, MISSING]], classes=2), "all labels are missing"),
        (lambda: dawid_skene([[0, 2]], classes=2), "answer codes must be 0 to 1"),
        (
            lambda: dawid_skene([[0, 1]], classes=2, anchors=[5]),
            "anchor codes must be 0 to 1",
        ),
        (lambda: hui_walter([[0, 1]], classes=2, populations=[0]), "needs at least 2 populations"),
    ],
)
def test_bad_input_is_a_one_line_error(call, message):
    with pytest.raises(EvenhandError, match=message) as fault:
        call()
    assert "\n" not in str(fault.value)
