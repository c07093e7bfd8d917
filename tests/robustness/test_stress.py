"""Whole runs with few, no or invalid images to measure: no number is invented."""

import math

import numpy as np
import pytest
from helpers.paths import TINY
from helpers.report import parsed

from evenhand.bench.models.sampler import Sampler
from evenhand.bench.results.result import Result
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.methods.base import Intervention
from evenhand.methods.weights.uce import Uce
from evenhand.metrics.judges.base import Answer
from evenhand.metrics.judges.image_classification import ImageClassificationJudge
from evenhand.metrics.judges.open_clip import OpenClipJudge

TINY_TEXT = TINY.read_text()

CONCEPTS = (
    "barber/stylist",
    "../nurse",
    "\U0001f469\U0001f3ff\u200d\U0001f692",
    "\u05e8\u05d5\u05e4\u05d0",
    "<b>nurse</b>",
    "=CEO",
)


def prompts(path, rows):
    lines = [f'"{text}",{concept},photo,neutral,' for text, concept in rows]
    path.write_text("\n".join(["prompt,concept,template,kind,cell", *lines, ""]), encoding="utf-8")
    return path


def suite(path, *, csv=None, seeds=4, **changes):
    text = TINY_TEXT.replace("seeds = 4", f"seeds = {seeds}")
    if csv:
        text = text.replace('name = "winobias-40"', f'name = "{csv}"')
        text = text.replace('concepts = ["nurse", "CEO"]\ntemplates = ["photo"]\n', "")
    for old, new in changes.items():
        text = text.replace(old, new)
    path.write_text(text)
    return path


def rows_of(result, metric, **wanted):
    return [
        row
        for row in result.estimates
        if row.metric == metric and all(getattr(row, name) == value for name, value in wanted.items())
    ]


@pytest.mark.slow
def test_one_image_each_of_occupations_with_odd_names(evenhand, tmp_path):
    csv = prompts(tmp_path / "odd.csv", [(f"a photo of a {name}"[:60], name) for name in CONCEPTS])
    out = tmp_path / "run"
    outcome = evenhand(
        "run", suite(tmp_path / "suite.toml", csv=csv, seeds=1), "--method", "base", "--out", out
    )
    assert outcome.code == 0, outcome.err
    result = Result.load(out / "results" / "base.json")
    assert tuple(result.spec.concepts) == CONCEPTS
    shares = rows_of(result, "share", judge="panel", group="woman", corrected=False)
    of_concepts = {row.concept: row for row in shares if row.concept}
    assert set(of_concepts) <= set(CONCEPTS)
    assert all(row.n <= 1 for row in of_concepts.values())
    for row in result.estimates:
        ends = (row.low, row.high)
        assert all(map(math.isnan, ends)) or ends[0] <= ends[1], row
        assert row.n > 0 or math.isnan(row.value), f"a number from no image: {row}"
    page = parsed((out / "report.html").read_text())
    assert "<b>nurse</b>" in page.text and "\u05e8\u05d5\u05e4\u05d0" in page.text
    assert not list(tmp_path.glob("nurse*")), "a concept must not be used as a path"


@pytest.mark.slow
def test_a_prompt_of_500_tokens_is_rejected_before_generation(evenhand, tmp_path):
    csv = prompts(tmp_path / "long.csv", [("a " * 497 + "nurse", "nurse")])
    out = tmp_path / "run"
    outcome = evenhand("run", suite(tmp_path / "suite.toml", csv=csv), "--method", "base", "--out", out)
    assert outcome.code == 2
    assert "has 500 tokens, mini accepts 24; shorten it" in outcome.err.splitlines()[-1]
    assert not list(out.rglob("*.png"))


def test_10000_groups_are_rejected_at_once(evenhand, tmp_path):
    groups = "".join(f'g{number} = {{ adjective = "a{number}" }}\n' for number in range(10_000))
    head, tail = TINY_TEXT.split("[attributes.gender.groups]")
    path = tmp_path / "suite.toml"
    path.write_text(head + "[attributes.gender.groups]\n" + groups + tail[tail.index("[[prompts]]") :])
    outcome = evenhand("run", path, "--out", tmp_path / "run")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "got 10000; merge groups" in outcome.err


