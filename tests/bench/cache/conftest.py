"""The bundled model, judges and scorer, loaded once for all tests of caches; and a copy of a cache."""

import shutil
from functools import cache

import pytest
from helpers.cache import a_cache

from evenhand.bench.models.loading import load_model
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.stages.resources import load_scorer

MODEL, JUDGE, SCORER = cache(load_model), cache(load_judge), cache(load_scorer)


@pytest.fixture(autouse=True)
def loaded_once(monkeypatch):
    for place in ("bench.cache.workbench", "bench.run"):
        monkeypatch.setattr(f"evenhand.{place}.load_model_of", lambda suite: MODEL(suite.model))
    monkeypatch.setattr("evenhand.bench.stages.measure.load_judge", JUDGE)
    monkeypatch.setattr("evenhand.bench.stages.measure.load_scorer", SCORER)


@pytest.fixture
def shared_cache(tmp_path):
    """A cache that the test may change."""
    return shutil.copytree(a_cache(), tmp_path / "cache")
