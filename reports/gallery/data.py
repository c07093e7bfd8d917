"""The images of a run as compact data for the script of the gallery.

A run may have a hundred thousand images. What filters and captions need is a few characters per image and
always there; keys, seeds and the answers of the judges come in chunks that the page loads when it shows them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.bench.results.image_facts import PERCEIVED
from evenhand.bench.results.lookup import attribute_names
from evenhand.bench.results.result import BASE, Result
from evenhand.bench.results.text import KINDS, PANEL, UNDETERMINED, attribute, parse_cell

CHUNK = 1000
"""Images per chunk, at most."""

NO_IMAGE, UNLABELLED, UNKNOWN = " ", ".", "-"
"""Codes of a label: no image, an image without labels, undetermined; see :func:`_code` for the groups."""

FACTS = ("changed", "disobeyed", "disagreed")

_KEY = re.compile(r"[A-Za-z0-9_]+")

Characters = NDArray[np.str_]


@dataclass(frozen=True)
class Units:
    """The images of a run in the order of the gallery: one unit per prompt and seed, one place per method.

    Attributes:
        images: The images, with their places in columns ``unit`` and ``place``.
        first: The first image of every unit.
        methods: Labels of the methods.
    """

    images: pd.DataFrame
    first: pd.DataFrame
    methods: list[str]

    @classmethod
    def of(cls, images: pd.DataFrame, results: Sequence[Result]) -> Units:
        """The images in order of kind, concept, prompt and seed.

        Raises:
            EvenhandError: The key of an image is not valid, so that it could name another file.
        """
        if bad := next((key for key in images["key"] if not _KEY.fullmatch(key)), None):
            raise EvenhandError(
                f"image keys must be letters and digits, got {bad!r:.60}; run the suite again"
            )
        there = set(images["method"])
        methods = [r.spec.method.label for r in results if r.spec.method.label in there]
        kinds, concepts = _places(KINDS, images["kind"]), _places(results[0].spec.concepts, images["concept"])
        order = images.assign(
            _kind=images["kind"].map(kinds),
            _concept=images["concept"].map(concepts),
            place=images["method"].map({label: place for place, label in enumerate(methods)}),
        )
        order = order.sort_values(
            ["_kind", "_concept", "prompt", "prompt_id", "seed_index", "place"], ignore_index=True
        )
        order["unit"] = order.groupby(["prompt_id", "seed_index"], sort=False).ngroup()
        return cls(order, order.drop_duplicates("unit"), methods)

    def __len__(self) -> int:
        return len(self.first)

    @property
    def chunk(self) -> int:
        """Units per chunk."""
        return max(1, CHUNK // max(1, len(self.methods)))


def _places(known: Sequence[str] | dict[str, str], found: pd.Series[str]) -> dict[str, int]:
    """The place of every name: the known ones first, in their order."""
    names = dict.fromkeys([*known, *sorted(set(found))])
    return {name: place for place, name in enumerate(names)}


def index_of(units: Units, labels: pd.DataFrame, results: Sequence[Result]) -> dict[str, Any]:
    """What the page always holds: names, prompts, and the labels and facts of every image."""
    spec, first = results[0].spec, units.first
    groups = {name: list(spec.attributes[name]) for name in attribute_names(results)}
    prompts = first.drop_duplicates("prompt_id").to_dict("records")
    concepts, kinds = list(dict.fromkeys(first["concept"])), list(dict.fromkeys(first["kind"]))
    numbers = {row["prompt_id"]: number for number, row in enumerate(prompts)}
    bases = [r.spec.method.label for r in results if r.spec.method.name == BASE and not spec.external]
    return {
        "external": spec.external,
        "methods": units.methods,
        "base": units.methods.index(bases[0]) if bases and bases[0] in units.methods else -1,
        "attributes": [[name, attribute(name), found] for name, found in groups.items()],
        "judges": [[PANEL, "vote of the panel"], *([j.name, j.role] for j in _judges(results))],
        "statuses": sorted({str(status) for status in labels["status"].unique()} - {"ok"}),
        "concepts": concepts,
        "kinds": [[kind, KINDS.get(kind, kind)] for kind in kinds],
        "prompts": [
            [
                row["prompt_id"],
                row["prompt"],
                concepts.index(row["concept"]),
                kinds.index(row["kind"]),
                parse_cell(row["cell"]),
            ]
            for row in prompts
        ],
        "prompt_of": [numbers[prompt] for prompt in first["prompt_id"]],
        "seed_of": first["seed_index"].tolist(),
        "labels": _labels(units, groups),
        "chunk": units.chunk,
    }


def _judges(results: Sequence[Result]) -> list[Any]:
    """The judges of all results, each once."""
    return list({judge.name: judge for result in reversed(results) for judge in result.spec.judges}.values())


def _labels(units: Units, attributes: Mapping[str, list[str]]) -> list[str]:
    """A string per method: for every unit one label per attribute, then one set of attributes per fact."""
    images, width = units.images, len(attributes) + len(FACTS)
    codes = np.full((len(units.methods), len(units), width), NO_IMAGE)
    there = (images["path"] != "").to_numpy()
    place, unit = (images[name].to_numpy()[there] for name in ("place", "unit"))
    for number, (name, groups) in enumerate(attributes.items()):
        code = {group: _code(value) for value, group in enumerate(groups)} | {UNDETERMINED: UNKNOWN}
        found = images[PERCEIVED + name].map(code).fillna(UNLABELLED)
        codes[place, unit, number] = found.to_numpy(dtype=str)[there]
    bit = {name: 1 << number for number, name in enumerate(attributes)}
    for number, fact in enumerate(FACTS, start=len(attributes)):
        sets = {text: _code(sum(bit.get(name, 0) for name in text.split(";"))) for text in set(images[fact])}
        codes[place, unit, number] = images[fact].map(sets).to_numpy(dtype=str)[there]
    return [_text(row) for row in codes]


def _code(value: int) -> str:
    """A small number as a character that needs no escape in JSON; the inverse is in ``gallery.js``."""
    return chr(48 + value) if value < 40 else chr(192 + value)


def _text(characters: Characters) -> str:
    return "".join(characters.ravel().tolist())


def chunks_of(units: Units, labels: pd.DataFrame, index: dict[str, Any]) -> list[dict[str, Any]]:
    """The details of all images by chunk, in the codes of ``index``.

    For every judge and attribute an answer is two characters: the code of the group, or of the status after
    those of the groups, and the confidence in per cent.
    """
    keys, answers = _answers(units, labels, index)
    images = units.images[units.images["path"] != ""]
    number = keys.get_indexer(pd.Index(images["key"]))
    notes = _notes(images)
    seeds = units.first["seed"].astype(str).tolist() if "seed" in units.first else []
    starts = np.arange(0, len(units), units.chunk)
    edges = np.searchsorted(images["unit"].to_numpy(), [*starts, len(units)])
    chunks = []
    for start, low, high in zip(starts.tolist(), edges[:-1], edges[1:], strict=True):
        rows = images.iloc[low:high]
        at = list(zip((rows["unit"] - start).tolist(), rows["place"].tolist(), strict=True))
        chunks.append(
            {
                "at": [unit * len(units.methods) + place for unit, place in at],
                "keys": rows["key"].tolist(),
                "seeds": seeds[start : start + units.chunk],
                "notes": {place: text for place, text in enumerate(notes[low:high]) if text},
                "answers": _text(answers[number[low:high]]),
            }
        )
    return chunks


def _notes(images: pd.DataFrame) -> list[str]:
    """The file of an external image; the text given to the model where a method has rewritten the prompt."""
    if "file" in images:
        return [str(name) for name in images["file"]]
    if "text" not in images:
        return [""] * len(images)
    return [
        text if text != prompt else "" for text, prompt in zip(images["text"], images["prompt"], strict=True)
    ]


def _answers(units: Units, labels: pd.DataFrame, index: dict[str, Any]) -> tuple[pd.Index[Any], Characters]:
    """The keys of the images, and their answers as characters ``(keys, judges, attributes, 2)``."""
    keys = pd.Index(units.images["key"].unique())
    judges = {name: place for place, (name, _) in enumerate(index["judges"])}
    names = {name: place for place, (name, _, _) in enumerate(index["attributes"])}
    rows = labels[labels["judge"].isin(list(judges)) & labels["attribute"].isin(list(names))]
    answers = np.full((len(keys), len(judges), len(names), 2), NO_IMAGE)
    key = keys.get_indexer(rows["key"].astype(object))
    judge = rows["judge"].astype(object).map(judges).to_numpy()
    name = rows["attribute"].astype(object).map(names).to_numpy()
    codes = {
        (attribute_name, label): _code(value)
        for attribute_name, _, groups in index["attributes"]
        for value, label in enumerate([*groups, *index["statuses"]])
    }
    said = rows["label"].astype(object).where(rows["status"] == "ok", rows["status"].astype(object))
    code = [codes.get(pair, NO_IMAGE) for pair in zip(rows["attribute"], said, strict=True)]
    percent = np.nan_to_num(100 * rows["confidence"].to_numpy(dtype=float), nan=-1).round().astype(int)
    confidence = [_code(value) if value >= 0 else NO_IMAGE for value in percent.tolist()]
    known = key >= 0
    for place, values in enumerate((code, confidence)):
        answers[key[known], judge[known], name[known], place] = np.array(values, dtype=str)[known]
    return keys, answers


def script_json(data: object) -> str:
    """Compact JSON that is safe inside a script element and as a JavaScript expression."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text
