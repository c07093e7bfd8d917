"""The prompt that an image generator wrote into its file, or that a caption beside the file gives.

Read are the text chunks of PNG files, and the user comment of JPEG and WebP files, as Automatic1111, ComfyUI
and InvokeAI write them. The text is untrusted: it is parsed as JSON or as lines, never run.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from evenhand.bench.external_images.image_files import BROKEN, FORMATS

USER_COMMENT, EXIF = 0x9286, 0x8769
"""Tags of Exif: the user comment, and the table that has it."""

MAX_PROMPT = 1000
"""Longest prompt, in characters: what an image list accepts."""

CAPTIONS = (".txt", ".caption")
"""Suffixes of a file beside the image, of the same name, whose first line is the prompt."""

_SETTINGS = re.compile(r"^(?:Negative prompt:|Steps: \d)", re.MULTILINE)
_MODEL = re.compile(r"\bModel: ([^,\n]+)")


@dataclass(frozen=True)
class Written:
    """What is known of how an image was made.

    Attributes:
        prompt: The prompt, on one line.
        source: Where it was found, for messages: ``"metadata"`` or ``"caption"``.
        model: The model, if it was written.
    """

    prompt: str
    source: str
    model: str = ""


def written_prompt(path: Path) -> Written | None:
    """The prompt in a file's metadata, else in a caption beside it; ``None`` if there is neither."""
    found = _from_metadata(path)
    if found is not None and found.prompt:
        return found
    for suffix in CAPTIONS:
        caption = path.with_suffix(suffix)
        if caption.is_file():
            with caption.open(encoding="utf-8", errors="replace") as file:
                if prompt := _line(file.readline(4 * MAX_PROMPT)):
                    return Written(prompt, "caption")
    return None


def _from_metadata(path: Path) -> Written | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # no pixel is decoded here
            with Image.open(path, formats=FORMATS) as file:
                texts = {key: value for key, value in file.info.items() if isinstance(value, str)}
                # Pillow decodes a whole PNG to look for a comment behind its pixels.
                comment = None if file.format == "PNG" else file.getexif().get_ifd(EXIF).get(USER_COMMENT)
    except (*BROKEN, Image.DecompressionBombError):
        return None  # the import says what is wrong with the file
    if isinstance(comment, bytes):
        texts.setdefault("parameters", _comment(comment))
    if "parameters" in texts:
        return _automatic(texts["parameters"])
    for key, read in (("invokeai_metadata", _invoke), ("prompt", _comfy)):
        if key in texts:
            try:
                return read(json.loads(texts[key]))
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                return None
    return None


def _comment(data: bytes) -> str:
    """The text of a user comment, whose first eight bytes name its encoding."""
    wide = data.startswith(b"UNICODE\0")
    return data[8:].decode("utf-16-be" if wide else "utf-8", errors="replace")


def _automatic(text: str) -> Written:
    """Lines of the prompt, then ``Negative prompt:`` and ``Steps: …, Seed: …, Model: …``."""
    cut = _SETTINGS.search(text)
    prompt, settings = (text, "") if cut is None else (text[: cut.start()], text[cut.start() :])
    model = _MODEL.search(settings)
    return Written(_line(prompt), "metadata", _line(model[1]) if model else "")


def _invoke(stated: Mapping[str, Any]) -> Written:
    model = stated.get("model") or {}
    name = model.get("name") or model.get("model_name") or ""
    return Written(_line(stated["positive_prompt"]), "metadata", _line(name))


def _comfy(graph: Mapping[str, Any]) -> Written | None:
    """The text that the positive input of the first sampler of a graph of nodes leads to."""
    for node in graph.values():
        inputs = node["inputs"]
        if "positive" in inputs:
            prompt = _text_of(graph, str(inputs["positive"][0]), seen=set())
            return Written(_line(prompt), "metadata") if prompt else None
    return None


def _text_of(graph: Mapping[str, Any], name: str, *, seen: set[str]) -> str:
    """The text of a node, or the first one of the nodes that lead to it; empty for a node in ``seen``."""
    if name in seen:  # nodes may lead to each other, or to the same nodes in very many ways
        return ""
    seen.add(name)
    inputs = graph[name]["inputs"]
    stated = inputs.get("text")
    if isinstance(stated, str):
        return stated
    # Other texts of a node are settings, such as its normalization; what its text is linked to comes first.
    for value in (stated, *inputs.values()):
        linked = isinstance(value, list) and value and str(value[0]) in graph
        if linked and (text := _text_of(graph, str(value[0]), seen=seen)):
            return text
    return ""


def _line(text: str) -> str:
    """The text on one line, without control characters, at most ``MAX_PROMPT`` long.

    Signs that start a formula in a spreadsheet are removed from its beginning, because drafted lists are
    opened there and the text is untrusted.
    """
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split()).lstrip("=+-@ ")[:MAX_PROMPT].strip()
