"""``evenhand report``: title block, manifest, signature, and their check."""

import json
import shutil

import pytest
from helpers.paths import TINY
from helpers.report import parsed
from helpers.stored_run import a_stored_run
from helpers.tiny import tiny_run

from evenhand.bench import evaluate
from evenhand.bench.storage.files import locked

pytestmark = pytest.mark.slow

METHODS = ("base", "mist", "random-attribute-prompt")


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


@pytest.mark.parametrize(
    "name",
    ["tables/labels.parquet", "tables/images.parquet", "interventions/mist/intervention.safetensors"],
)
def test_damaged_files_are_not_signed_until_the_same_run_has_regenerated_them(evenhand, keys, tmp_path, name):
    folder = shutil.copytree(tiny_run(*METHODS), tmp_path / "run")
    (folder / name).write_bytes((folder / name).read_bytes()[:-100])
    refused = evenhand("report", folder, "--sign-with", keys[0])
    assert refused.code == 2 and len(refused.err.splitlines()) == 1
    assert str((folder / name).parent) in refused.err and "run the same `evenhand run`" in refused.err
    assert not (folder / "manifest.json").exists()
    if name.startswith("tables"):
        assert evenhand("report", folder).code == 2
    evaluate(str(TINY), methods=METHODS, out=folder)
    assert evenhand("report", folder, "--sign-with", keys[0]).code == 0
    assert evenhand("report", folder, "--verify", "--public-key", keys[1]).code == 0


def test_an_intervention_of_another_result_is_neither_signed_nor_exported(evenhand, keys, tmp_path):
    folder = shutil.copytree(tiny_run(*METHODS), tmp_path / "run")
    shutil.copytree(folder / "interventions" / "base", folder / "interventions" / "mist", dirs_exist_ok=True)
    for command in (
        ("report", folder, "--sign-with", keys[0]),
        ("method", "export", "mist", "--run", folder),
    ):
        refused = evenhand(*command, *(("--out", tmp_path / "out") if command[0] == "method" else ()))
        assert refused.code == 2 and "is not the one of the result of mist" in refused.err, refused.err


def test_a_damaged_suite_file_is_refused_with_a_remedy_that_works(evenhand, tmp_path):
    folder = shutil.copytree(tiny_run(*METHODS), tmp_path / "run")
    (folder / "suite.toml").write_text("[")
    refused = evenhand("report", folder)
    assert refused.code == 2 and "remove the file and run the same `evenhand run`" in refused.err
    (folder / "suite.toml").unlink()
    evaluate(str(TINY), methods=METHODS, out=folder)
    assert evenhand("report", folder).code == 0
