"""``evenhand run`` and ``report`` on a tiny suite."""

import json
import re

import pytest
from helpers.paths import TINY

METHODS = ("--method", "base", "--method", "mist", "--method", "random-attribute-prompt")


@pytest.mark.slow
def test_a_dry_run_counts_images_and_writes_nothing(evenhand, tmp_path):
    outcome = evenhand("run", TINY, *METHODS, "--out", tmp_path / "run", "--dry-run", "--json")
    assert outcome.code == 0
    row = {"kind": "neutral", "prompts": 2, "images": 8}
    assert json.loads(outcome.out) == [{"method": name, **row} for name in METHODS[1::2]]
    plain = evenhand("run", TINY, *METHODS, "--out", tmp_path / "run", "--dry-run")
    lines = [line.split() for line in plain.out.splitlines()]
    assert lines[:-4] == [["method", *row], *([name, "neutral", "2", "8"] for name in METHODS[1::2])]
    images, time, disk, downloads = plain.out.splitlines()[-4:]
    assert re.fullmatch(r"images: 24, and at most [\d,]+ more while fitting \(mist [\d,]+\)", images)
    duration = r"(\d+ min )?\d+ s"
    assert re.fullmatch(rf"time: about {duration} to generate them here, and at most .+ to fit .+", time)
    assert re.fullmatch(r"disk: about [\d.]+ [kM]?B, and at most [\d.]+ [kM]?B more during a fit", disk)
    assert downloads == "downloads: none"
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_until_decided_counts_the_most_images_that_may_be_drawn(evenhand, tmp_path):
    options = ("--method", "base", "--out", tmp_path / "run", "--dry-run", "--json")
    few, most = (
        {row["kind"]: row["images"] for row in json.loads(evenhand("run", "mini", *options, *more).out)}
        for more in ((), ("--until-decided",))
    )
    assert most == few | {"explicit": 8 * few["explicit"]}


def test_a_dry_run_without_the_model_counts_images_and_says_what_is_missing(evenhand, tmp_path):
    suite = tmp_path / "suite.toml"
    suite.write_text(TINY.read_text().replace('model = "mini"', 'model = "somebody/a-model"'))
    outcome = evenhand("run", suite, "--dry-run")
    assert outcome.code == 0
    *_, images, missing, downloads = outcome.out.splitlines()
    assert images.startswith("images: ")
    assert downloads == f"downloads: model somebody/a-model; evenhand fetch {suite} gets them"
    assert missing.startswith("time and disk: not estimated (model 'somebody/a-model' is not in the cache")


def test_a_dry_run_refuses_an_unknown_engine_as_the_run_would(evenhand):
    outcome = evenhand("run", TINY, "--dry-run", "--engine", "slurm")
    assert outcome.code == 2 and "slurm" in outcome.err and len(outcome.err.splitlines()) == 1


@pytest.mark.slow
def test_a_run_prints_the_verdict_a_table_of_the_methods_and_the_report_path(evenhand, finished):
    outcome = evenhand("run", TINY, *METHODS, "--out", finished)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert len(lines[0].split()) <= 25 and "perceived gender" in lines[0]
    head = next(place for place, line in enumerate(lines) if line.startswith("method  "))
    assert lines[head].split() == ["method", "band", "distance", "even", "obeys", "rest"]
    assert lines[head + 1].split()[:2] == ["base", "baseline"]
    assert {line.split()[0] for line in lines[head + 2 : head + 4]} == {"mist", "random-attribute-prompt"}
    assert lines[-1] == f"report: {finished / 'report.html'}"
    assert (finished / "report.html").is_file()


@pytest.mark.slow
def test_the_report_is_opened_only_on_request(evenhand, finished, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    assert evenhand("report", finished).code == 0 and opened == []
    assert evenhand("run", TINY, *METHODS, "--out", finished, "--open").code == 0
    assert evenhand("report", finished, "--open").code == 0
    assert opened == [(finished / "report.html").resolve().as_uri()] * 2
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    outcome = evenhand("report", finished, "--open")
    assert outcome.code == 2 and "no browser was found; open " in outcome.err


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
