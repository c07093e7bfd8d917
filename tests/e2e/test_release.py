"""The workflow of a release: what it publishes is attested, and no job has more rights than it needs."""

import os
import subprocess

import pytest
import yaml
from helpers.paths import ROOT

JOBS = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())["jobs"]


def steps(job):
    return {
        step["uses"].partition("@")[0]: step.get("with", {}) for step in JOBS[job]["steps"] if "uses" in step
    }


def test_packages_are_attested_with_their_bill_of_materials_before_they_are_published():
    found = steps("build")
    assert found["actions/attest-build-provenance"]["subject-path"] == "dist/*"
    assert found["actions/attest-sbom"] == {"subject-path": "dist/*", "sbom-path": "evenhand.cdx.json"}
    assert JOBS["publish"]["needs"] == "build" and JOBS["attach"]["needs"] == "publish"


def test_publishing_needs_no_stored_password():
    assert steps("publish")["pypa/gh-action-pypi-publish"] == {}
    assert JOBS["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in (ROOT / ".github" / "workflows" / "release.yml").read_text()


@pytest.mark.parametrize(("tag", "code"), [("v0.1.0", 0), ("v9.9.9", 1), ("0.1.0", 1)])
def test_a_tag_that_is_not_the_version_stops_the_release(tag, code):
    command = next(
        step["run"] for step in JOBS["build"]["steps"] if step.get("name") == "The tag is the version"
    )
    environment = {**os.environ, "GITHUB_REF_NAME": tag}
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment, check=False)
    assert done.returncode == code
