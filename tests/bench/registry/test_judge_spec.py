"""Suites and commands name a judge with parameters in the same way as a method."""

import pytest
from helpers.fairface import fairface_weights

from evenhand.bench import mini
from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry.entry_points import JUDGES, METHODS
from evenhand.bench.registry.judge_spec import judge_name, load_judge
from evenhand.bench.registry.method_spec import method_class
from evenhand.bench.stages.label import check_judge
from evenhand.bench.suites.suite import load_suite

CLIP = mini.ROOT / "weights" / "clip-s"


def test_a_plain_name_is_the_registered_judge():
    assert load_judge("vit") is load_judge("vit")
    assert load_judge("vit").info.name == "vit"


def test_formatting_and_order_of_the_parameters_do_not_change_the_name():
    assert judge_name("open-clip: pretrained=dfn2b, model = ViT-L-14") == (
        "open-clip:model=ViT-L-14,pretrained=dfn2b"
    )
    assert judge_name('vlm:model="org/name",orders=4') == judge_name("vlm:orders=4,model=org/name")


@pytest.mark.slow
def test_a_judge_labels_under_the_name_that_the_suite_lists(tmp_path):
    weights = fairface_weights(tmp_path / "weights.safetensors")
    suite = load_suite("mini-quick")
    listed = suite.model_validate(
        suite.model_dump() | {"non_voting_judges": [f"fairface: weights = {weights} , race = 7"]}
    )
    assert listed.non_voting_judges == (f"fairface:race=7,weights={weights}",)
    assert load_judge(listed.non_voting_judges[0]).info.name == listed.non_voting_judges[0]


def test_a_judge_cannot_vote_and_be_a_non_voting_judge_under_two_spellings():
    suite = load_suite("mini-quick")
    twice = {
        "panel": ["open-clip:model=a/b,texts=UCE"],
        "non_voting_judges": ["open-clip:texts=UCE,model=a/b"],
    }
    with pytest.raises(ValueError, match="both in panel and in non_voting_judges"):
        suite.model_validate(suite.model_dump() | twice)


def test_a_photo_judge_must_share_the_suites_groups(tmp_path):
    judge = load_judge(f"fairface:weights={fairface_weights(tmp_path / 'weights.safetensors')}")
    check_judge(judge, {"gender": ("woman", "man"), "race4": ("WMELH", "Black", "Indian", "Asian")})
    with pytest.raises(EvenhandError, match="use the same groups in the same order"):
        check_judge(judge, {"gender": ("man", "woman")})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("opn-clip:model=ViT-L-14", r"unknown judge 'opn-clip'; did you mean 'open-clip'\?"),
        (
            "open-clip:modle=ViT-L-14",
            r"unknown parameter of judge 'open-clip': 'modle'; did you mean 'model'\?",
        ),
        ("open-clip:crop=ear", "judge 'open-clip': crop='ear': Input should be 'face', 'image' or 'both'"),
        ("open-clip:model", "expected parameter=value, got 'model'"),
        ("open-clip:crop=face,crop=image", "gives parameter 'crop' twice"),
        ("vlm", "judge 'vlm': model: Field required"),
        ("image-classifier", "'image-classifier': no classifier is given; give at least one of"),
        ("vit:size=3", "judge 'vit' takes no parameters, 'vit:size=3' gives size; write 'vit'"),
        (f"open-clip:model={CLIP},texts=Plato", "unknown published texts 'Plato'; known: CLEAM, HEIM"),
        ("open-clip:model=ViT-L-15", "unknown open_clip model 'ViT-L-15'; did you mean 'ViT-L-16'"),
        (
            "open-clip:pretrained=dfn3b",
            "weights of open_clip model 'ViT-L-14': 'dfn3b'; did you mean 'dfn2b'",
        ),
    ],
)
def test_an_invalid_spec_is_a_one_line_error_with_the_fix(text, said):
    with pytest.raises(EvenhandError, match=said) as fault:
        load_judge(text)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "open-clip",
            r"'ViT-L-14' \(dfn2b\) are not in the cache and cannot be downloaded .* give weights=FILE",
        ),
        ("open-clip:model=ViT-B-16-SigLIP,pretrained=webli", "are not in the cache and cannot be downloaded"),
        ("open-clip:model=someone/clip", "weights of 'someone/clip' are not in the cache"),
        ("image-classifier:gender=someone/gender", "weights of 'someone/gender' are not in the cache"),
        ("vlm:model=someone/vlm", "weights of 'someone/vlm' are not in the cache .* give a local folder"),
        ("vlm:model=nowhere", "model 'nowhere' must be an existing folder or a hub id 'org/name'"),
        ("fairface:weights=nowhere.pt", "weights file 'nowhere.pt' does not exist; give a .safetensors or"),
        ("deepface:home=nowhere", "weights gender_model_weights.onnx, .* are not in 'nowhere/.deepface"),
    ],
)
def test_missing_weights_are_a_one_line_error_with_the_fix(text, said, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EvenhandError, match=said) as fault:
        load_judge(text)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize("name", METHODS.names())
def test_the_default_judge_of_every_method_is_registered(name):
    judge = method_class(name)().steering_judge
    assert judge is None or judge_name(judge) in JUDGES.names()
