"""``evenhand run``, ``report`` and ``method export`` on a tiny suite."""

import json
import re
import shutil
from pathlib import Path

import diffusers
import pytest
import torch
from helpers.paths import TINY
from safetensors.torch import load_file

from evenhand.bench.models.loading import load_model

METHODS = ("--method", "base", "--method", "mist", "--method", "random-attribute-prompt")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of the tiny suite with three methods."""
    from evenhand.bench import evaluate

    folder = tmp_path_factory.mktemp("finished") / "run"
    evaluate(str(TINY), methods=METHODS[1::2], out=folder)
    return folder


def test_a_dry_run_counts_images_and_writes_nothing(evenhand, tmp_path):
    outcome = evenhand("run", TINY, *METHODS, "--out", tmp_path / "run", "--dry-run", "--json")
    assert outcome.code == 0
    row = {"kind": "neutral", "prompts": 2, "images": 8}
    assert json.loads(outcome.out) == [{"method": name, **row} for name in METHODS[1::2]]
    plain = evenhand("run", TINY, *METHODS, "--out", tmp_path / "run", "--dry-run")
    lines = [line.split() for line in plain.out.splitlines()]
    assert lines == [["method", *row], *([name, "neutral", "2", "8"] for name in METHODS[1::2])]
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_until_decided_counts_the_most_images_that_may_be_drawn(evenhand, tmp_path):
    options = ("--method", "base", "--out", tmp_path / "run", "--dry-run", "--json")
    few, most = (
        {row["kind"]: row["images"] for row in json.loads(evenhand("run", "mini", *options, *more).out)}
        for more in ((), ("--until-decided",))
    )
    assert most == few | {"explicit": 8 * few["explicit"]}


@pytest.mark.slow
def test_a_run_prints_the_verdict_a_table_of_the_methods_and_the_report_path(evenhand, finished):
    outcome = evenhand("run", TINY, *METHODS, "--out", finished)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    head = next(place for place, line in enumerate(lines) if line.startswith("method  "))
    assert lines[head - 1] and any("of pairs of images of one concept" in line for line in lines[:head])
    assert "RMSDelta gender" in lines[head] and "same group in pairs" in lines[head]
    assert lines[head + 1].split()[0] == "base"
    assert {line.split()[0] for line in lines[head + 2 : -1]} == {"mist", "random-attribute-prompt"}
    assert lines[-1] == f"report: {finished / 'report.html'}"
    assert (finished / "report.html").is_file()


@pytest.mark.slow
def test_with_json_only_the_results_are_printed(evenhand, finished):
    outcome = evenhand("run", TINY, *METHODS, "--out", finished, "--json")
    assert outcome.err == ""
    document = json.loads(outcome.out)
    assert document["report"] == str(finished / "report.html")
    stored = [json.loads(path.read_text()) for path in sorted((finished / "results").glob("*.json"))]
    assert sorted(document["results"], key=lambda r: r["spec"]["method"]["label"]) == stored


@pytest.mark.slow
def test_progress_goes_to_standard_error_as_plain_lines(evenhand, tmp_path):
    outcome = evenhand("run", TINY, "--out", tmp_path / "run")
    assert outcome.code == 0
    assert "base" in outcome.err
    assert "8 of 8" in outcome.err
    assert not any(sign in outcome.err for sign in ("\r", "\x1b"))


@pytest.mark.slow
def test_the_report_is_rewritten_from_the_results(evenhand, finished):
    def text() -> str:
        # The chart renderer numbers its clip paths through the whole process.
        return re.sub(r"clip\d+", "clip", report.read_text(encoding="utf-8"))

    report = finished / "report.html"
    before = text()
    report.unlink()
    outcome = evenhand("report", finished)
    assert (outcome.code, outcome.out) == (0, f"report: {report}\n")
    assert text() == before


@pytest.mark.slow
def test_an_exported_weight_edit_loads_in_diffusers_as_the_edited_model(evenhand, finished, tmp_path):
    out = tmp_path / "exported"
    outcome = evenhand("method", "export", "mist", "--run", finished, "--out", out)
    assert outcome.code == 0
    assert sorted(Path(line).name for line in outcome.out.splitlines()) == sorted(
        p.name for p in out.iterdir()
    )
    edited = load_file(out / "intervention.safetensors")
    unet = diffusers.UNet2DConditionModel.from_pretrained(out / "unet").state_dict()
    plain = load_model("mini").unet.state_dict()
    changed = {f"weights/unet.{name}" for name, value in unet.items() if not torch.equal(value, plain[name])}
    assert changed
    assert changed <= set(edited)
    assert all(torch.equal(unet[name.removeprefix("weights/unet.")], edited[name]) for name in edited)


@pytest.mark.slow
def test_a_method_that_edits_no_weights_exports_only_its_data(evenhand, finished, tmp_path):
    out = tmp_path / "exported"
    assert evenhand("method", "export", "random-attribute-prompt", "--run", finished, "--out", out).code == 0
    names = {"README.md", "intervention.json", "intervention.safetensors"}
    assert {path.name for path in out.iterdir()} == names
    assert json.loads((out / "intervention.json").read_text())["data"]["adjectives"] == ["female", "male"]


@pytest.mark.slow
def test_an_export_never_overwrites(evenhand, finished, tmp_path):
    (tmp_path / "kept").write_text("dear")
    outcome = evenhand("method", "export", "mist", "--run", finished, "--out", tmp_path)
    assert outcome.code == 2
    assert "is not empty; choose an empty or new --out" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.slow
def test_an_export_of_a_method_that_was_not_run_suggests_the_nearest(evenhand, finished, tmp_path):
    outcome = evenhand("method", "export", "misst", "--run", finished, "--out", tmp_path / "new")
    assert outcome.code == 2
    assert outcome.err.endswith("'misst'; did you mean 'mist'?\n")
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_exporting_an_ambiguous_name_asks_for_the_label(evenhand, finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    document = json.loads((run / "results" / "mist.json").read_text())
    document["spec"]["method"]["label"] = "mist:rounds=2"
    (run / "results" / "mist.json").write_text(json.dumps(document))
    document["spec"]["method"]["label"] = "mist:rounds=3"
    (run / "results" / "mist-3.json").write_text(json.dumps(document))
    outcome = evenhand("method", "export", "mist", "--run", run, "--out", tmp_path / "new")
    assert outcome.code == 2
    assert "use one of mist:rounds=2, mist:rounds=3" in outcome.err
