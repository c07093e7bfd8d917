"""``evenhand report``: title block, manifest, signature, and their check."""

import json

import pytest
from helpers.report import parsed
from helpers.stored_run import a_stored_run

from evenhand.bench.storage.files import locked

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored") / "run"
    a_stored_run(folder, methods=("base", "mist"), seeds=1)
    return folder


def test_title_block_is_kept_so_that_the_next_report_has_it_too(evenhand, stored, tmp_path):
    block = tmp_path / "block.toml"
    block.write_text('client = "Example AG"\n')
    assert evenhand("report", stored, "--title-block", block).code == 0
    first = (stored / "report.html").read_bytes()
    assert evenhand("report", stored).code == 0
    assert (stored / "report.html").read_bytes() == first
    assert "Example AG" in parsed(first.decode()).by_id("sign-off").text


def test_signed_run_is_verified_and_a_changed_one_is_not(evenhand, stored, keys):
    secret, public = keys
    outcome = evenhand("report", stored, "--sign-with", secret)
    assert outcome.code == 0 and outcome.out.splitlines()[-1].endswith("manifest.json.minisig")
    listed = [row["path"] for row in json.loads((stored / "manifest.json").read_text())["files"]]
    assert {"report.html", "suite.toml", "results/base.json"} <= set(listed)
    verified = evenhand("report", stored, "--verify", "--public-key", public)
    assert verified.code == 0 and "the signature is valid" in verified.out
    page = (stored / "report.html").read_text()
    (stored / "report.html").write_text(page + " ")
    changed = evenhand("report", stored, "--verify", "--public-key", public)
    assert changed.code == 2 and "changed: report.html" in changed.err and len(changed.err.splitlines()) == 1


def test_manifest_is_the_same_for_the_same_run(evenhand, stored):
    found = []
    for _ in range(2):
        assert evenhand("report", stored, "--manifest").code == 0
        found.append((stored / "manifest.json").read_bytes())
    assert found[0] == found[1]
    unsigned = evenhand("report", stored, "--verify")
    assert unsigned.code == 0 and "signature" not in unsigned.out + unsigned.err


def test_nothing_is_written_into_a_run_that_is_going_on(evenhand, stored, tmp_path):
    before = (stored / "report.html").read_bytes()
    with locked(stored):
        outcome = evenhand("report", stored)
    assert outcome.code == 2 and "in use by another process" in outcome.err
    assert (stored / "report.html").read_bytes() == before
    missing = evenhand("report", tmp_path / "missing")
    assert missing.code == 2 and not (tmp_path / "missing").exists()


def test_wrong_title_block_writes_nothing(evenhand, stored, tmp_path):
    before = (stored / "report.html").read_bytes()
    (tmp_path / "block.toml").write_text("clent = 3")
    outcome = evenhand("report", stored, "--title-block", tmp_path / "block.toml")
    assert outcome.code == 2 and "clent" in outcome.err
    assert (stored / "report.html").read_bytes() == before


def test_audit_with_a_wrong_title_block_stops_before_it_starts(evenhand, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "block.toml").write_text("clent = 3")
    options = ("--prompts", tmp_path / "none.csv", "--out", tmp_path / "run")
    outcome = evenhand("audit", tmp_path / "images", *options, "--title-block", tmp_path / "block.toml")
    assert outcome.code == 2 and "clent" in outcome.err
    assert not (tmp_path / "run").exists()


def test_options_are_not_ignored(evenhand, stored, keys):
    _, public = keys
    outcome = evenhand("report", stored, "--public-key", public)
    assert outcome.code == 2 and "--public-key checks a signature only with --verify" in outcome.err
    for option in ("--pdf", "--manifest", "--open"):
        outcome = evenhand("report", stored, "--verify", option)
        assert outcome.code == 2 and f"--verify writes nothing, so it cannot be combined with {option}" in (
            outcome.err
        )
