"""What a suite needs, by name, without loading it."""

import pytest
from helpers.families import pipeline
from helpers.paths import TINY

from evenhand.bench.errors import EvenhandError
from evenhand.bench.fetching.assets import assets_of, assets_of_suite
from evenhand.bench.suites.suite import load_suite


def test_a_suite_needs_its_model_all_judges_of_the_run_and_its_scorer():
    suite = load_suite(str(TINY))
    names = [(asset.kind, asset.name) for asset in assets_of_suite(suite, ["base", "mist"])]
    assert names == [
        ("model", "mini"),
        ("judge", "clip-s"),
        ("judge", "vit"),
        ("judge", "clip-xs"),
        ("scorer", "mini"),
    ]
    assert ("judge", "clip-xs") not in [(a.kind, a.name) for a in assets_of_suite(suite, ["base"])]


def test_the_published_suites_say_where_everything_comes_from():
    assets = assets_of("winobias-gender", ["base"])
    sources = {asset.name.partition(":")[0]: asset.sources[0] for asset in assets}
    assert sources["CompVis/stable-diffusion-v1-4"].repository == "CompVis/stable-diffusion-v1-4"
    assert sources["vlm"].repository == "Qwen/Qwen2.5-VL-7B-Instruct"
    assert sources["fairface"].by_hand and sources["fairface"].address.startswith("https://")
    assert all(asset.fault() for asset in assets)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("deepface", "judge"),
        ("open-clip:pretrained=webli,model=ViT-B-16-SigLIP", "judge"),
        ("org/name@v1", "model"),
    ],
)
def test_a_judge_and_a_model_are_assets_too(name, kind):
    (asset,) = assets_of(name)
    assert asset.kind == kind and asset.sources


def test_a_folder_is_a_model(tmp_path):
    pipeline("sd1").save_pretrained(tmp_path)
    (asset,) = assets_of(str(tmp_path))
    assert (asset.kind, asset.fault()) == ("model", "")


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(EvenhandError, match="did you mean 'deepface'"):
        assets_of("deepfase")
