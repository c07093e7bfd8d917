"""Kinds of processors: the same here every time, and never one for an accelerator."""

import re

import torch

from evenhand.bench.cache import processor
from evenhand.bench.cache.layout import ELSEWHERE


def test_a_processor_has_one_name_that_depends_on_model_and_packages(monkeypatch):
    here = processor.processor_of(torch.device("cpu"))
    assert re.fullmatch("[0-9a-f]{16}", here) and processor.processor_of(torch.device("cpu")) == here
    monkeypatch.setattr(processor, "model_name", lambda: "another processor")
    other = processor.processor_of(torch.device("cpu"))
    monkeypatch.setattr(processor, "version", lambda name: "another release")
    assert len({here, other, processor.processor_of(torch.device("cpu"))}) == 3


def test_no_accelerator_promises_the_same_bytes():
    assert processor.processor_of(torch.device("cuda")) == ELSEWHERE
