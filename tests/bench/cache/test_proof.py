"""The proof of a sample: how it is drawn, and what it says."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.verification import AN_ANSWER

from evenhand.bench.cache import SAMPLE
from evenhand.bench.cache.proof import GREY_LEVELS, Proof, prove, sample_of
from evenhand.bench.errors import EvenhandError
from evenhand.bench.results.entry import Answers
from evenhand.bench.stages.progress import Progress

KEYS = [f"{number:064x}" for number in range(40)]
PLAIN = np.full((4, 4, 3), 100, np.uint8)


def test_a_sample_is_not_predictable_and_never_larger_than_what_there_is():
    # A key is missing from all samples with a probability below 1e-17.
    samples = [tuple(sample_of(KEYS, SAMPLE)) for _ in range(200)]
    assert len({*samples}) > 190 and all(len({*sample}) == SAMPLE for sample in samples)
    assert len(Counter(key for sample in samples for key in sample)) == len(KEYS)
    assert sorted(sample_of(KEYS[:3], SAMPLE)) == KEYS[:3] and sample_of([], SAMPLE) == []


class Drawn:
    """A method that draws one grey image for every job, or raises."""

    use = SimpleNamespace(label="mist")

    def __init__(self, image=PLAIN, fault=None, status="ok"):
        item = SimpleNamespace(seed=3, prompt=SimpleNamespace(kind="unrelated"))
        self.jobs = {KEYS[0]: SimpleNamespace(key=KEYS[0], text="a nurse", item=item)}
        self.drawing, self.image, self.fault, self.status = self, image, fault, status

    def draw(self, jobs, *, store, progress):
        if self.fault:
            raise self.fault
        for job in jobs:
            store.put(job.key, self.image, status=self.status)

    def people(self, keys):
        return []


def proof_of(drawn, stated, tmp_path, *, exact=()):
    evaluation = SimpleNamespace(evaluation_config=SimpleNamespace(attributes={}))
    workbench = SimpleNamespace(judges={}, evaluation=evaluation, progress=Progress(quiet=True))
    return prove(drawn, {KEYS[0]: stated}, pd.DataFrame(), exact=exact, workbench=workbench, scratch=tmp_path)


def test_identical_pixels_are_exact(tmp_path):
    found = proof_of(Drawn(), PLAIN, tmp_path, exact=KEYS)
    assert found == Proof("mist", 1, 1, 0.0, ()) and found.exact
    assert "1 images drawn again with identical pixels" in found.text


def test_on_the_same_kind_of_processor_no_pixel_may_differ(tmp_path):
    other = PLAIN.copy()
    other[0, 0, 0] += 1
    with pytest.raises(EvenhandError, match=r"with seed 3 differs from the one drawn here by 0\.0208"):
        proof_of(Drawn(), other, tmp_path, exact=KEYS)
    found = proof_of(Drawn(), other, tmp_path / "elsewhere")
    assert (found.identical, found.exact) == (0, False) and "of another kind of processor" in found.text


@pytest.mark.parametrize("sign", [1, -1])
def test_elsewhere_an_image_may_differ_by_the_tolerance_and_no_more(tmp_path, sign):
    near = (PLAIN.astype(int) + sign * int(GREY_LEVELS)).astype(np.uint8)
    assert proof_of(Drawn(), near, tmp_path / "near").furthest == GREY_LEVELS
    with pytest.raises(EvenhandError, match="grey levels on average"):
        proof_of(Drawn(), (near.astype(int) + sign).astype(np.uint8), tmp_path / "far")


@pytest.mark.parametrize("fault", [KeyError("x"), RuntimeError("shapes"), AttributeError("y"), IndexError()])
def test_a_forged_intervention_that_breaks_its_method_is_one_line(tmp_path, fault):
    with pytest.raises(EvenhandError, match="the intervention of mist cannot be applied"):
        proof_of(Drawn(fault=fault), PLAIN, tmp_path)


def test_an_image_that_cannot_be_drawn_here_is_refused(tmp_path):
    with pytest.raises(EvenhandError, match="has non-finite pixels here"):
        proof_of(Drawn(status="error"), PLAIN, tmp_path)


def test_the_outcome_counts_the_labels():
    rows = tuple(Answers.model_validate({**AN_ANSWER, "asked": 8}) for _ in range(3))
    assert Proof("base", 8, 8, 0.0, rows).text.endswith("with identical pixels, 24 labels agree")
