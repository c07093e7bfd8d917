"""``evenhand doctor`` checks the installation."""

import json

import pytest


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
