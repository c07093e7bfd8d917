"""Checks of the installation."""

import shutil
from importlib.metadata import version
from itertools import islice
from types import SimpleNamespace

import pytest

from evenhand.bench.doctor import LOW_DISK_GB, PACKAGES, examine


def first_checks():
    """The checks before plug-ins and the bundled model are loaded."""
    return {check.name: check for check in islice(examine(), 4)}


def test_versions_and_device_are_reported():
    found = first_checks()
    assert list(found) == ["evenhand", "packages", "device", "disk"]
    assert found["evenhand"].detail.startswith(f"{version('evenhand')} on Python 3.")
    for name in PACKAGES:
        assert f"{name} {version(name)}" in found["packages"].detail


@pytest.mark.parametrize(("free", "ok"), [(LOW_DISK_GB, True), (LOW_DISK_GB - 0.1, False)])
def test_little_free_space_fails_and_says_what_to_do(monkeypatch, tmp_path, free, ok):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free * 1e9))
    disk = first_checks()["disk"]
    assert disk.ok is ok
    assert disk.detail.startswith(f"{free:.1f} GB free in {tmp_path}")
    assert disk.detail.endswith("free some space before a run") is not ok
