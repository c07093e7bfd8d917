"""A stored intervention loads unchanged; an altered one does not load."""

import json

import numpy as np
import pytest
import torch
from helpers.methods import NumericModel, Studio, counts, make_task
from safetensors.torch import load_file, save_file

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Intervention
from evenhand.methods.baseline import Base
from evenhand.methods.prompts.random_attribute import RandomAttributePrompt
from evenhand.methods.saving import load, save
from evenhand.methods.weights.mist import Mist

PROMPT = "a headshot of a person of a nurse"


def mist(**parameters):
    task = make_task(Studio({PROMPT: [counts(90, 10)]}), model=NumericModel(dtype=torch.float16))
    return Mist(rounds=2, **parameters).fit(task)


FITS = {
    "nothing": (Base, lambda: Base().fit(make_task(Studio({})))),
    "weights": (Mist, mist),
    "weights of each concept": (Mist, lambda: mist(scope="per-concept")),
    "prompt": (RandomAttributePrompt, lambda: RandomAttributePrompt().fit(make_task(Studio({})))),
    "every part": (
        Base,
        lambda: Intervention(
            weights={"a.weight": torch.ones(2, 3, dtype=torch.bfloat16)},
            concept_weights={"actor/actress": {"a.weight": torch.arange(6.0).reshape(3, 2).T}},
            tensors={"scalar": torch.tensor(3.5), "empty": torch.zeros(0, 4)},
            data={"words": ["é", "b"], "share": 0.1},
            record={"rounds": 3},
        ),
    ),
}


@pytest.mark.parametrize("kind", FITS)
def test_round_trip_keeps_every_part_and_the_digest(kind, tmp_path):
    method_type, fit = FITS[kind]
    intervention = fit()
    save(intervention, tmp_path / "new" / "folder")
    loaded = load(tmp_path / "new" / "folder", method_type)
    assert type(loaded) is type(intervention)
    assert loaded.digest() == intervention.digest()
    assert loaded.data == intervention.data
    assert loaded.record == intervention.record
    before, after = intervention.flat_tensors(), loaded.flat_tensors()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert loaded.concept_weights.keys() == intervention.concept_weights.keys()


def test_a_loaded_prompt_intervention_draws_as_before(tmp_path):
    intervention = FITS["prompt"][1]()
    save(intervention, tmp_path)
    loaded = load(tmp_path, RandomAttributePrompt)
    texts = [i.prompt("a nurse", np.random.default_rng(4)) for i in (intervention, loaded)]
    assert texts[0] == texts[1] != "a nurse"


def alter_tensor(folder):
    tensors = load_file(folder / "intervention.safetensors")
    name = next(iter(tensors))
    tensors[name][0, 0] += 1
    save_file(tensors, folder / "intervention.safetensors")


def alter_data(folder):
    path = folder / "intervention.json"
    document = json.loads(path.read_text())
    document["data"]["extra"] = 1
    path.write_text(json.dumps(document))


def tear_tensors(folder):
    path = folder / "intervention.safetensors"
    path.write_bytes(path.read_bytes()[:100])


def tear_document(folder):
    path = folder / "intervention.json"
    path.write_text(path.read_text()[:20])


def remove_document(folder):
    (folder / "intervention.json").unlink()


@pytest.mark.parametrize("damage", [alter_tensor, alter_data, tear_tensors, tear_document, remove_document])
def test_a_damaged_folder_does_not_load(damage, tmp_path):
    save(mist(), tmp_path)
    damage(tmp_path)
    with pytest.raises(EvenhandError, match=str(tmp_path)):
        load(tmp_path, Mist)


def test_the_intervention_of_another_method_does_not_load(tmp_path):
    save(mist(), tmp_path)
    with pytest.raises(EvenhandError, match="holds Intervention, but RandomAttributePrompt makes"):
        load(tmp_path, RandomAttributePrompt)
