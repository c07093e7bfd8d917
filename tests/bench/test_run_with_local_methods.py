"""Methods that are not registered run as objects and classes."""

import importlib.util
import sys
from pathlib import Path

import pytest
from helpers.local_methods import polite
from helpers.paths import TINY

from evenhand import evaluate
from evenhand.bench.errors import EvenhandError, MethodError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def method(tmp_path_factory):
    """The class of a file that no package registers."""
    path = polite(tmp_path_factory.mktemp("code"), name="local_polite.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module.Polite
    del sys.modules[path.stem]


@pytest.fixture(scope="module")
def run(method, tmp_path_factory):
    out = tmp_path_factory.mktemp("local") / "run"
    return evaluate(str(TINY), methods=[method, method(ending="now")], out=out)


def test_a_class_has_its_defaults_and_an_object_its_parameters(run):
    cards = {result.spec.method.label: result.spec.method for result in run.results}
    assert list(cards) == ["base", "polite", "polite:ending=now"]
    assert cards["polite"].parameters == {"ending": "please"}
    assert cards["polite:ending=now"].parameters == {"ending": "now"}


def test_the_model_gets_the_rewritten_prompts(run):
    images = run.images_frame()
    texts = images.loc[images["method"] == "polite", "text"]
    assert len(texts) and texts.str.endswith(" please").all()


def test_a_finished_run_is_reused_and_asks_for_the_objects(run, method):
    written = Path(run.folder) / "interventions" / "polite" / "cost.json"
    before = written.stat().st_mtime_ns
    again = evaluate(str(TINY), methods=[method, method(ending="now")], out=run.folder)
    assert written.stat().st_mtime_ns == before
    assert len(again.results) == 3
    with pytest.raises(EvenhandError, match="method 'polite' is not registered; pass its object again"):
        evaluate(str(TINY), methods=["base"], out=run.folder)


@pytest.mark.parametrize("step", ["check", "fit"])
def test_an_error_that_a_method_raises_is_known_as_its_own(method, tmp_path, step):
    def refuse(self, *_, **__):
        raise EvenhandError("no politeness found; give another ending")

    refusing = type("Refusing", (method,), {step: refuse, "__doc__": "Refuses."})
    with pytest.raises(MethodError, match="no politeness found"):
        evaluate(str(TINY), methods=[refusing], out=tmp_path / "run")
