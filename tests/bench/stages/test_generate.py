"""Planned images: keys, shared images, variants of a model, and what is missing."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from evenhand.bench.errors import EvenhandError, MethodError
from evenhand.bench.prompts.plan import Item
from evenhand.bench.prompts.prompt_set import Prompt
from evenhand.bench.stages.generate import Drawing, by_variant, image_rows
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.images import ImageStore
from evenhand.methods.base import Intervention


class Sampler:
    """Draws grey images; those of the prompt "diverged" are not finite."""

    def __init__(self):
        self.model = SimpleNamespace(revision="r1", name="m")
        self.drawn = []

    def draw(self, texts, seeds, *, on_batch, intervention):
        for start in range(0, len(texts), 2):
            batch = texts[start : start + 2]
            self.drawn += [
                (text, seed, intervention) for text, seed in zip(batch, seeds[start:], strict=False)
            ]
            finite = np.array([text != "diverged" for text in batch])
            on_batch(start, np.full((len(batch), 2, 2, 3), 128, np.uint8), finite)


def item(text, concept="nurse", seed=1):
    return Item(
        Prompt(id="p", text=text, concept=concept, template="t", kind="neutral", cell={}),
        seed_index=0,
        seed=seed,
    )


def drawing(intervention=None, sampler=None):
    return Drawing(intervention or Intervention(), sampler=sampler or Sampler(), protocol="p1")


class Rewriting(Intervention):
    """Adds a word to prompts of nurses."""

    def prompt(self, text, draw):
        return text.replace("nurse", "male nurse")


ITEMS = [item("a nurse"), item("a cat", "cat"), item("a nurse", seed=2)]


def test_keys_depend_on_text_seed_and_intervention():
    keys = [job.key for job in drawing().jobs(ITEMS)]
    edited = [job.key for job in drawing(Intervention(weights={"w": torch.ones(2)})).jobs(ITEMS)]
    assert len({*keys, *edited}) == 6
    assert keys == [job.key for job in drawing(Intervention(record={"rounds": 3})).jobs(ITEMS)]


def test_a_rewritten_prompt_has_the_key_of_the_baseline_for_that_text():
    rewritten = drawing(Rewriting()).jobs(ITEMS)
    assert [job.text for job in rewritten] == ["a male nurse", "a cat", "a male nurse"]
    plain = drawing().jobs([item("a male nurse"), ITEMS[1], item("a male nurse", seed=2)])
    assert [job.key for job in rewritten] == [job.key for job in plain]


def test_concepts_have_their_own_models_and_others_use_them_in_turn():
    edits = {name: {"w": torch.full((2,), float(n))} for n, name in enumerate(("nurse", "CEO"))}
    jobs = drawing(Intervention(concept_weights=edits)).jobs(
        [item("a nurse"), item("a cat", "cat"), item("a dog", "dog"), item("a CEO", "CEO")]
    )
    assert [job.variant for job in jobs] == ["nurse", "nurse", "CEO", "CEO"]
    assert [name for name, _ in by_variant(jobs)] == ["CEO", "nurse"]


def test_only_missing_images_are_drawn_and_each_once(tmp_path):
    store, sampler = ImageStore(tmp_path), Sampler()
    own = drawing(sampler=sampler)
    jobs = own.jobs([*ITEMS, item("a nurse"), item("diverged")])
    store.put(jobs[1].key, np.zeros((2, 2, 3), np.uint8))
    statuses = own.draw(jobs, store=store, progress=Progress(quiet=True))
    assert sorted((text, seed) for text, seed, _ in sampler.drawn) == [
        ("a nurse", 1),
        ("a nurse", 2),
        ("diverged", 1),
    ]
    assert statuses == {job.key: "error" if job.text == "diverged" else "ok" for job in jobs}
    assert store.get(jobs[4].key)[1] == "error"
    sampler.drawn.clear()
    assert own.draw(jobs, store=store, progress=Progress(quiet=True)) == statuses and not sampler.drawn


def test_a_model_whose_first_images_are_all_non_finite_stops_the_run_and_an_edit_does_not(tmp_path):
    def draw(own, *texts):
        jobs = own.jobs([item(text, seed=seed) for seed, text in enumerate(texts)])
        return set(own.draw(jobs, store=store, progress=Progress(quiet=True)).values())

    store = ImageStore(tmp_path)
    with pytest.raises(
        EvenhandError, match="draws non-finite pixels in all of its first 2 images; set another"
    ):
        draw(drawing(), "diverged", "diverged", "a nurse")
    assert draw(drawing(), "diverged", "a nurse") == {"ok", "error"}
    assert draw(drawing(Intervention(weights={"w": torch.ones(2)})), "diverged", "diverged") == {"error"}


def test_a_rewriting_method_draws_without_an_intervention_and_another_with_its_own(tmp_path):
    edit = Intervention(weights={"w": torch.ones(2)})
    for intervention, expected in ((Rewriting(), Intervention()), (edit, edit)):
        sampler = Sampler()
        own = drawing(intervention, sampler)
        own.draw(own.jobs(ITEMS[:1]), store=ImageStore(tmp_path), progress=Progress(quiet=True))
        ((_, _, used),) = sampler.drawn
        assert used.digest() == expected.digest()


def test_the_image_table_has_the_original_and_the_rewritten_prompt(tmp_path):
    jobs = drawing(Rewriting()).jobs(ITEMS[:1])
    (row,) = image_rows("rewriting", jobs, {jobs[0].key: "ok"}, ImageStore(tmp_path / "images")).to_dict(
        "records"
    )
    assert (row["prompt"], row["text"], row["seed"]) == ("a nurse", "a male nurse", 1)
    assert row["path"] == f"images/{row['key'][:2]}/{row['key']}.png" and row["cell"] == ""


@pytest.mark.parametrize("cell", [{"gender": "woman", "tone": "dark"}])
def test_the_image_table_names_the_groups_that_a_prompt_asks_for(tmp_path, cell):
    asked = Item(Prompt(id="p", text="x", concept="nurse", template="t", kind="explicit", cell=cell), 0, 1)
    jobs = drawing().jobs([asked])
    table = image_rows("base", jobs, {jobs[0].key: "ok"}, ImageStore(tmp_path))
    assert table["cell"].tolist() == ["gender=woman;tone=dark"]


@pytest.mark.parametrize(
    ("intervention", "kind"),
    [
        (Intervention(), EvenhandError),
        (Intervention(weights={"w": torch.ones(2)}), MethodError),
        (Intervention(concept_weights={"nurse": {"w": torch.ones(2)}}), MethodError),
        (Rewriting(), MethodError),
    ],
)
def test_a_prompt_that_the_model_cannot_draw_is_a_failure_of_the_method_that_wrote_it(
    tmp_path, intervention, kind
):
    class Refusing(Sampler):
        def draw(self, *_, **__):
            raise EvenhandError("prompt has 90 tokens")

    refused = drawing(intervention, Refusing())
    with pytest.raises(EvenhandError, match="90 tokens") as fault:
        refused.draw(refused.jobs(ITEMS), store=ImageStore(tmp_path), progress=Progress(quiet=True))
    assert type(fault.value) is kind
