"""Damaged files and odd words for the fuzz tests, the same in every run, and the permitted outcomes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from evenhand.bench.errors import EvenhandError

ODD_WORDS = (
    "",
    " ",
    "nan",
    "inf",
    "-1",
    "0",
    "1e999",
    "9" * 5000,
    "0x10",
    "1_000",
    "true",
    "null",
    "../../../etc/passwd",
    "/etc/passwd",
    "a\\b",
    "C:\\con",
    "=1+1",
    "@SUM(A1)",
    "<script>alert(1)</script>",
    "{{ 7 * 7 }}",
    "${HOME}",
    "%s%n",
    "'; DROP TABLE labels; --",
    "\u202egnirts",
    "\u05e8\u05d5\u05e4\u05d0",
    "\U0001f469\U0001f3ff\u200d\U0001f692",
    "e\u0301" * 30,
    "\ufeff",
    "\x1b[2J",
    "\u2028",
    "a" * 3000,
    "[" * 20_000,
    '{"a":' * 5000,
    "a." * 5000,
    "}{",
    '"',
    "'''",
    '"""',
    "#",
    ",",
    ";",
    "=",
    ".",
    "\n",
    "\r",
    "\t",
    "*",
    "|",
)
"""Words that have broken parsers: invalid numbers, code, paths, other scripts, and separators."""

ODD_BYTES = (b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80")
"""Bytes that are not valid UTF-8 or should not be in a text."""

ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**70,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "a" * 3000,
    "\x1b[2J",
    "<script>",
    "../..",
    [],
    {},
    [[]],
    {"": {}},
    [None],
    [1, "a", {}],
)
"""JSON values of the wrong type, size or content."""


def mutants(data: bytes, *, count: int, seed: int) -> Iterator[bytes]:
    """This number of damaged copies of ``data``, each with one to three changes of bytes, words or lines."""
    rng = random.Random(seed)
    changes = (_flip, _cut, _remove, _repeat, _insert_word, _insert_bytes, _replace_word, _swap_lines)
    for _ in range(count):
        mutant = data
        for _ in range(rng.randint(1, 3)):
            mutant = rng.choice(changes)(mutant, rng)
        yield mutant


def json_mutants(value: Any, *, count: int, seed: int) -> Iterator[Any]:
    """This number of copies of a JSON value with one to three members replaced, removed or added."""
    rng = random.Random(seed)
    text = json.dumps(value)
    for _ in range(count):
        mutant = json.loads(text)
        for _ in range(rng.randint(1, 3)):
            _change_member(mutant, rng)
        yield mutant


def value_or_one_line(call: Callable[[], Any]) -> Any:
    """The result of ``call``, or its EvenhandError if that is one short line; other errors propagate."""
    try:
        return call()
    except EvenhandError as fault:
        message = str(fault)
        assert message.strip() and "\n" not in message and "\r" not in message, repr(message)
        assert len(message) < 1500, f"{len(message)} letters: {message[:300]}"
        return fault


def _place(data: bytes, rng: random.Random) -> int:
    return rng.randrange(len(data) + 1)


def _flip(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return data
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ rng.randint(1, 255)]) + data[place + 1 :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def _remove(data: bytes, rng: random.Random) -> bytes:
    place = _place(data, rng)
    return data[:place] + data[place + rng.randint(1, 40) :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    place = _place(data, rng)
    return data[:place] + data[place : place + rng.randint(1, 60)] * rng.randint(2, 20) + data[place:]


def _insert_word(data: bytes, rng: random.Random) -> bytes:
    place = _place(data, rng)
    return data[:place] + rng.choice(ODD_WORDS).encode() + data[place:]


def _insert_bytes(data: bytes, rng: random.Random) -> bytes:
    place = _place(data, rng)
    return data[:place] + rng.choice(ODD_BYTES) + data[place:]


def _replace_word(data: bytes, rng: random.Random) -> bytes:
    words = data.split(b'"') if rng.random() < 0.5 else data.split(b",")
    words[rng.randrange(len(words))] = rng.choice(ODD_WORDS).encode()
    return (b'"' if b'"' in data else b",").join(words)


def _swap_lines(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def _change_member(value: Any, rng: random.Random) -> None:
    """Replaces, removes or adds one member of a list or object, at a random depth, in place."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = rng.choice(keys)
        inner = value[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.2:
            break
        value = inner
    change = rng.random()
    if change < 0.7:
        value[key] = rng.choice(ODD_VALUES)
    elif change < 0.9:
        del value[key]
    elif isinstance(value, dict):
        value[rng.choice(ODD_WORDS)] = value[key]
    else:
        value.append(value[key])
