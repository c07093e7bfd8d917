"""The page of accepted and refused pipelines is that of the installed diffusers."""

import re

import diffusers
import pytest
from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING
from helpers.paths import ROOT

from evenhand.bench.models.pipeline_page import PAGE, installed_pipelines, page

WRITTEN = (ROOT / PAGE).read_text(encoding="utf-8")
STATED = re.search(r"diffusers (\S+)\.\s", WRITTEN)[1]


@pytest.fixture(scope="module")
def known():
    return installed_pipelines()


@pytest.mark.skipif(
    diffusers.__version__ != STATED, reason=f"the page lists the pipelines of diffusers {STATED}"
)
def test_the_page_is_up_to_date(known):
    def rows(text):
        return {line for line in text.splitlines() if line.startswith("| `")}

    assert rows(WRITTEN) == rows(page()), "run python -m evenhand.bench.models.pipeline_page"
    refused = [name for name, found in known.items() if found.reason]
    lines = [line for line in page().splitlines() if line.startswith("| it")]
    assert set(lines) <= set(WRITTEN.splitlines()) and len(refused) > len(lines) > 3


def test_every_pipeline_is_accepted_or_refused_for_a_reason(known):
    assert len(known) > 200
    for name, found in known.items():
        assert (found.runner is None) == bool(found.reason), name


def test_every_text_to_image_pipeline_that_diffusers_selects_itself_is_decided(known):
    kinds = {kind.__name__ for kind in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()}
    accepted = {name for name in kinds if name in known and known[name].runner}
    assert {
        "FluxPipeline",
        "Flux2Pipeline",
        "QwenImagePipeline",
        "SanaPipeline",
        "ZImageOmniPipeline",
    } <= accepted
    assert {known[name].reason for name in kinds & known.keys()} <= {
        "",
        "it generates videos",
        "it has no single network that denoises, neither a transformer nor a U-Net",
        "it needs more than a prompt: an image",
        "it needs more than a prompt: control_image",
        "its U-Net is not run as in Stable Diffusion, and Evenhand runs the steps of U-Nets itself",
    }
