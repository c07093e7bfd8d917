"""Counted memory of full-size models: published sizes, and peaks that can be worked out by hand."""

import subprocess
import sys

import pytest
import torch
from helpers.paths import ROOT
from torch import nn

from evenhand.bench.benchmarks.architectures import ARCHITECTURES, Architecture
from evenhand.bench.benchmarks.memory import (
    GIB,
    count,
    denoising,
    setting,
    weights,
)

PAGE = (ROOT / "docs" / "full-size.md").read_text(encoding="utf-8")
SD15 = ARCHITECTURES[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "denoiser", "encoders"),
    list(
        zip(
            ARCHITECTURES,
            # Millions of weights, as the model cards and papers state them.
            (860, 2567, 8057, 11_901, 6155, 20_430),
            (123, 123 + 695, 123 + 695 + 4762, 123 + 4762, 4022, 8292),
            strict=True,
        )
    ),
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_networks_have_the_published_sizes(model, denoiser, encoders):
    assert count(model.denoiser) / 1e6 == pytest.approx(denoiser, rel=0.002)
    assert sum(map(count, model.encoders)) / 1e6 == pytest.approx(encoders, rel=0.002)


class Wide(nn.Module):
    """Widens its input a thousandfold and sums it up again."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(8, 8000, bias=False), nn.Linear(8000, 8, bias=False)

    def forward(self, sample):
        return self.down(self.up(sample))


def wide(rows):
    return {"sample": torch.randn(rows, 8)}


def test_the_peak_of_a_step_is_its_largest_activations_without_the_weights():
    model = Architecture("wide", 512, Wide, wide, (), decoder=Wide)
    # Input, wide row and result of two rows an image, in two bytes each.
    expected = 2 * 3 * (8 + 8000 + 8) * 2
    assert denoising(model, 3) * GIB == pytest.approx(expected, abs=2 * 3 * 8 * 2)
    assert weights(model) * GIB == pytest.approx(2 * 2 * (8 * 8000) * 2)
    assert weights(model, bits=8) * GIB == pytest.approx((1 + 2) * 2 * 8 * 8000)


class Attention(nn.Module):
    """Attention with as many keys as rows, and no weights but one."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, sample):
        return nn.functional.scaled_dot_product_attention(sample, sample, sample) * self.scale


def test_attention_keeps_no_scores():
    before = nn.functional.scaled_dot_product_attention
    model = Architecture("attention", 512, Attention, lambda n: {"sample": torch.randn(n, 1, 4096, 8)}, ())
    kept = 2 * 4096 * 8 * 2
    assert denoising(model, 1) * GIB == pytest.approx(3 * kept, rel=0.01)
    assert nn.functional.scaled_dot_product_attention is before


@pytest.mark.parametrize(
    ("card", "drawing", "expected"),
    [
        (24, (1.0, 2.0), "16 bits, 8 at once"),
        (24, (1.0, 40.0), "16 bits, 1 at once"),
        (3, (1.0, 2.0), 'offload = "model"'),
    ],
)
def test_a_card_draws_as_many_images_at_once_as_fit(card, drawing, expected):
    assert setting(SD15, card, drawing) == expected


@pytest.mark.slow
def test_the_page_has_the_counted_figures():
    # In its own process, as it is run: the tracker hooks into every module of a process.
    command = [sys.executable, "-m", "evenhand.bench.benchmarks.memory", "--model", SD15.name]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    counted = [line for line in printed if SD15.name in line or "Qwen2.5-VL" in line]
    assert len(counted) == 3
    assert [line for line in counted if line not in PAGE] == []
