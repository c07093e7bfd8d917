import shutil

import numpy as np
import open_clip
import pytest
import torch
from helpers.mini import labelled_people
from PIL import Image

from evenhand.bench.errors import EvenhandError
from evenhand.bench.mini import ROOT
from evenhand.bench.mini.judges import TEMPLATES, WORDS, clip_s, clip_xs
from evenhand.metrics.judges.open_clip import OpenClipJudge

FOLDER = ROOT / "weights" / "clip-s"
TEXTS = ["a photo of a woman", "a photo of a man"]


def make(folder=FOLDER, words=WORDS, templates=TEMPLATES, **more):
    return OpenClipJudge(
        name="test",
        folder=folder,
        title="Test",
        words=words,
        templates=templates,
        licence="Apache-2.0",
        origin="test",
        **more,
    )


def test_zero_shot_matches_open_clip():
    images, _ = labelled_people()
    source = f"local-dir:{FOLDER}"
    model, _, transform = open_clip.create_model_and_transforms(source, precision="fp32")
    pixels = torch.stack([transform(Image.fromarray(image)) for image in images[:5]])
    with torch.no_grad():
        logits, _ = model.eval().get_logits(pixels, open_clip.get_tokenizer(source)(TEXTS))
    np.testing.assert_allclose(
        clip_s().zero_shot(images[:5], TEXTS), logits.softmax(dim=1).numpy(), atol=1e-5
    )


def test_texts_are_encoded_once_however_often_they_are_asked(monkeypatch):
    images, _ = labelled_people()
    judge = make()
    network, _, _ = judge._model
    encode, encoded = network.encode_text, []
    monkeypatch.setattr(network, "encode_text", lambda tokens: encoded.append(tokens) or encode(tokens))
    first = judge.zero_shot(images[:5], TEXTS)
    assert (judge.zero_shot(images[:5], TEXTS) == first).all()
    assert len(encoded) == 1
    swapped = judge.zero_shot(images[:5], TEXTS[::-1])
    np.testing.assert_allclose(swapped, first[:, ::-1], atol=1e-6)


@pytest.mark.slow
def test_variants_are_the_single_templates():
    images, _ = labelled_people()
    choices = make().variants(images[:4])["text"]
    assert len(choices) == len(TEMPLATES)
    for template, choice in zip(TEMPLATES, choices, strict=True):
        alone = make(templates=[template])
        assert alone.variants(images[:4]) == {}
        for name, answer in alone.label(images[:4]).items():
            np.testing.assert_allclose(choice[name].probabilities, answer.probabilities, atol=1e-6)


def test_an_image_nearer_to_the_second_gate_text_shows_no_person():
    images, _ = labelled_people()
    texts = ("a photo of a woman", "a photo of a man")
    first, second = clip_s().zero_shot(images[:20], list(texts)).T
    assert 0 < (first > second).sum() < 20
    for gate, person in ((texts, first > second), (texts[::-1], second > first)):
        judge = make(gate=gate)
        answers, usual = judge.label(images[:20]), make().label(images[:20])
        for name, answer in answers.items():
            assert answer.status == tuple("ok" if there else "no_person" for there in person)
            np.testing.assert_array_equal(answer.probabilities, usual[name].probabilities)
        assert judge.info.version != make().info.version


def test_weights_stored_in_half_precision_run_in_single():
    network, _, _ = clip_s()._model
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_one_word_and_one_template_is_plain_zero_shot():
    images, _ = labelled_people()
    judge = make(words={"gender": {"woman": ["a woman"], "man": ["a man"]}}, templates=["a photo of {}"])
    answer = judge.label(images[:9])["gender"].probabilities
    np.testing.assert_allclose(answer[:, :2], judge.zero_shot(images[:9], TEXTS), atol=1e-6)
    assert (answer[:, 2] == 0).all()


def test_a_group_is_the_normalised_mean_of_its_normalised_texts():
    judge = clip_s()
    vectors = judge._embed_texts([template.format("an elderly person") for template in TEMPLATES]).numpy()
    mean = vectors.mean(axis=0)
    np.testing.assert_allclose(judge._anchors["age"][1].numpy(), mean / np.linalg.norm(mean), atol=1e-6)


def test_every_word_and_template_is_in_the_training_vocabulary():
    tokenizer = open_clip.get_tokenizer(f"local-dir:{FOLDER}").tokenizer
    for groups in WORDS.values():
        for word in (word for words in groups.values() for word in words):
            pieces = tokenizer.tokenize(word)
            assert all(
                len(piece.removesuffix("</w>")) > 1 or piece in ("a</w>", "-</w>", "-") for piece in pieces
            )


@pytest.mark.parametrize(
    ("make_judge", "least"),
    [
        (clip_xs, {"gender": 0.95, "tone": 0.96, "age": 0.94}),
        (clip_s, {"gender": 0.96, "tone": 0.98, "age": 0.98}),
    ],
)
def test_clip_judges_reach_their_measured_accuracy_on_labelled_people(make_judge, least):
    images, truth = labelled_people()
    judge = make_judge()
    answers = judge.label(images)
    assert set(answers) == set(least)
    for attribute, answer in answers.items():
        np.testing.assert_allclose(answer.probabilities.sum(axis=1), 1)
        said = np.array(judge.info.taxonomies[attribute])[answer.probabilities[:, :-1].argmax(axis=1)]
        assert (said == truth[attribute]).mean() > least[attribute]


@pytest.mark.parametrize("size", [1, 5, 33, 100])
def test_labels_do_not_depend_on_the_batch(size):
    images, _ = labelled_people()
    whole = clip_xs().label(images[:100])
    parts = [clip_xs().label(images[start : min(start + size, 100)]) for start in range(0, 100, size)]
    for attribute, answer in whole.items():
        together = np.concatenate([part[attribute].probabilities for part in parts])
        np.testing.assert_allclose(together, answer.probabilities, atol=1e-6)
        assert (together.argmax(axis=1) == answer.probabilities.argmax(axis=1)).all()


def test_a_missing_folder_is_named_in_the_error(tmp_path):
    with pytest.raises(EvenhandError, match="nowhere' does not exist; give a folder"):
        make(folder=tmp_path / "nowhere")


def test_missing_weights_are_named_in_the_error(tmp_path):
    folder = shutil.copytree(FOLDER, tmp_path / "torn")
    (folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(EvenhandError, match=r"lacks open_clip_model\.safetensors; download"):
        make(folder=folder)


def test_the_version_depends_on_texts_and_files_only(tmp_path):
    folder = shutil.copytree(FOLDER, tmp_path / "copy")
    version = make().info.version
    assert make(folder=folder).info.version == version
    assert make(templates=TEMPLATES[:1]).info.version != version
    config = folder / "open_clip_config.json"
    config.write_text(config.read_text().replace("0.5", "0.4"))
    assert make(folder=folder).info.version != version
