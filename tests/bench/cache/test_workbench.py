"""What a push or pull plans of a suite."""

import pytest
from helpers.paths import TINY

from evenhand.bench.cache.layout import BASELINE
from evenhand.bench.cache.workbench import Workbench, is_baseline
from evenhand.bench.registry.method_spec import parse_method
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.fits import Fitted
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.suites.suite import load_suite
from evenhand.methods.base import Intervention
from evenhand.methods.embeddings.eos_swap import EosSwap

pytestmark = pytest.mark.slow


@pytest.fixture
def workbench(tmp_path):
    suite = load_suite(str(TINY))
    uses = [parse_method(name, suite=suite) for name in ("base", "eos-swap")]
    return Workbench(suite, uses, RunFolder(tmp_path), Progress(quiet=True))


def test_the_planned_images_of_the_baseline_are_of_no_code(workbench):
    base, swap = workbench.uses
    assert is_baseline(base) and not is_baseline(swap)
    planned = workbench.images_of(base, None)
    assert len(planned.jobs) == 8 and {planned.code(key) for key in planned.jobs} == {BASELINE}
    assert planned.people([*planned.jobs]) == [*planned.jobs]


def test_images_that_a_method_changes_are_of_its_code(workbench):
    _, swap = workbench.uses
    fitted = Fitted(EosSwap.intervention_type(data={"a": 1}), images=0, judgements=0, evaluations=0, bytes=0)
    planned = workbench.images_of(swap, fitted)
    assert {planned.code(key) for key in planned.jobs} == {workbench.identity(swap).code[:16]}


def test_an_intervention_that_changes_nothing_draws_the_images_of_the_baseline(workbench):
    base, swap = workbench.uses
    fitted = Fitted(Intervention(), images=0, judgements=0, evaluations=0, bytes=0)
    assert workbench.images_of(swap, fitted).jobs.keys() == workbench.images_of(base, None).jobs.keys()


def test_methods_of_others_take_no_part(workbench):
    class Other(EosSwap):
        """A class that another package defines."""

    Other.__module__ = "their_package"
    other = parse_method("eos-swap", suite=workbench.suite)
    object.__setattr__(other, "method", Other())
    workbench.every_use = [*workbench.every_use, other]
    assert [use.label for use in workbench.uses] == ["base", "eos-swap"]
    assert all(type(use.method) is not Other for use in workbench.uses)
