"""Prompts are read as Automatic1111, ComfyUI and InvokeAI write them, and from captions."""

import json
import struct
import time
import zlib

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from evenhand.bench.external_images.prompt_metadata import Written, written_prompt

AUTOMATIC = (
    "a photo of a nurse,\nward\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, "
    "Seed: 12, Size: 512x512, Model hash: abc, Model: dreams_v1, Version: v1.9"
)
COMFY = {
    "3": {
        "class_type": "KSampler",
        "inputs": {"seed": 5, "steps": 20, "model": ["4", 0], "positive": ["9", 0], "negative": ["7", 0]},
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd.safetensors"}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a photo of a CEO", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "watermark", "clip": ["4", 1]}},
    "9": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["6", 0]}},
}
INVOKE = {"positive_prompt": "a photo of a cook", "seed": 7, "model": {"name": "juggernaut"}}


def png(path, **chunks):
    info = PngInfo()
    for key, text in chunks.items():
        info.add_text(key, text)
    Image.new("RGB", (32, 32)).save(path, pnginfo=info)
    return path


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ({"parameters": AUTOMATIC}, Written("a photo of a nurse, ward", "metadata", "dreams_v1")),
        ({"parameters": "a photo of a nurse"}, Written("a photo of a nurse", "metadata")),
        ({"prompt": json.dumps(COMFY), "workflow": "{}"}, Written("a photo of a CEO", "metadata")),
        ({"invokeai_metadata": json.dumps(INVOKE)}, Written("a photo of a cook", "metadata", "juggernaut")),
    ],
    ids=["automatic", "automatic without settings", "comfy", "invoke"],
)
def test_the_positive_prompt_is_read(tmp_path, chunks, expected):
    assert written_prompt(png(tmp_path / "a.png", **chunks)) == expected


@pytest.mark.parametrize("text", ["a photo of a nurse", ["8", 0]], ids=["stated", "linked"])
def test_settings_beside_the_text_of_a_node_are_not_the_prompt(tmp_path, text):
    settings = {"clip": ["4", 1], "style": "none", "token_normalization": "length+mean"}
    graph = {
        "3": {"inputs": {"positive": ["6", 0]}},
        "4": {"inputs": {"text": "not of the prompt"}},
        "6": {"inputs": {**settings, "text": text}},
        "8": {"inputs": {"text": "a photo of a nurse"}},
    }
    found = written_prompt(png(tmp_path / "a.png", prompt=json.dumps(graph)))
    assert found == Written("a photo of a nurse", "metadata")


@pytest.mark.parametrize("wide", [True, False])
def test_a_jpeg_has_the_prompt_in_its_user_comment(tmp_path, wide):
    comment = b"UNICODE\0" + AUTOMATIC.encode("utf-16-be") if wide else b"ASCII\0\0\0" + AUTOMATIC.encode()
    image, exif = Image.new("RGB", (32, 32)), Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    image.save(tmp_path / "a.jpg", exif=exif)
    assert written_prompt(tmp_path / "a.jpg") == Written("a photo of a nurse, ward", "metadata", "dreams_v1")


def loop():
    """A graph whose nodes lead to each other."""
    return {
        "1": {"inputs": {"positive": ["2", 0]}},
        "2": {"inputs": {"x": ["3", 0]}},
        "3": {"inputs": {"x": ["2", 0]}},
    }


@pytest.mark.parametrize(
    "text", ["", "not json", "[]", "3", '{"1": {}}', "[" * 5000, json.dumps(loop())], ids=range(7)
)
def test_metadata_of_another_form_is_no_prompt(tmp_path, text):
    assert written_prompt(png(tmp_path / "a.png", prompt=text)) is None
    assert written_prompt(png(tmp_path / "b.png", invokeai_metadata=text)) is None


def test_a_caption_beside_the_image_is_the_prompt_if_the_file_has_none(tmp_path):
    bare = png(tmp_path / "a.png")
    assert written_prompt(bare) is None
    bare.with_suffix(".txt").write_text("a photo of a  farmer\nsecond line")
    assert written_prompt(bare) == Written("a photo of a farmer", "caption")
    full = png(tmp_path / "a.png", parameters=AUTOMATIC)
    assert written_prompt(full).source == "metadata"


def test_a_damaged_file_has_no_prompt(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    assert written_prompt(tmp_path / "a.png") is None


@pytest.mark.parametrize("side", [12_000, 30_000])
@pytest.mark.filterwarnings("error")
def test_a_file_that_declares_too_many_pixels_is_no_error_here(tmp_path, side):
    path = png(tmp_path / "a.png", parameters="a photo of a nurse")
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", side, side)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    expected = Written("a photo of a nurse", "metadata") if side < 13_000 else None
    assert written_prompt(path) == expected


def test_a_graph_with_very_many_ways_is_read_at_once(tmp_path):
    layers, width = 9, 12
    graph = {"0": {"inputs": {"positive": ["1-0", 0]}}}
    for layer in range(1, layers + 1):
        links = {str(to): [f"{layer + 1}-{to}", 0] for to in range(width)}
        graph |= {f"{layer}-{place}": {"inputs": links} for place in range(width)}
    graph |= {f"{layers + 1}-{place}": {"inputs": {}} for place in range(width)}
    started = time.monotonic()
    assert written_prompt(png(tmp_path / "a.png", prompt=json.dumps(graph))) is None
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("positive", [[], ["2", 0]])
def test_a_link_that_leads_nowhere_is_no_prompt(tmp_path, positive):
    graph = {"1": {"inputs": {"positive": positive}}, "2": {"inputs": {"x": []}}}
    assert written_prompt(png(tmp_path / "a.png", prompt=json.dumps(graph))) is None
