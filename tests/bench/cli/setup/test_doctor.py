"""``evenhand doctor`` checks the installation, and what a suite needs."""

import json

import pytest
from helpers.paths import TINY


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


def test_methods_without_a_suite_are_refused(evenhand):
    outcome = evenhand("doctor", "--method", "mist")
    assert outcome.code == 2 and "--method needs a SUITE" in outcome.err
