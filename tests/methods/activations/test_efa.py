"""EFA: additional slots in cross-attention, where they act and how they are trained."""

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import Attention
from helpers.activations import PROMPTS, PROTOCOL, make, masked
from helpers.methods import GENDER, JOINT

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.methods.activations._attention_slot import Slots, attend, token_grid
from evenhand.methods.activations.efa import Efa, EfaIntervention, _Slotted
from evenhand.methods.base import Cell
from evenhand.methods.hooks import Batch, Site

SEEDS = [1, 2, 3, 4]

TONE = tuple(
    Cell(groups={"tone": tone}, adjective=words, noun=f"{words} person", adjectives={"tone": words})
    for tone, words in (("light", "light-skinned"), ("dark", "dark-skinned"))
)
QUICK = {"segmenter": "", "images": 1, "passes": 1, "hidden": 4, "steps": 1, "batch": 1}


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


@pytest.mark.slow
def test_scale_zero_does_not_change_any_image(mini):
    fitted = Efa(**QUICK, scale=0).fit(make(mini))
    sampler = Sampler(mini, PROTOCOL)
    assert (sampler(PROMPTS, SEEDS, intervention=fitted) == sampler(PROMPTS, SEEDS)).all()


@pytest.mark.slow
def test_slots_change_only_images_of_a_concept(mini):
    fitted = Efa(**QUICK, scale=50).fit(make(mini))
    sampler = Sampler(mini, PROTOCOL)
    same = (sampler(PROMPTS, SEEDS, intervention=fitted) == sampler(PROMPTS, SEEDS)).all(axis=(1, 2, 3))
    assert same.tolist() == [False, True, False, False]


@pytest.mark.slow
def test_slots_act_only_on_the_conditional_half(mini):
    fitted = Efa(**QUICK, scale=50).fit(make(mini, concepts=("nurse",)))
    seen = []

    class Watched(EfaIntervention):
        def steer(self, batch):
            steering = super().steer(batch)
            feature = steering.feature

            def keep(step, site, output):
                changed = feature(step, site, output)
                seen.append((changed != output).flatten(1).any(dim=1).tolist())
                return changed

            steering.feature = keep
            return steering

    watched = Watched(tensors=fitted.tensors, data=fitted.data)
    Sampler(mini, PROTOCOL)(PROMPTS, SEEDS, intervention=watched)
    assert len(seen) == PROTOCOL.steps * len(fitted.sites())
    assert all(rows == [False] * 4 + [True, False, False, True] for rows in seen)


@pytest.mark.slow
def test_training_reduces_the_loss_within_the_budget(mini):
    quick = {"images": 1, "passes": 1, "hidden": 16, "steps": 24, "batch": 2, "learning_rate": 0.01}
    method = Efa(segmenter="", **quick, l1=0.5, l2=0.5)
    before = mini.evaluations
    fitted = method.fit(make(mini, concepts=("nurse",)))
    assert mini.evaluations - before == method.budget(concepts=1, cells=GENDER).evaluations == 2 * (2 + 48)
    for name in ("total", "share_where_stated", "share_outside"):
        assert fitted.record[name]["last_loss"] < fitted.record[name]["first_loss"]


@pytest.mark.slow
def test_slots_carry_a_group_against_the_prompt(mini):
    """Without the terms that close them, slots move the prediction towards that of the own prompt."""
    keywords = {
        "hidden": 16,
        "steps": 20,
        "batch": 3,
        "learning_rate": 0.01,
        "l1": 0,
        "l2": 0,
        "threshold": 0,
    }
    method = Efa(segmenter="", images=2, passes=1, blocks=(0, 1), slots="end", **keywords)
    task = make(mini, cells=TONE, concepts=("nurse",))
    fitted = method.fit(task)
    shown = masked(task, {"cell": TONE}, images=2, passes=1, threshold=0)
    batch = shown.draw(8)
    slots = Slots(fitted.tensors, ["cell"])

    def open_slots(site, output):
        x = site.inputs[0]
        logits = slots.logits(site.name, x, batch.groups, grid=token_grid(x.shape[1], (16, 16)))
        return attend(site, rows=slice(None), logits=logits, words=slots.words(batch.groups))[0]

    with torch.no_grad():
        text = mini.encode(batch.texts)
        counterfactual, own = mini.predict(batch.noised, batch.timesteps, text).chunk(2)
        with mini.features(fitted.sites(), open_slots):
            slotted = mini.predict(batch.noised, batch.timesteps, text)[:8]
    assert (slotted - own).pow(2).mean() < 0.9 * (counterfactual - own).pow(2).mean()


