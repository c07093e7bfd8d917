"""The name of the processor: as the system states it, with the instructions that decide the last digits."""

import platform

import pytest
import torch

from evenhand.metrics.vision import device
from evenhand.metrics.vision.device import model_name, processor_name

CPU = torch.device("cpu")


@pytest.fixture
def system_says(monkeypatch):
    """What the system has at /proc/cpuinfo; nothing if it is ``None``."""

    def say(text):
        def read_text(path, **kwargs):
            if text is None:
                raise FileNotFoundError(path)
            return text

        monkeypatch.setattr(device.Path, "read_text", read_text)

    return say


def test_name_has_the_model_and_the_instructions_of_torch(system_says):
    system_says("processor\t: 0\nmodel name\t: Some CPU 7\nflags\t: fpu avx2\nmodel name\t: Some CPU 7\n")
    assert processor_name(CPU) == f"Some CPU 7, {torch.backends.cpu.get_cpu_capability()}"


@pytest.mark.parametrize("text", [None, "Hardware\t: a board\n"])
@pytest.mark.parametrize(("stated", "expected"), [("arm", "arm"), ("", "aarch64")])
def test_a_system_that_does_not_state_it_is_named_by_its_architecture(
    system_says, monkeypatch, text, stated, expected
):
    system_says(text)
    monkeypatch.setattr(platform, "processor", lambda: stated)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert model_name() == expected


def test_an_accelerator_has_the_name_of_its_driver(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda which: "An Accelerator")
    assert processor_name(torch.device("cuda")) == "An Accelerator"
