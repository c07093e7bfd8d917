"""``evenhand doctor`` checks the installation, and what a suite needs."""

import json

import pytest
from helpers.paths import TINY

pytestmark = pytest.mark.usefixtures("disk_with_room")


@pytest.mark.slow
def test_doctor_passes_for_a_working_installation(evenhand):
    outcome = evenhand("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(outcome.out)}
    assert outcome.code == 0
    assert {"evenhand", "packages", "device", "disk", "bundled model"} <= set(checks)
    assert all(check["ok"] for check in checks.values())


@pytest.mark.slow
def test_doctor_reports_a_broken_plugin_and_fails(evenhand, tmp_path, monkeypatch):
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[evenhand.methods]\nbroken = no_such_module:Method\n")
    monkeypatch.syspath_prepend(tmp_path)
    outcome = evenhand("doctor")
    assert outcome.code == 2
    fault = next(line for line in outcome.out.splitlines() if line.startswith("FAULT"))
    assert "method broken" in fault
    assert "package broken" in fault


@pytest.mark.slow
def test_doctor_lists_everything_that_a_suite_lacks_and_names_the_command_that_gets_it(evenhand, tmp_path):
    suite = tmp_path / "suite.toml"
    changed = TINY.read_text().replace('model = "mini"', 'model = "org/model"').replace('"vit"', '"deepface"')
    suite.write_text(changed)
    outcome = evenhand("doctor", suite, "--method", "base")
    faults = [line.split()[1:3] for line in outcome.out.splitlines() if line.startswith("FAULT")]
    assert outcome.code == 2 and faults == [["model", "org/model"], ["judge", "deepface"]]
    assert outcome.out.splitlines()[-1] == f"evenhand fetch {suite} downloads what the hub has"
    assert evenhand("doctor", TINY).code == 0


@pytest.mark.slow
def test_doctor_looks_for_another_model_and_other_judges_than_those_of_the_suite(evenhand):
    other = ("--model", "org/model", "--set", 'panel=["deepface"]')
    outcome = evenhand("doctor", TINY, "--method", "base", *other)
    faults = [line.split()[1:3] for line in outcome.out.splitlines() if line.startswith("FAULT")]
    assert outcome.code == 2 and faults == [["model", "org/model"], ["judge", "deepface"]]
    fetch = f"evenhand fetch {TINY} --model org/model --set 'panel=[\"deepface\"]'"
    assert outcome.out.splitlines()[-1] == f"{fetch} downloads what the hub has"


@pytest.mark.parametrize("options", [("--method", "mist"), ("--model", "mini"), ("--set", "panel=[]")])
def test_options_of_a_run_without_a_suite_are_refused(evenhand, options):
    outcome = evenhand("doctor", *options)
    assert outcome.code == 2 and "--method, --model and --set need a SUITE" in outcome.err
