"""Closed-form edits are fitted and applied to a text-to-video model as to an image model."""

import numpy as np
import pytest
import torch
from diffusers import TextToVideoSDPipeline
from helpers.families import PROTOCOL, saved
from helpers.methods import GENDER, JOINT, Studio, counts, make_task

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.models.video import ClipSampler
from evenhand.methods.base import Intervention
from evenhand.methods.prompts.random_attribute import RandomAttributePrompt
from evenhand.methods.weights.mist import Mist
from evenhand.methods.weights.uce import Uce

SOURCE, MEASURED = "a person of a nurse", "a headshot of a person of a nurse"
PROMPT, FRAMES = "a photo of a nurse", 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return saved("video", tmp_path_factory)


@pytest.fixture(scope="module")
def model(folder):
    return load_model(str(folder), device="cpu")


@pytest.fixture(scope="module")
def clips(model):
    return ClipSampler(model, PROTOCOL, frames=FRAMES)


@pytest.fixture(scope="module")
def fitted(model):
    """One round of MIST with a visible step size, after 90 women and 10 men."""
    studio = Studio({MEASURED: [counts(90, 10)]})
    return Mist(rounds=1, step_size=1.0).fit(make_task(studio, model=model, cells=GENDER))


def rows(model, text):
    return model.encode([text]).states[0].double().numpy()


def at_eos(model, text):
    return rows(model, text)[int(model.encode([text]).first_eos[0])]


def test_only_non_temporal_layers_attend_to_the_text(model):
    names = set(model.cross_attention())
    assert model.family == "video"
    # 1 module in the down path, 1 in the middle, 2 in the up path, of one K and one V each
    assert len(names) == 8
    assert not [name for name in names if "temp_attentions" in name or "transformer_in" in name]
    assert {tuple(value.shape)[1] for value in model.cross_attention().values()} == {32}
    assert any(
        ".attn2.to_k." in name for name, _ in model.unet.named_parameters() if "temp_attentions" in name
    )


def test_the_keys_and_values_of_the_edited_text_follow_the_formula(model, fitted):
    c, empty = at_eos(model, SOURCE), rows(model, "")
    guidance = [at_eos(model, noun) for noun in ("woman", "man")]
    alphas = 1.0 * (np.array([0.5, 0.5]) - np.array([0.9, 0.1]))
    matrix = 0.5 * np.eye(32) + np.outer(c, c) + 0.2 * empty.T @ empty
    assert fitted.weights.keys() == model.cross_attention().keys()
    for name, weight in model.cross_attention().items():
        w = weight.double().numpy()
        wanted = w @ c
        for alpha, g in zip(alphas, guidance, strict=True):
            wanted = wanted + alpha * np.linalg.norm(wanted) * (w @ g) / np.linalg.norm(w @ g)
        expected = w + np.outer(wanted - w @ c, np.linalg.solve(matrix, c))
        np.testing.assert_allclose(fitted.weights[name].double().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_layers_output_what_the_edited_projections_give(model, fitted):
    seen = {}

    def keep(name):
        def hook(module, inputs, output):
            seen[name] = (inputs[0], output)

        return hook

    handles = [
        module.register_forward_hook(keep(name))
        for name, module in model.unet.named_modules()
        if f"unet.{name}.weight" in fitted.weights
    ]
    ClipSampler(model, PROTOCOL, frames=FRAMES).clips([PROMPT], [0], intervention=fitted)
    for handle in handles:
        handle.remove()
    assert len(seen) == 8
    for name, (states, output) in seen.items():
        expected = states.double() @ fitted.weights[f"unet.{name}.weight"].double().T
        torch.testing.assert_close(output.double(), expected, rtol=1e-4, atol=1e-5)


def test_the_clip_changes_and_the_model_is_restored_bit_for_bit(model, clips, fitted):
    before = {name: value.clone() for name, value in model.unet.state_dict().items()}
    plain = clips.clips([PROMPT], [0])
    edited = clips.clips([PROMPT], [0], intervention=fitted)
    assert plain.shape == (1, FRAMES, PROTOCOL.height, PROTOCOL.width, 3)
    assert (edited != plain).any()
    assert (clips.clips([PROMPT], [0]) == plain).all()
    assert all(torch.equal(value, before[name]) for name, value in model.unet.state_dict().items())


def test_clips_equal_those_of_the_stock_pipeline(folder, clips):
    stock = TextToVideoSDPipeline.from_pretrained(folder, use_safetensors=True)
    stock.set_progress_bar_config(disable=True)
    frames = stock(
        PROMPT,
        negative_prompt="",
        num_frames=FRAMES,
        num_inference_steps=PROTOCOL.steps,
        guidance_scale=PROTOCOL.guidance,
        height=PROTOCOL.height,
        width=PROTOCOL.width,
        generator=torch.Generator().manual_seed(5),
        output_type="np",
    ).frames[0]
    assert (clips.clips([PROMPT], [5])[0] == np.round(frames * 255)).all()
    assert (clips([PROMPT], [5])[0] == np.round(frames[FRAMES // 2] * 255)).all()


def test_a_loop_can_measure_clips_by_their_middle_frames(model, clips):
    studio = Studio({})
    task = make_task(studio, model=model, cells=JOINT)
    drawn = []

    def judge(images, texts):
        drawn.append(len(images))
        return np.tile(np.eye(len(texts))[0], (len(images), 1))

    task = type(task)(**{**vars(task), "sample": clips, "judge": judge})
    intervention = Uce(templates=("{concept}",), images=2, rounds=2).fit(task)
    assert drawn == [2, 2]
    assert intervention.weights.keys() == model.cross_attention().keys()


def test_prompt_rewriting_works_and_step_interventions_are_rejected(model, clips):
    rewriting = RandomAttributePrompt().fit(make_task(Studio({}), model=model))
    assert (clips.clips([PROMPT], [0], intervention=rewriting) != clips.clips([PROMPT], [0])).any()

    class Steps(Intervention):
        def steer(self, batch):
            raise AssertionError

    with pytest.raises(EvenhandError, match="Steps acts during denoising"):
        clips.clips([PROMPT], [0], intervention=Steps())


def test_image_and_clip_samplers_reject_each_others_models(model):
    with pytest.raises(EvenhandError, match=r"generates videos, .* use evenhand\.bench\.models\.video"):
        Sampler(model, PROTOCOL)
    with pytest.raises(EvenhandError, match="'mini' generates images, not videos"):
        ClipSampler(load_model("mini"), PROTOCOL)
