"""``evenhand tune``: errors before anything is drawn. Searches are tested in the room of tuning."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("entigen",), "'entigen' has nothing to tune"),
        (("fair-difusion",), "did you mean 'fair-diffusion'"),
        (("eos-swap", "--suite", "mini-quick"), "tuning"),
        (("eos-swap", "--suite", "mini-22"), "did you mean 'mini-2'"),
        (("eos-swap", "--workers", "0"), "--workers"),
    ],
)
def test_a_search_that_cannot_start_is_an_error_and_writes_no_record(evenhand, tmp_path, arguments, reason):
    folders = ("--out", tmp_path / "tuning", "--work", tmp_path / "work")
    outcome = evenhand("tune", *arguments, *folders)
    assert (outcome.code, outcome.out) == (2, "")
    assert reason in outcome.err
    assert not any((tmp_path / name).exists() for name in ("tuning", "work"))
