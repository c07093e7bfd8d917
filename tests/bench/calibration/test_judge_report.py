"""The report on judges as a file, and its summary."""

import math

import numpy as np
import pandas as pd
import pytest

from evenhand.bench.calibration.judge_report import ask_again, tally, write_judge_report
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.metrics.judge_quality.audit import AuditRow, Seen


def row(value=0.9, *, n=40, claim=True, reason=""):
    return AuditRow("vit", "gender", "recall", "woman", "", value, 0.8, 0.95, n, claim=claim, reason=reason)


ROWS = [row(1 / 3), row(n=12, claim=False), row(math.nan, n=0, claim=False, reason="no image")]


def test_rows_claims_and_missing_values_are_counted():
    assert tally(ROWS) == {"rows": 3, "claims": 1, "missing": 1}
    assert tally([]) == {"rows": 0, "claims": 0, "missing": 0}


def test_the_file_says_what_it_is_and_has_a_line_per_row(tmp_path):
    path = tmp_path / "deep" / "judges.csv"
    write_judge_report(ROWS, path, about="240 anchors of run 'r'")
    first = path.read_text().splitlines()[0]
    assert first.startswith(
        "# audit of judges on 240 anchors of run 'r'; no claim is made of rows with fewer than 30"
    )
    table = pd.read_csv(path, comment="#")
    assert table["claim"].tolist() == ["yes", "no", "no"] and table["n"].tolist() == [40, 12, 0]
    assert table["value"][0] == 0.333333 and math.isnan(table["value"][2])


@pytest.mark.parametrize("judge", ["vitt", "hub-judge:model=none"])
def test_a_judge_that_cannot_be_loaded_is_a_reason_and_no_error(tmp_path, judge):
    keys, none = np.array(["a"], object), np.zeros(1, int)
    fields = dict.fromkeys(Seen.__dataclass_fields__, none)
    seen = Seen(**fields | {"judge": judge, "attribute": "gender", "keys": keys})
    assert ask_again([seen], run_folder=RunFolder(tmp_path), version="1").startswith(
        "the judge cannot be loaded: unknown judge"
    )