@pytest.mark.parametrize(("slots", "more"), [("words", 0), ("end", 1), ("all", None)])
def test_slots_hold_the_states_of_the_phrase(mini, slots, more):
    method = Efa(**QUICK, phrase="a photo of {a} {noun}", slots=slots)
    found, _ = method._slots(make(mini), method._modules(mini), {"cell": TONE})
    text = mini.encode(["a photo of a light-skinned person", "a photo of a dark-skinned person"])
    for index in range(2):
        is_open = found.tensors["open/cell"][index] > 0
        end = None if more is None else text.first_eos[index] + more
        assert torch.equal(found.tensors["words/cell"][index][is_open], text.states[index, 1:end])


@pytest.mark.slow
@pytest.mark.parametrize("categories", ["cells", "attributes"])
@pytest.mark.parametrize("stated", ["draw", "follow"])
def test_an_image_opens_the_slots_of_a_cell_that_fits_its_prompt(mini, categories, stated):
    fitted = Efa(**QUICK, categories=categories, stated=stated).fit(make(mini, cells=JOINT))
    prompts = ["a photo of an elderly nurse"] * 30 + ["a photo of a cat"]
    draws = tuple(np.random.default_rng(seed) for seed in range(31))
    groups = fitted.steer(Batch(tuple(prompts), tuple(range(31)), draws)).groups
    assert set(groups) == ({"cell"} if categories == "cells" else {"gender", "age"})
    assert all(of[30] == -1 for of in groups.values())
    if categories == "cells":
        drawn = [tuple(JOINT[i].groups.values()) for i in groups["cell"][:30].tolist()]
    else:
        names = {name: list(dict.fromkeys(c.groups[name] for c in JOINT)) for name in groups}
        drawn = list(zip(*([names[n][i] for i in groups[n][:30].tolist()] for n in groups), strict=True))
    assert len(set(drawn)) == (2 if stated == "follow" else 4)


@pytest.mark.parametrize(
    ("paths", "blocks", "expected"),
    [
        (("up",), (0,), {"up_blocks.0"}),
        (("up",), (2, 0), {"up_blocks.0", "up_blocks.2"}),
        (("mid",), (0,), {"mid_block"}),
        (("down", "up"), (1,), {"down_blocks.0", "down_blocks.1", "down_blocks.2", "up_blocks.1"}),
    ],
)
def test_the_chosen_paths_and_blocks_get_slots(mini, paths, blocks, expected):
    names = Efa(paths=paths, blocks=blocks)._modules(mini)
    assert all(name.endswith("attn2") for name in names)
    assert {name.partition(".attentions")[0] for name in names} == expected


def test_no_cross_attention_in_the_chosen_paths_raises_an_error(mini):
    with pytest.raises(EvenhandError, match=r"no cross-attention in paths \['up'\] and blocks \[\]; choose"):
        Efa(blocks=())._modules(mini)


def test_a_missing_block_raises_an_error(mini):
    with pytest.raises(EvenhandError, match=r"'blocks' is \[0, 3\], but mini has 3 up blocks .* from 0 to 2"):
        Efa(**QUICK, blocks=(0, 3)).fit(make(mini))


def test_an_image_with_only_its_last_attribute_assigned_is_changed():
    class Closed(Slots):
        def logits(self, module, x, groups, *, grid):
            return torch.zeros(len(x), x.shape[1], 1)

        def words(self, groups):
            return torch.ones(3, 1, 4)

    attention = Attention(query_dim=4, cross_attention_dim=4, heads=1, dim_head=4)
    text, x = torch.zeros(6, 2, 4), torch.ones(6, 4, 4)
    site = Site("attn2", attention, (x,), {"encoder_hidden_states": text})
    groups = {"gender": torch.tensor([0, -1, -1]), "age": torch.tensor([-1, 1, -1])}
    steering = _Slotted(Closed({}, ["gender", "age"]), groups, scale=1.0)
    steering.latents = 2, 2
    output = torch.zeros(6, 4, 4)
    with torch.no_grad():
        made = steering.feature(None, site, output)
    assert (made != output).flatten(1).any(dim=1).tolist() == [False] * 3 + [True, True, False]
