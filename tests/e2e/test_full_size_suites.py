"""The full-size suites run on the architectures of the releases, from the command line to the leaderboard.

All weights are random. Generators are narrow (see :mod:`helpers.released`) and draw 64 pixels, so that a run
takes seconds. FairFace is at full size; the other judges and the scorer are small.
"""

import json
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from helpers.fairface import fairface_weights
from helpers.released import save_open_clip, save_released, save_scorer
from helpers.vit import classifier

from evenhand.bench.models import sampler
from evenhand.bench.models.compilation import compiled

pytestmark = pytest.mark.slow

RACES = ("Black", "East Asian", "Indian", "Latino_Hispanic", "Middle Eastern", "Southeast Asian", "White")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Judges and the scorer in the formats that the suites name."""
    folder = tmp_path_factory.mktemp("weights")
    return SimpleNamespace(
        fairface=fairface_weights(folder / "res34_fair_align_multi_7_20190809.pt"),
        clip=save_open_clip(folder / "ViT-L-14", "ViT-L-14"),
        steering=save_open_clip(folder / "ViT-B-32", "ViT-B-32"),
        gender=classifier(folder / "gender", ["woman", "man"]),
        race=classifier(folder / "race", RACES, seed=1),
        age=classifier(folder / "age", ["20-29", "70+"], seed=2),
        other=classifier(folder / "other", ["woman", "man"], seed=3),
        scorer=save_scorer(folder / "scorer"),
    )


def settings(weights, *, panel, **more):
    """The options of a user with other weights and little time: their places, and small images."""
    steering = f"open-clip:crop=image,model={weights.steering}"
    values = {
        "protocol.width": 64,
        "protocol.height": 64,
        "bootstrap.draws": 200,
        "panel": panel,
        "non_voting_judges": [steering],
        "scorer": str(weights.scorer),
        "methods.sortition.judge": steering,
        "methods.uce.judge": steering,
    }
    return [
        text
        for key, value in (values | more).items()
        for text in ("--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}")
    ]


def run_and_publish(evenhand, *arguments, folder):
    """Run, submit and check; the results by method."""
    outcome = evenhand("run", *arguments, "--limit", 1, "--out", folder / "run", "--json")
    assert outcome.code == 0, outcome.err
    for command in (("submit", folder / "run"), ("check",)):
        board = evenhand("board", *command, "--entries", folder / "entries")
        assert board.code == 0, board.err
    results = json.loads(outcome.out)["results"]
    assert board.out.count(": reported\n") == len(results)
    assert board.out.endswith(f"are valid: {len(results)} reported\n")
    return {result["spec"]["method"]["name"]: result for result in results}


def check_run(folder, results, *, judges):
    """All images were drawn and judged, the panel decided their gender, and the report shows all methods."""
    for result in results.values():
        coverage = result["coverage"]
        assert coverage["made"] == coverage["planned"] > 0
        assert {row["judge"].split(":")[0] for row in coverage["rows"]} == {*judges, "panel"}
        # Three families that decide between two groups always have a majority.
        voted = [r for r in coverage["rows"] if (r["judge"], r["attribute"]) == ("panel", "gender")]
        assert voted and all(row["ok"] == row["images"] > 0 for row in voted)
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert all(result["spec"]["method"]["title"] in report for result in results.values())


@pytest.mark.filterwarnings("error:Dynamo detected")
def test_gender_fast_runs_compiled_on_stable_diffusion_15(evenhand, weights, tmp_path, monkeypatch):
    # The graph of the true architecture is traced; compiling it to machine code takes minutes.
    monkeypatch.setattr(sampler, "compiled", partial(compiled, backend="eager"))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    panel = [
        f"fairface:weights={weights.fairface}",
        f"open-clip:crop=image,model={weights.clip}",
        f"image-classifier:crop=image,gender={weights.gender}",
        f"image-classifier:crop=image,family=other,gender={weights.other}",
    ]
    results = run_and_publish(
        evenhand,
        *("gender-fast", "--model", save_released("sd1", tmp_path / "stable-diffusion-v1-5")),
        # Every step runs the same graph, and many processors only emulate bfloat16.
        *settings(weights, panel=panel, **{"protocol.steps": 4}),
        *("--method", "base", "--method", "sortition:anchors=8,images=8,batch=8"),
        folder=tmp_path,
    )
    assert {*results} == {"base", "sortition"}
    check_run(tmp_path / "run", results, judges={"fairface", "open-clip", "image-classifier"})
    protocol = results["base"]["spec"]["protocol"]
    assert (protocol["steps"], protocol["precision"], protocol["compilation"]) == (4, "bfloat16", "whole")
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2, "the U-Net and the decoder"
    torch._dynamo.reset()


def test_intersectional_fast_runs_on_stable_diffusion_xl(evenhand, weights, tmp_path):
    faces = f"gender={weights.gender},race={weights.race},age={weights.age}"
    panel = [
        f"open-clip:crop=image,model={weights.clip}",
        f"image-classifier:crop=image,{faces}",
        f"image-classifier:crop=image,family=other,gender={weights.other}",
    ]
    sampling = {
        "protocol.solver": "euler",
        "protocol.steps": 3,
        # The other suite draws in bfloat16.
        "protocol.precision": "float32",
        "protocol.compilation": "none",
        "methods.uce.preserve": [],
    }
    results = run_and_publish(
        evenhand,
        *("intersectional-fast", "--model", save_released("sdxl", tmp_path / "stable-diffusion-xl-base-1.0")),
        *settings(weights, panel=panel, **sampling),
        *("--method", "base", "--method", "targeted-attribute-prompt"),
        *("--method", "uce:images=8,rounds=1"),
        folder=tmp_path,
    )
    assert {*results} == {"base", "targeted-attribute-prompt", "uce"}
    check_run(tmp_path / "run", results, judges={"open-clip", "image-classifier"})
    assert results["base"]["spec"]["primary"] == "gender*race4"
