"""Blocks for workers: every missing image, label and embedding once."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.paths import TINY
from helpers.workers import Simulated

from evenhand.bench.engines.prefetch import BLOCKS_PER_WORKER, DrawPrefetch, FitPrefetch, JudgePrefetch
from evenhand.bench.engines.worker import Done, DrawBlock
from evenhand.bench.prompts.plan import Item
from evenhand.bench.prompts.prompt_set import Prompt
from evenhand.bench.prompts.selection import method_uses
from evenhand.bench.stages.generate import Job
from evenhand.bench.stages.label import CHUNK
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.fits import fit_identity, write_cost
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.suites.suite import load_suite
from evenhand.methods.base import Intervention
from evenhand.methods.saving import save

COSTS = ("images", "judgements", "evaluations", "bytes")


def job(key, kind="neutral", variant=""):
    prompt = Prompt(id=key, text=key, concept="nurse", template="t", kind=kind, cell={})
    return Job(Item(prompt, 0, 1), key, variant, key)


class Recorder(Simulated):
    """Keeps the blocks that its workers did."""

    def __init__(self, size=2):
        self.blocks = []
        super().__init__(self.do, size)

    def do(self, block):
        self.blocks.append(block)
        return Done(2.0, statuses={})

    def keys(self):
        """Counts of the images drawn, of the labels by judge, and of the embeddings."""
        drawn = Counter(
            job.key for block in self.blocks if isinstance(block, DrawBlock) for job in block.jobs
        )
        judged = [block for block in self.blocks if not isinstance(block, DrawBlock)]
        labels = Counter(
            (judge, key) for block in judged for judge, keys in block.labels.items() for key in keys
        )
        return drawn, labels, Counter(key for block in judged for key in block.vectors)


@pytest.fixture
def evaluation(tmp_path):
    """Two judges, one of which has labelled an image; that image has its embedding."""
    return SimpleNamespace(
        labelled=lambda: {"a": {"old"}, "b": set()},
        embedded=lambda: {"old"},
        scorer=object(),
        progress=Progress(quiet=True),
        run_folder=SimpleNamespace(images=ImageStore(tmp_path / "images")),
    )


def test_missing_images_are_drawn_then_judged_and_existing_ones_only_judged(evaluation):
    evaluation.run_folder.images.put("old", np.zeros((2, 2, 3), np.uint8))
    pool, spent = Recorder(), Counter()
    prefetch = DrawPrefetch(evaluation, lambda phase, method, s: spent.update({(phase, method): s}), batch=2)
    prefetch.make_all(pool, {"base": [job("old"), job("new")], "mist": [job("new"), job("own")]})
    drawn, labels, vectors = pool.keys()
    assert drawn == {"new": 1, "own": 1} and vectors == {"new": 1, "own": 1}
    assert labels == {("a", "new"): 1, ("a", "own"): 1, ("b", "old"): 1, ("b", "new"): 1, ("b", "own"): 1}
    # The shared image counts for the first method.
    assert spent["generate_seconds", "base"] == spent["generate_seconds", "mist"] == 2


def test_images_without_people_are_embedded_and_not_judged(evaluation):
    pool = Recorder()
    JudgePrefetch(evaluation, lambda *spent: None).make(
        pool, {"base": {"cat": "unrelated", "new": "neutral"}}
    )
    _, labels, vectors = pool.keys()
    assert labels == {("a", "new"): 1, ("b", "new"): 1} and vectors == {"cat": 1, "new": 1}


def test_without_a_scorer_nothing_is_embedded_and_complete_images_make_no_block(evaluation):
    evaluation.scorer, evaluation.labelled = None, lambda: {"a": {"old"}, "b": {"old"}}
    pool = Recorder()
    JudgePrefetch(evaluation, lambda *spent: None).make(
        pool, {"base": {"cat": "unrelated", "old": "neutral"}}
    )
    assert pool.blocks == []


def test_blocks_are_of_one_method_and_variant_and_at_most_a_chunk(evaluation):
    many = [job(f"k{n}", variant="ab"[n % 2]) for n in range(3 * CHUNK)]
    pool = Recorder(size=1)
    DrawPrefetch(evaluation, lambda *spent: None, batch=8).make_all(
        pool, {"base": many, "mist": [job("own")]}
    )
    blocks = [block for block in pool.blocks if isinstance(block, DrawBlock)]
    assert all(len({(block.variant, job.variant) for job in block.jobs}) == 1 for block in blocks)
    assert all(len(block.jobs) <= CHUNK for block in blocks)
    assert sum(block.method == "mist" for block in blocks) == 1


@pytest.mark.parametrize("workers", [1, 3])
def test_every_worker_gets_several_blocks_of_whole_batches(evaluation, workers):
    pool = Recorder(size=workers)
    images = [job(f"k{n}") for n in range(workers * BLOCKS_PER_WORKER * 4)]
    DrawPrefetch(evaluation, lambda *spent: None, batch=2).make_all(pool, {"base": images})
    sizes = [len(block.jobs) for block in pool.blocks if isinstance(block, DrawBlock)]
    assert sizes == [4] * (workers * BLOCKS_PER_WORKER)


def prefetch_of_fits(evaluation, spent=None):
    spend = (lambda *_: None) if spent is None else lambda *spend: spent.append(spend)
    suite = load_suite(str(TINY))
    return FitPrefetch(suite, concepts=("nurse",), revision="r", evaluation=evaluation, spend=spend)


def test_a_fit_is_missing_if_it_costs_images_and_none_with_its_identity_is_stored(evaluation, tmp_path):
    evaluation.run_folder.root = tmp_path
    prefetch = prefetch_of_fits(evaluation)
    uses = method_uses(prefetch.suite, ["mist", "uce", "random-attribute-prompt"])
    assert [use.label for use in prefetch.missing(uses)] == ["mist", "uce"]
    (mist,) = (use for use in uses if use.label == "mist")
    protocol = prefetch.suite.protocol.model_dump_json()
    settings = {"suite": prefetch.suite, "concepts": ("nurse",), "model": "r", "protocol": protocol}
    folder, cost = tmp_path / "interventions" / "mist", dict.fromkeys(COSTS, 1)
    save(Intervention(), folder)
    write_cost(folder, cost, fit_identity(mist, **settings | {"model": "other"}), Intervention())
    assert [use.label for use in prefetch.missing(uses)] == ["mist", "uce"]
    write_cost(folder, cost, fit_identity(mist, **settings), Intervention())
    assert [use.label for use in prefetch.missing(uses)] == ["uce"]


def test_every_method_is_fitted_once_by_a_worker_that_draws(evaluation):
    spent, pool = [], Recorder()
    pool.fate = lambda block: Done(3.0)
    prefetch = prefetch_of_fits(evaluation, spent)
    uses = method_uses(prefetch.suite, ["mist", "uce", "sortition"])[1:]
    prefetch.make(pool, uses)
    assert sorted(spent) == [("fit_seconds", label, 3.0) for label in ("mist", "sortition", "uce")]
    assert pool.started == {"draw": 2}
