"""The title block: strictly read, and kept byte for byte."""

from datetime import date

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.storage.title_block import keep_title_block, read_title_block

TEXT = """
client = "Example AG"
auditor = "A. Auditor"
scope = "Gender in images of four occupations."

[[thresholds]]
metric = "rms_delta"
attributes = "gender"
at_most = 0.3
fixed = 2026-11-01
"""


def written(tmp_path, text):
    path = tmp_path / "block.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_fields_and_thresholds_are_read(tmp_path):
    block = read_title_block(written(tmp_path, TEXT))
    assert (block.client, block.purpose) == ("Example AG", "")
    (threshold,) = block.thresholds
    assert (threshold.at_most, threshold.at_least, threshold.fixed) == (0.3, None, date(2026, 11, 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('clent = "x"', r"clent: .*; the keys are client, purpose"),
        ("client = 3", "client: Input should be a valid string"),
        ('[[thresholds]]\nmetric = "share"', r"thresholds\.0: threshold of share must have exactly one"),
        ('[[thresholds]]\nmetric = "share"\nat_most = nan', r"thresholds\.0\.at_most: .*finite"),
        ("client =", "not valid TOML"),
    ],
)
def test_wrong_file_is_an_error_of_one_line(tmp_path, text, message):
    with pytest.raises(EvenhandError, match=message) as fault:
        read_title_block(written(tmp_path, text))
    assert "\n" not in str(fault.value)


def test_block_is_kept_byte_for_byte_and_a_wrong_one_is_not(tmp_path):
    target = tmp_path / "run" / "title-block.toml"
    keep_title_block(written(tmp_path, TEXT), target)
    assert target.read_text() == TEXT
    with pytest.raises(EvenhandError):
        keep_title_block(written(tmp_path, "x = 1"), target)
    assert target.read_text() == TEXT
