"""The state of an interrupted fit on disk."""

import logging

import pytest
import torch

from evenhand.bench.stages import checkpoint as module
from evenhand.bench.stages.checkpoint import FitCheckpoint

STATE = {"losses": [2.0, 1.0], "parameters": [torch.arange(3.0)], "state": [{"rows": [[1.0]]}]}


def make(path, *, identity="fit", costs=None):
    resumed = []
    return FitCheckpoint(path, identity, lambda: costs or {"images": 4}, resumed.append), resumed


def test_a_state_is_stored_with_its_costs_and_removed(tmp_path):
    stored, _ = make(tmp_path / "fit" / "state.pt", costs={"images": 7})
    stored.save(STATE)
    found, resumed = make(tmp_path / "fit" / "state.pt")
    state = found.load()
    assert state["losses"] == STATE["losses"] and state["state"] == STATE["state"]
    assert torch.equal(state["parameters"][0], STATE["parameters"][0])
    assert resumed == [{"images": 7}]
    found.remove()
    assert found.load() is None and not list((tmp_path / "fit").iterdir())


def test_the_state_of_another_fit_is_not_loaded(tmp_path):
    make(tmp_path / "state.pt")[0].save(STATE)
    other, resumed = make(tmp_path / "state.pt", identity="other")
    assert other.load() is None and not resumed


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"x"])
def test_a_damaged_state_is_reported_and_not_used(tmp_path, caplog, damage):
    path = tmp_path / "state.pt"
    make(path)[0].save(STATE)
    path.write_bytes(damage(path.read_bytes()))
    again, resumed = make(path)
    with caplog.at_level(logging.WARNING):
        assert again.load() is None
    assert "cannot be resumed, fitting again" in caplog.text and not resumed


def test_a_state_is_due_after_a_while(tmp_path, monkeypatch):
    kept, _ = make(tmp_path / "state.pt")
    monkeypatch.setattr(module, "SECONDS", 1e6)
    assert not kept.due()
    monkeypatch.setattr(module, "SECONDS", 0.0)
    assert kept.due()
