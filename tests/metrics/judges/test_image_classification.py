import json
import shutil

import numpy as np
import pytest
import torch
from helpers.mini import labelled_people
from safetensors.torch import load_file, save_file

from evenhand.bench.errors import EvenhandError
from evenhand.bench.mini import ROOT
from evenhand.bench.mini.judges import vit
from evenhand.bench.mini.law import FINE_TONES, TAXONOMIES, TONE_GROUPS
from evenhand.metrics.judges.image_classification import Classifier, ImageClassificationJudge

FOLDER = ROOT / "weights" / "vit-tone"


def make(folder=FOLDER, groups=TAXONOMIES["tone"], merge=TONE_GROUPS):
    classifier = Classifier(folder=folder, groups=groups, merge=merge)
    return ImageClassificationJudge(
        name="test", classifiers={"tone": classifier}, title="Test", licence="Apache-2.0", origin="test"
    )


def edited(folder, names, head):
    """A copy of the tone classifier with other class names and another last layer."""
    shutil.copytree(FOLDER, folder)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {str(index): name for index, name in enumerate(names)}
    config["label2id"] = {name: index for index, name in enumerate(names)}
    (folder / "config.json").write_text(json.dumps(config))
    tensors = load_file(folder / "model.safetensors")
    tensors |= {f"classifier.{part}": head(tensors[f"classifier.{part}"]) for part in ("weight", "bias")}
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    return folder


def test_the_supervised_judge_reaches_its_measured_accuracy():
    images, truth = labelled_people()
    answers = vit().label(images)
    assert set(answers) == {"gender", "tone", "age"}
    for attribute, answer in answers.items():
        np.testing.assert_allclose(answer.probabilities.sum(axis=1), 1)
        said = np.array(TAXONOMIES[attribute])[answer.probabilities[:, :-1].argmax(axis=1)]
        assert (said == truth[attribute]).mean() > 0.98


def test_classes_are_matched_by_name_in_any_order(tmp_path):
    images, _ = labelled_people()
    order = [3, 0, 4, 2, 1]
    folder = edited(
        tmp_path / "permuted", [FINE_TONES[index] for index in order], lambda tensor: tensor[order]
    )
    permuted = make(folder=folder).label(images[:40])["tone"].probabilities
    np.testing.assert_allclose(permuted, make().label(images[:40])["tone"].probabilities, atol=1e-6)


def test_merged_classes_are_summed_before_a_label_is_decided(tmp_path):
    shares = torch.tensor([0.3, 0.3, 0.4, 1e-9, 1e-9]).log().half()
    folder = edited(
        tmp_path / "constant",
        FINE_TONES,
        lambda tensor: shares if tensor.dim() == 1 else torch.zeros_like(tensor),
    )
    images, _ = labelled_people()
    answer = make(folder=folder).label(images[:3])["tone"].probabilities
    np.testing.assert_allclose(answer, np.tile([0.6, 0.4, 0, 0], (3, 1)), atol=1e-3)


@pytest.mark.parametrize("size", [1, 7])
def test_probabilities_do_not_depend_on_the_batch(size):
    images, _ = labelled_people()
    whole = make().label(images[:40])["tone"].probabilities
    parts = [
        make().label(images[start : start + size])["tone"].probabilities for start in range(0, 40 - size, 13)
    ]
    for start, part in zip(range(0, 40 - size, 13), parts, strict=True):
        np.testing.assert_allclose(part, whole[start : start + size], atol=1e-6)


def test_a_class_without_a_group_is_an_error():
    with pytest.raises(
        EvenhandError, match="class 'medium-light' outside the groups light, medium, dark; give its"
    ):
        make(merge={"medium-dark": "dark"})


def test_a_group_without_a_class_is_an_error():
    with pytest.raises(EvenhandError, match="no class for group 'very dark'"):
        make(groups=(*TAXONOMIES["tone"], "very dark"))


def test_missing_classifier_weights_are_named(tmp_path):
    folder = shutil.copytree(FOLDER, tmp_path / "torn")
    (folder / "model.safetensors").unlink()
    with pytest.raises(EvenhandError, match=r"lacks model\.safetensors"):
        make(folder=folder)
