"""Every benchmark runs all of its steps at a small size and checks what it compares."""

from pathlib import Path

import pytest
import torch
from helpers.stored_run import a_stored_run

from evenhand.bench.benchmarks import editing, generation, gpu, measurement, scale, scrolling
from evenhand.bench.report import write_report


@pytest.fixture(autouse=True)
def no_compiled_graphs_are_left():
    yield
    torch._dynamo.reset()


@pytest.mark.slow
def test_accelerator_benchmarks_can_be_tried_without_an_accelerator(capsys):
    gpu.main(["--device", "cpu", "--tiny", "--images", "2"])
    out = capsys.readouterr().out
    for family in gpu.BATCHES:
        assert f"{family}: switching the weights of a method does not recompile" in out
        assert f"{family}: " in out and "of the matrix rate" in out
    assert "edit of 36 concepts" in out and "switch to a method and back" in out


def test_without_an_accelerator_the_error_says_how_to_test_the_script():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(SystemExit, match="--device cpu --tiny"):
        gpu.main([])


def test_an_edit_that_differs_from_the_baseline_stops_the_benchmark(monkeypatch):
    right = editing.together
    monkeypatch.setattr(editing, "together", lambda *parts: [1.1 * each for each in right(*parts)])
    with pytest.raises(SystemExit, match="expected at most"):
        editing.compare("cpu", tiny=True)


@pytest.mark.slow
def test_generation_is_compared_with_the_diffusers_pipeline(monkeypatch, capsys):
    monkeypatch.setattr(generation, "ROUNDS", 1)
    generation.main(["--images", "2"])
    shown = capsys.readouterr().out
    assert [shown.count(way) for way in ("evenhand:", "16 per call:", "one per call:")] == [2, 2, 2]


@pytest.mark.slow
def test_published_entries_are_measured_as_one_run(capsys):
    entries = Path(__file__).parents[3] / "reports" / "entries"
    measurement.main([str(entries / f"{name}@mini-v1") for name in ("uce", "base")] + ["--methods", "2"])
    assert capsys.readouterr().out.startswith("2 methods, 3348 images, 5000 draws: ")


def test_the_bootstrap_agrees_with_the_loop(monkeypatch, capsys):
    for name, value in {"METHODS": 1, "DRAWS": 100, "LOOPED": 5, "SEEDS": 4}.items():
        monkeypatch.setattr(measurement, name, value)
    measurement.main([])
    assert "1 methods x 100 draws x 720 images" in capsys.readouterr().out


@pytest.mark.slow
def test_a_gallery_is_opened_and_scrolled(tmp_path, monkeypatch, capsys):
    a_stored_run(tmp_path)
    write_report(tmp_path)
    monkeypatch.setattr(scrolling, "STEPS", 3)
    monkeypatch.setattr(scrolling, "JUMPS", 2)
    scrolling.main([str(tmp_path / "gallery.html")])
    opened, steps, jumps = capsys.readouterr().out.splitlines()
    assert opened.startswith("opened: ") and steps.startswith("steps: mean ") and jumps.startswith("jumps: ")


@pytest.mark.slow
def test_a_simulated_run_has_about_the_requested_number_of_label_rows(tmp_path, monkeypatch):
    suite = scale.enlarged(60_000)
    monkeypatch.setattr(scale, "METHODS", ("base",))
    monkeypatch.setattr(scale, "enlarged", lambda rows: suite)
    scale.simulate(0, tmp_path)
    _, images = scale.planned(suite, tmp_path, scale.sampler_of(suite))
    rows = scale.evaluation_of(suite, tmp_path).run_folder.labels.read()
    assert set(rows["key"]) <= set(images["key"])
    assert 0.9 < 4 * len(rows) / 60_000 < 1.1
    assert scale.evaluation_of(suite, tmp_path).labelled()["vit"] == set(rows["key"])