@pytest.mark.slow
def test_an_edit_that_breaks_the_model_is_recorded_as_such(evenhand, tmp_path, monkeypatch):
    def broken(self, task):
        weights = task.model.cross_attention()
        return Intervention(weights={name: np.nan * value for name, value in weights.items()})

    monkeypatch.setattr(Uce, "fit", broken)
    out = tmp_path / "run"
    outcome = evenhand("run", suite(tmp_path / "suite.toml"), "--method", "uce", "--out", out)
    assert outcome.code == 3
    assert "8 of 16 images have non-finite pixels (first method: uce)" in outcome.err.splitlines()[-1]
    table = RunFolder(out).image_table.read()
    assert dict(table.groupby("method")["status"].unique().map(list)) == {"base": ["ok"], "uce": ["error"]}
    result = Result.load(out / "results" / "uce.json")
    assert (result.coverage.made, result.coverage.failed) == (0, {"error": 8})
    for row in rows_of(result, "rms_delta") + rows_of(result, "share") + rows_of(result, "alignment"):
        assert math.isnan(row.value) and row.n == 0, f"a number from broken images: {row}"
    assert not math.isnan(
        Result.load(out / "results" / "base.json").estimate("rms_delta", attributes="gender").value
    )
    again = evenhand("run", tmp_path / "suite.toml", "--method", "uce", "--out", out)
    assert again.code == 3, "broken images are not regenerated"


@pytest.mark.slow
def test_nonfinite_judge_answers_count_as_errors(evenhand, tmp_path, monkeypatch):
    def of(value):
        def label(self, images):
            return {
                name: Answer(np.full((len(images), len(groups) + 1), value), ("ok",) * len(images))
                for name, groups in self.info.taxonomies.items()
            }

        return label

    monkeypatch.setattr(OpenClipJudge, "label", of(np.nan))
    monkeypatch.setattr(ImageClassificationJudge, "label", of(np.inf))
    out = tmp_path / "run"
    outcome = evenhand("run", suite(tmp_path / "suite.toml"), "--method", "base", "--out", out)
    assert outcome.code == 0, outcome.err
    labels = RunFolder(out).labels.read()
    single = labels[labels["judge"] != "panel"]
    assert set(single["status"]) == {"error"} and set(labels["label"]) == {""}
    result = Result.load(out / "results" / "base.json")
    for row in rows_of(result, "share") + rows_of(result, "rms_delta"):
        assert math.isnan(row.value) and row.n == 0, f"a number from nothing: {row}"
    (rate,) = rows_of(result, "undetermined", judge="panel", concept="", attributes="gender")[:1]
    assert rate.value == 1
    assert parsed((out / "report.html").read_text()).text


def test_missing_judge_weights_stop_the_run_before_generation(evenhand, tmp_path):
    path = suite(
        tmp_path / "suite.toml", **{'"clip-s", "vit"': '"clip-s", "image-classifier:gender=nowhere"'}
    )
    outcome = evenhand("run", path, "--method", "base", "--out", tmp_path / "run")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "nowhere" in outcome.err and not list((tmp_path / "run").rglob("*.png"))


@pytest.mark.slow
def test_a_model_without_finite_images_stops_the_run_at_its_first_batch(evenhand, tmp_path, monkeypatch):
    decode = Sampler._decode
    monkeypatch.setattr(Sampler, "_decode", lambda self, by, latents: decode(self, by, latents * np.nan))
    out = tmp_path / "run"
    outcome = evenhand("run", suite(tmp_path / "suite.toml"), "--method", "base", "--out", out)
    assert outcome.code == 2, outcome.err
    assert "model 'mini' draws non-finite pixels in all of its first 8 images" in outcome.err.splitlines()[-1]
    assert not list(out.rglob("*.png"))
