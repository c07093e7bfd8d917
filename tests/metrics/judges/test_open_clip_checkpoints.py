"""open_clip models by name and file, including SigLIP."""

import json
import pickle
import shutil

import numpy as np
import open_clip
import pytest
import torch
from helpers.photo import astronaut, nobody
from safetensors.torch import save_file

from evenhand.bench import mini
from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.metrics.judges._open_clip_checkpoints import (
    PREPARATION,
    Checkpoint,
    input_side,
    weight_source,
)
from evenhand.metrics.judges._zero_shot_texts import SIGLIP_TEMPLATES, TEMPLATES, WORDS
from evenhand.metrics.taxonomies import COARSER, groups

CLIP = mini.ROOT / "weights" / "clip-xs"
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)

TINY = "tiny-siglip-of-the-tests"


@pytest.fixture(scope="module")
def siglip(tmp_path_factory):
    """A sigmoid-trained folder: the configuration of clip-xs with a bias, random weights."""
    folder = shutil.copytree(CLIP, tmp_path_factory.mktemp("siglip") / "folder")
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text())
    config["model_cfg"] |= {"init_logit_bias": -10, "custom_text": True}
    path.write_text(json.dumps(config))
    torch.manual_seed(0)
    network = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    with torch.no_grad():
        network.logit_scale.fill_(4.0)
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture
def built_in(siglip, tmp_path, monkeypatch):
    """The same architecture under a name and a tag of open_clip's own lists, its weights as a torch file."""
    config = json.loads((siglip / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = str(siglip)
    (tmp_path / f"{TINY}.json").write_text(json.dumps(config["model_cfg"]))
    open_clip.add_model_config(tmp_path / f"{TINY}.json")
    weights = tmp_path / "weights.pt"
    torch.save(open_clip.create_model(f"local-dir:{siglip}").state_dict(), weights)
    training = {key: config["preprocess_cfg"][key] for key in PREPARATION if key in config["preprocess_cfg"]}
    tags = {"plain": training | {"file": str(weights)}, "quick": {"quick_gelu": True, "file": str(weights)}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, TINY, tags)
    return weights


@pytest.mark.parametrize(
    ("model", "tag", "repository", "side"),
    [
        ("ViT-L-14", "dfn2b", "apple/DFN2B-CLIP-ViT-L-14", 224),
        ("ViT-L-16-SigLIP2-384", "webli", "timm/ViT-L-16-SigLIP2-384", 384),
    ],
)
def test_a_tag_names_its_repository_and_the_architecture_its_input(tmp_path, model, tag, repository, side):
    assert weight_source(model, tag, None).repository == repository
    assert weight_source(model, tag, str(tmp_path)).place == tmp_path
    assert input_side(Checkpoint(model, tmp_path, {})) == side


def test_the_bias_of_a_sigmoid_model_cancels(siglip):
    judge = load_judge(f"open-clip:model={siglip},crop=image")
    texts = ["a woman", "a man"]
    network, _, transform = open_clip.create_model_and_transforms(f"local-dir:{siglip}")
    tokens = open_clip.get_tokenizer(f"local-dir:{siglip}")(texts)
    from PIL import Image

    pixels = torch.stack([transform(Image.fromarray(image)) for image in IMAGES])
    with torch.no_grad():
        logits, _ = network.eval().get_logits(pixels, tokens)
    assert network.logit_bias.item() == -10
    np.testing.assert_allclose(judge.zero_shot(IMAGES, texts), logits.softmax(dim=1).numpy(), atol=1e-5)


@pytest.mark.parametrize("weights", ["", "weights.pt"])
def test_a_tag_sets_the_preprocessing_of_its_training(siglip, built_in, weights):
    given = f",weights={built_in.parent / weights}" if weights else ""
    by_folder = load_judge(f"open-clip:model={siglip},crop=image").label(IMAGES)
    by_name = load_judge(f"open-clip:model={TINY},pretrained=plain,crop=image{given}").label(IMAGES)
    for attribute, answer in by_folder.items():
        np.testing.assert_allclose(by_name[attribute].probabilities, answer.probabilities, atol=1e-6)


@pytest.mark.parametrize(("tag", "quick"), [("plain", False), ("quick", True)])
def test_a_tag_sets_quick_gelu(built_in, tag, quick):
    network, _, _ = load_judge(f"open-clip:model={TINY},pretrained={tag},crop=image")._model
    assert any(isinstance(m, open_clip.transformer.QuickGELU) for m in network.modules()) is quick


def test_the_published_weights_of_the_panel_use_quick_gelu():
    assert open_clip.get_pretrained_cfg("ViT-L-14", "dfn2b")["quick_gelu"]
    assert open_clip.get_pretrained_cfg("ViT-B-32", "openai")["quick_gelu"]


def test_the_judge_sees_the_face_only_by_default():
    images = np.stack([astronaut(), *nobody()])
    faces = load_judge(f"open-clip:model={CLIP}").label(images)["gender"]
    whole = load_judge(f"open-clip:model={CLIP},crop=image").label(images)["gender"]
    assert faces.status == ("ok", "no_face", "no_face")
    assert whole.status == ("ok",) * 3
    assert abs(faces.probabilities[0] - whole.probabilities[0]).max() > 1e-3
    both = load_judge(f"open-clip:model={CLIP},crop=both").label(images)["gender"]
    np.testing.assert_array_equal(both.probabilities, faces.probabilities)
    assert (both.status[0] == "ok") == (faces.codes[0] == whole.codes[0]) and both.status[1:] == faces.status[
        1:
    ]


def test_weights_that_could_run_code_are_an_error(built_in, tmp_path):
    with (tmp_path / "code.pt").open("wb") as file:
        pickle.dump({"x": print}, file)
    code = tmp_path / "code.pt"
    judge = load_judge(f"open-clip:model={TINY},pretrained=plain,weights={code},crop=image")
    with pytest.raises(EvenhandError, match=r"code\.pt' contains more than tensors and could run code"):
        judge.label(IMAGES)


def test_sigmoid_models_use_their_own_template_and_others_the_ensemble(siglip):
    assert load_judge(f"open-clip:model={siglip},crop=image")._templates == SIGLIP_TEMPLATES
    assert load_judge(f"open-clip:model={CLIP},crop=image")._templates == TEMPLATES
    assert "SigLIP" in load_judge(f"open-clip:model={siglip}").info.title
    assert load_judge(f"open-clip:model={siglip}").info.family == load_judge("clip-s").info.family


def test_coarser_attributes_are_sums_of_finer_ones():
    judge = load_judge(f"open-clip:model={CLIP},crop=image")
    answers = judge.label(IMAGES)
    assert set(answers) == {*WORDS, *COARSER}
    old = answers["age5"].probabilities[:, [groups("age5").index(name) for name in ("middle-aged", "senior")]]
    np.testing.assert_allclose(answers["age2"].probabilities[:, 1], old.sum(axis=1))
    for attribute, answer in answers.items():
        assert answer.probabilities.shape == (3, len(groups(attribute)) + 1)
        np.testing.assert_allclose(answer.probabilities.sum(axis=1), 1)
