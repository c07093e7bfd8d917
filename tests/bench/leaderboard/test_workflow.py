"""The workflow that checks submitted entries in CI; its steps are run locally."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers.paths import ROOT
from helpers.report import publish
from helpers.site import a_board

from evenhand.bench.leaderboard.build import build

WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/board.yml").read_text())
# YAML 1.1 parses the key ``on`` as true.
EVENTS = WORKFLOW[True]


def step(name):
    return next(
        step["run"] for step in WORKFLOW["jobs"]["check"]["steps"] if step.get("name", "").startswith(name)
    )


def run(command, folder):
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", command],
        cwd=folder,
        env={"PATH": path, "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def checkouts(tmp_path):
    """The two checkouts of the job: a board, and one with the same entries."""
    rows = [row.result for row in a_board() if row.result.spec.suite_version == "1"]
    results = [result for result in rows if result.spec.method.label in ("base", "uce")]
    for name in ("board", "submitted"):
        (tmp_path / name / "reports").mkdir(parents=True)
        entries = publish(tmp_path / name / "reports" / "entries", results)
        page = tmp_path / name / "README.md"
        page.write_text("<!-- board -->\n<!-- end -->\n")
        build(entries, tmp_path / name / "leaderboard.md", excerpt=page)
    return tmp_path


@pytest.mark.slow
def test_a_valid_board_passes_and_an_edited_leaderboard_fails(checkouts):
    checked = run(step("Check every entry"), checkouts)
    assert checked.returncode == 0 and "are valid" in checked.stdout, checked.stderr
    assert run(step("The leaderboard"), checkouts).returncode == 0
    with (checkouts / "submitted/leaderboard.md").open("a") as page:
        page.write("| A (1) | mine |\n")
    stale = run(step("The leaderboard"), checkouts)
    assert stale.returncode == 2 and "is out of date" in stale.stderr


@pytest.mark.slow
def test_a_verification_missing_from_the_board_is_rejected(checkouts):
    guard = step("Only maintainers")
    assert run(guard, checkouts).returncode == 0
    record = "reports/entries/uce@example-v1/verification.json"
    (checkouts / "submitted" / record).write_text("{}")
    refused = run(guard, checkouts)
    assert refused.returncode == 1 and "remove it" in refused.stdout
    (checkouts / "board" / record).write_text("{}")
    assert run(guard, checkouts).returncode == 0


def test_the_job_is_read_only_and_runs_no_submitted_code():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in EVENTS
    for job in WORKFLOW["jobs"].values():
        assert "permissions" not in job
        for one in job["steps"]:
            if one.get("uses", "").startswith("actions/checkout"):
                assert one["with"]["persist-credentials"] is False
            # The content of an event would become part of the script.
            assert "${{" not in one.get("run", "")
    installs = [one["run"] for one in WORKFLOW["jobs"]["check"]["steps"] if "pip" in one.get("run", "")]
    assert installs == ["pip install './board[sign]'"]
    code = WORKFLOW["jobs"]["check"]["steps"][0]["with"]
    assert code["path"] == "board" and "base.sha" in code["ref"]


def test_the_challenge_form_and_the_entry_template_exist():
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/challenge.yml").read_text())
    assert {"name", "description", "body"} <= set(form)
    kinds = {"input", "dropdown", "textarea", "markdown", "checkboxes"}
    assert {part["type"] for part in form["body"]} <= kinds
    assert len({part["id"] for part in form["body"]}) == len(form["body"])
    assert "evenhand board check" in (ROOT / ".github/PULL_REQUEST_TEMPLATE/entry.md").read_text()
