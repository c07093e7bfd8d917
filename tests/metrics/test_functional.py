"""Metrics as functions of counts."""

import numpy as np
import pandas as pd
import pytest
from helpers.label_frames import wide

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import audit_labels, catalog, functional
from evenhand.metrics.base import LabelMetric

PLAIN = sorted(
    name for name, value in vars(functional).items() if isinstance(getattr(catalog, name, None), LabelMetric)
)


@pytest.fixture(scope="module")
def audited():
    return audit_labels(
        wide(),
        concept="prompt",
        attributes=["gender", "race"],
        draws=100,
        metrics=[name for name in PLAIN if name != "share"],
    )


@pytest.mark.parametrize("name", [name for name in PLAIN if name != "share"])
def test_a_function_of_counts_gives_what_an_audit_of_the_labels_reports(name, audited):
    for attribute in ("gender", "race"):
        counts = pd.crosstab(wide()["prompt"], wide()[attribute])
        expected = audited.overall.loc[(attribute, name), "value"]
        assert getattr(functional, name)(counts) == pytest.approx(expected, abs=1e-12)


def test_shares_are_means_over_concepts():
    assert functional.share([[3, 1], [0, 8]]) == pytest.approx([0.375, 0.625])


def test_two_groups_and_an_even_target_have_closed_forms():
    # V = (p - q)^2 summed, minus (1 - sum p^2) / (n - 1), over its largest value 1/2.
    p = np.array([0.75, 0.25])
    expected = np.sqrt((2 * 0.25**2 - (1 - (p**2).sum()) / 39) / 0.5)
    assert functional.rms_delta([30, 10]) == pytest.approx(expected)
    assert functional.delta_tv([30, 10]) == pytest.approx(0.5)
    assert functional.delta_tv([30, 10], target=[0.75, 0.25]) == 0


def test_no_decided_image_is_not_zero():
    assert np.isnan(functional.rms_delta([[0, 0]]))


def test_any_metric_of_labels_has_a_score():
    joint = functional.score(catalog.entanglement, [[10, 0, 0, 10]], shape=(2, 2))
    assert joint == pytest.approx(np.log(2))
    assert functional.score(catalog.undetermined, [[5, 5]], undetermined=[10]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: functional.rms_delta([[1, -1]]), "non-negative"),
        (lambda: functional.rms_delta([[1, 2]], target=[0.5, 0.6]), "sum to 1"),
        (lambda: functional.score(catalog.entanglement, [[1, 2]]), "needs the shape"),
        (lambda: functional.score(catalog.explicit_fidelity, [[1, 2]]), "needs explicit prompts"),
        (lambda: functional.score(catalog.delta_tv, [[1, 2]], shape=(2, 2)), "as many cells"),
    ],
)
def test_invalid_input_is_refused(call, message):
    with pytest.raises(EvenhandError, match=message):
        call()
