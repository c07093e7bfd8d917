"""SD3, Flux and PixArt run as whole pipelines: the baseline and methods that rewrite prompts."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, StableDiffusion3Img2ImgPipeline, UNet2DModel
from helpers.methods import GENDER, JOINT
from helpers.paths import TINY
from helpers.whole import CLIP_LENGTH, KINDS, QWEN_LENGTH, SIDE, T5_LENGTH, whole_pipeline

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model, open_sampler
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.models.video import ClipSampler
from evenhand.bench.registry.entry_points import METHODS
from evenhand.bench.registry.method_spec import method_class
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.base import Intervention
from evenhand.methods.prompts.random_attribute import RandomAttributePrompt

PROTOCOL = Protocol(version="t", solver="own", steps=2, guidance=3, width=SIDE, height=SIDE, batch=2)
PROMPTS, SEEDS = ["a photo of a nurse", "a CEO", "a nurse"], [3, 4, 5]


def protocol_of(kind, **changes):
    guidance = 1 if kind == "flux without guidance" else 3
    return PROTOCOL.model_copy(update={"guidance": guidance, **changes})


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folders = {}
    for kind in KINDS:
        folders[kind] = tmp_path_factory.mktemp("models") / kind.replace(" ", "-")
        whole_pipeline(kind).save_pretrained(folders[kind], safe_serialization=True)
    return folders


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def model(kind, folders):
    return load_model(str(folders[kind]), device="cpu")


@pytest.fixture(scope="module")
def sd3(folders):
    return load_model(str(folders["sd3"]), device="cpu")


def test_the_model_family_is_detected(model, kind):
    assert (model.family, type(model.pipeline)) == ("transformer", KINDS[kind])
    assert not any(weight.requires_grad for weight in model.denoiser.parameters())
    assert model.evaluations == 0, "testing a model does not count as cost of a method"


def test_images_equal_those_of_the_stock_pipeline_on_the_same_noise(model, kind):
    pipe = whole_pipeline(kind)
    pipe.set_progress_bar_config(disable=True)
    more = {"guidance_scale": protocol_of(kind).guidance}
    if "pixart" in kind:
        more |= {"use_resolution_binning": False, "clean_caption": False}
    if kind == "qwen":
        more = {"true_cfg_scale": protocol_of(kind).guidance, "negative_prompt": " "}
    # The last prompt is unique, since batches are filled up with copies of it.
    stock = [
        pipe(
            pair,
            num_inference_steps=2,
            height=SIDE,
            width=SIDE,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            output_type="np",
            **more,
        ).images
        for pair, seeds in ((PROMPTS[:2], SEEDS[:2]), (PROMPTS[2:] * 2, SEEDS[2:] * 2))
    ]
    expected = np.round(np.concatenate(stock)[:3] * 255)
    drawn = open_sampler(model, protocol_of(kind))(PROMPTS, SEEDS)
    assert drawn.std() > 5
    assert np.abs(drawn - expected).max() <= 1


def test_an_image_depends_on_its_seed_and_text_and_not_on_its_batch(model, kind):
    sampler = open_sampler(model, protocol_of(kind))
    together = sampler(PROMPTS, SEEDS)
    assert (sampler(PROMPTS[::-1], SEEDS[::-1])[::-1] == together).all()
    assert (sampler(PROMPTS[1:2], SEEDS[1:2])[0] == together[1]).all()
    other_noise, other_text = sampler(PROMPTS[:1], [9]), sampler(["a CEO"], SEEDS[:1])
    assert (other_noise[0] != together[0]).any()
    assert (other_text[0] != together[0]).any()


def test_a_rewritten_prompt_is_drawn_on_the_same_noise(model, kind):
    class Older(Intervention):
        def prompt(self, text, draw):
            return f"an older {text}"

    sampler = open_sampler(model, protocol_of(kind))
    rewritten = sampler(["nurse"], [3], intervention=Older())
    assert (rewritten == sampler(["an older nurse"], [3])).all()


def test_a_text_too_long_for_an_encoder_is_rejected(model, kind):
    length = {"p": T5_LENGTH, "q": QWEN_LENGTH}.get(kind[0], CLIP_LENGTH)
    with pytest.raises(EvenhandError, match=rf"has \d+ tokens, .* accepts {length}; shorten it"):
        open_sampler(model, protocol_of(kind))(["a photo of " + "nurse " * 90], [0])


@pytest.mark.parametrize("name", METHODS.names())
def test_only_methods_that_act_inside_the_model_are_rejected_with_one_sentence(name, sd3):
    method = method_class(name)()
    cells = GENDER if method.max_cells == 2 else JOINT
    if method.info.family in ("none", "prompt"):
        sd3.check_method(method, cells=cells)
        return
    with pytest.raises(EvenhandError) as caught:
        sd3.check_method(method, cells=cells)
    said = str(caught.value)
    for part in (repr(name), repr(sd3.name), "family transformer", "use a method of the family prompt"):
        assert part in said
    assert "\n" not in said


def test_an_intervention_that_acts_inside_the_model_is_rejected_whatever_its_card_says(sd3):
    class States(Intervention):
        def embedding(self, text, draws):
            raise AssertionError

    class Steps(Intervention):
        def steer(self, batch):
            raise AssertionError

    class Sites(Intervention):
        def sites(self):
            return ("mid_block",)

    weights = {"unet.x": torch.zeros(1)}
    inside = [States(), Steps(), Sites(), Intervention(weights=weights)]
    for intervention in [*inside, Intervention(concept_weights={"nurse": weights})]:
        with pytest.raises(
            EvenhandError, match=r"acts inside the model, .* use a method that rewrites prompts"
        ):
            open_sampler(sd3, PROTOCOL)(PROMPTS, SEEDS, intervention=intervention)

    class Disguised(RandomAttributePrompt):
        intervention_type = Steps

    with pytest.raises(EvenhandError, match=r"'random-attribute-prompt' .* acts inside the model"):
        sd3.check_method(Disguised(), cells=GENDER)


def test_unsupported_protocol_settings_are_rejected(folders, sd3):
    with pytest.raises(EvenhandError, match=r"own scheduler, not solver 'ddim'; set solver = \"own\""):
        open_sampler(sd3, PROTOCOL.model_copy(update={"solver": "ddim"}))
    with pytest.raises(EvenhandError, match=r"set compilation = \"blocks\" or \"none\""):
        open_sampler(sd3, PROTOCOL.model_copy(update={"compilation": "whole"}))
    with pytest.raises(EvenhandError, match=r"does not support guidance, got 3 .*; set guidance = 1"):
        open_sampler(load_model(str(folders["flux without guidance"]), device="cpu"), PROTOCOL)
    with pytest.raises(EvenhandError, match="does not support negative prompts, got 'ugly'"):
        open_sampler(sd3, PROTOCOL)(PROMPTS, SEEDS, negative_prompt="ugly")


@pytest.mark.parametrize(("kind", "width"), [("sd3", 128), ("flux", 40 + 2)])
def test_an_unsupported_image_size_is_rejected(kind, width, folders):
    """SD3 has no position embeddings beyond its table; Flux would generate a smaller image than requested."""
    protocol = PROTOCOL.model_copy(update={"width": width})
    with pytest.raises(EvenhandError, match=f"{width} x {SIDE}"):
        open_sampler(load_model(str(folders[kind]), device="cpu"), protocol)(PROMPTS, SEEDS)


def test_unet_and_whole_pipeline_samplers_reject_each_others_models(sd3):
    with pytest.raises(EvenhandError, match="run as a whole pipeline, without access to its parts"):
        Sampler(sd3, PROTOCOL)
    with pytest.raises(EvenhandError, match="generates images, not videos"):
        ClipSampler(sd3, PROTOCOL)
    with pytest.raises(
        EvenhandError, match="solver 'own' is only for models that are run as whole pipelines"
    ):
        open_sampler(load_model("mini"), PROTOCOL)


def test_non_finite_images_are_black_and_marked(folders):
    model = load_model(str(folders["sd3"]), device="cpu")
    model.pipeline.vae.decoder.conv_out.bias.data.fill_(float("nan"))
    told = []
    open_sampler(model, PROTOCOL).draw(
        PROMPTS, SEEDS, on_batch=lambda start, images, finite: told.append((images.max(), finite.any()))
    )
    assert told == [(0, False)] * 2


def test_a_pipeline_that_needs_more_than_a_text_is_rejected(folders, tmp_path):
    parts = whole_pipeline("sd3").components
    StableDiffusion3Img2ImgPipeline(**parts).save_pretrained(tmp_path / "from-images")
    blocks = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",)}
    unet = UNet2DModel(sample_size=16, block_out_channels=(32,), layers_per_block=1, **blocks)
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(tmp_path / "without-text")
    for name, reason in (
        ("from-images", "StableDiffusion3Img2ImgPipeline, .*: it needs more than a prompt: an image; use"),
        ("without-text", "DDPMPipeline, .*: it takes no prompt; use"),
    ):
        with pytest.raises(EvenhandError, match=f"{name}.* {reason}"):
            load_model(str(tmp_path / name), device="cpu")


def test_code_in_the_folder_and_pickled_weights_are_rejected(folders, tmp_path):
    shutil.copytree(folders["pixart sigma"], tmp_path / "code")
    (tmp_path / "code" / "transformer" / "mine.py").write_text("raise SystemExit")
    with pytest.raises(EvenhandError, match=r"contains code \(mine\.py\)"):
        load_model(str(tmp_path / "code"))
    shutil.copytree(folders["pixart sigma"], tmp_path / "pickled")
    path = tmp_path / "pickled" / "transformer" / "diffusion_pytorch_model.safetensors"
    path.unlink()
    torch.save({}, path.with_suffix(".bin"))
    with pytest.raises(EvenhandError, match="cannot be loaded"):
        load_model(str(tmp_path / "pickled"))


def test_the_revision_changes_with_the_weights_and_the_vocabulary(folders, tmp_path):
    copy, revision = tmp_path / "copy", load_model(str(folders["pixart sigma"])).revision
    shutil.copytree(folders["pixart sigma"], copy)
    assert load_model(str(copy)).revision == revision
    (copy / "tokenizer" / "spiece.model").write_bytes(b"other words")
    assert load_model(str(copy)).revision != revision


def test_an_error_names_the_package_that_a_tokenizer_needs(folders, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(folders["pixart sigma"], copy)
    (copy / "tokenizer" / "tokenizer.json").rename(copy / "tokenizer" / "spiece.model")
    monkeypatch.setattr("evenhand.bench.models.loading.find_spec", lambda name: None)
    with pytest.raises(EvenhandError, match=r"spiece\.model.*; run pip install sentencepiece"):
        load_model(str(copy))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_generates_images(folders, precision):
    model = load_model(str(folders["sd3"]), precision=precision, device="cpu")
    assert {weight.dtype for weight in model.denoiser.parameters()} == {getattr(torch, precision)}
    assert open_sampler(model, PROTOCOL)(PROMPTS, SEEDS).std() > 5


def suite_of(folder, path, *, solver="own"):
    """The tiny suite with a model from a folder."""
    text = TINY.read_text().replace('model = "mini"', f'model = "{folder}"')
    small = text.replace("width = 64\nheight = 64\nbatch = 8", f"width = {SIDE}\nheight = {SIDE}\nbatch = 2")
    path.write_text(small.replace("steps = 2", f'steps = 2\nsolver = "{solver}"'))
    return path


@pytest.mark.slow
def test_a_run_stores_judges_resumes_and_reports(evenhand, folders, tmp_path):
    suite = suite_of(folders["sd3"], tmp_path / "suite.toml")
    searched = "sortition-prompt:anchors=2,images=4,batch=2,judge=clip-xs"
    methods = ("--method", "entigen", "--method", searched)
    arguments = ("run", suite, *methods, "--out", tmp_path / "run")
    assert evenhand(*arguments).code == 0
    results = {p.stem: p.read_bytes() for p in (tmp_path / "run" / "results").glob("*.json")}
    ours = next(name for name in results if name.startswith("sortition-prompt"))
    assert {*results} == {"base", "entigen", ours}
    assert json.loads(results[ours])["cost"]["fit_images"] == 6
    base = json.loads(results["base"])
    assert base["spec"]["protocol"]["solver"] == "own"
    assert base["coverage"]["made"] == 8
    assert (tmp_path / "run" / "report.html").is_file()
    images = {p.name: p.read_bytes() for p in (tmp_path / "run" / "images").rglob("*.png")}
    lost = sorted((tmp_path / "run" / "images").rglob("*.png"))[3]
    lost.unlink()
    assert evenhand(*arguments).code == 0
    assert {p.name: p.read_bytes() for p in (tmp_path / "run" / "images").rglob("*.png")} == images
    assert {p.stem: p.read_bytes() for p in (tmp_path / "run" / "results").glob("*.json")} == results


@pytest.mark.parametrize(
    ("method", "solver", "said"),
    [
        ("mist", "own", "method 'mist' (family weights) acts inside the model"),
        ("base", "ddim", 'set solver = "own"'),
    ],
)
def test_an_impossible_run_is_rejected_before_anything_is_generated(
    evenhand, folders, tmp_path, method, solver, said
):
    suite = suite_of(folders["flux"], tmp_path / "suite.toml", solver=solver)
    outcome = evenhand("run", suite, "--method", method, "--out", tmp_path / "run")
    assert outcome.code == 2
    assert said in " ".join(outcome.err.split())
    assert not list((tmp_path / "run").rglob("*.png"))
