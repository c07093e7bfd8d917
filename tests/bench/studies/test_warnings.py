"""The study of the warnings about a correction, with few repetitions."""

import numpy as np
import pytest

from evenhand.bench.studies.warnings import CASES, METHOD, catches, checks, sampled, warned


def test_the_judges_err_as_stated():
    _, answers, truth = sampled(np.random.default_rng(0), CASES[2].judges, images=3000, labelled=3000)
    medium = answers["label"][truth["label"] == "medium"]
    assert abs((medium == "medium").mean() - 0.87) < 0.03


def test_a_defect_of_edited_images_is_warned_of_and_a_fitting_table_is_not():
    fitting, edited = CASES[0], CASES[3]
    for case, expected in ((fitting, False), (edited, True)):
        tables = sampled(np.random.default_rng(1), case.judges, images=600, labelled=600)
        assert warned(checks(tables, case.calibrated)[METHOD]) is expected


@pytest.mark.slow
def test_every_case_has_a_row_for_each_number_of_labels():
    assert len(catches(repetitions=1)) == 2 * len(CASES)
