"""Prompt text: filling templates, articles, and finding phrases in a prompt."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from functools import cache

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Cell


def article(word: str) -> str:
    """The indefinite article of a word, by its sound: ``"a"`` or ``"an"``.

    Single letters, and capitals that cannot be read as a word, are read letter by letter.

    >>> [article(word) for word in ("elderly", "European", "unmarried", "honest", "nurse", "HR", "UI")]
    ['an', 'a', 'an', 'an', 'a', 'an', 'a']
    """
    if _INITIALISM.match(word):
        return "an" if word[0] in "aefhilmnorsxAEFHILMNORSX" else "a"
    return "an" if _VOWEL_SOUND.match(word) else "a"


_INITIALISM = re.compile(r"(?:[A-Za-z]|[A-Z]{2,3}|[B-DF-HJ-NP-TV-XZ]+)\b")
"""A single letter; up to three capitals; or any number of them without a vowel."""

_VOWEL_SOUND = re.compile(
    r"(?!eu|one\b|uni(?![dmn])|us[ae]|u[rt][aeio]|uk[ru]|uga)[aeiou]|hon(?:est|ou?r)|hour|heir", re.IGNORECASE
)


def before(text: str, word: str) -> str:
    """The text that precedes ``word``, with its final article, if any, made to agree with ``word``.

    >>> before("A ", "elderly")
    'An '
    """

    def agree(match: re.Match[str]) -> str:
        agreed = article(word)
        return f"{agreed.capitalize() if match[1][0] == 'A' else agreed}{match[2]}"

    return re.sub(r"\b(an?)(\s+)$", agree, text, flags=re.IGNORECASE)


def fill(template: str, *, concept: str, cell: Cell | None = None) -> str:
    """The template with its fields filled; ``{a}`` becomes the article of the word after it.

    Fields: ``{a}``, ``{concept}``, and, with a cell, ``{adjective}`` and ``{noun}``.

    Raises:
        EvenhandError: The template contains another field, or ``{a}`` does not precede a space and a word.

    >>> fill("a photo of {a} {concept}", concept="attendant")
    'a photo of an attendant'
    """
    words = {"concept": concept, "a": "{a}"}
    if cell is not None:
        words |= {"adjective": cell.adjective, "noun": cell.noun}
    try:
        text = template.format(**words)
    except (KeyError, IndexError, ValueError) as error:
        known = ", ".join(f"{{{word}}}" for word in sorted(words))
        raise EvenhandError(f"cannot fill template {template!r} ({error}); its fields are {known}") from error
    filled = re.sub(r"\{a\} (\w+)", lambda match: f"{article(match[1])} {match[1]}", text)
    if "{a}" in filled:
        raise EvenhandError(
            f"cannot fill template {template!r} ({{a}} needs a space and a word after it, in {text!r}); "
            "write the article yourself"
        )
    return filled


def statements(words: Mapping[str, Mapping[str, str]], *, without: str) -> list[dict[str, str]]:
    """All combinations of groups of the other attributes, the empty one included: attribute to group.

    Args:
        words: Attribute to group to the words that name it.
        without: The attribute that is never stated.
    """
    others = [name for name in words if name != without]
    return [
        dict(zip(names, groups, strict=True))
        for count in range(len(others) + 1)
        for names in itertools.combinations(others, count)
        for groups in itertools.product(*(words[name] for name in names))
    ]


def described(
    template: str, concept: str, words: Mapping[str, Mapping[str, str]], said: Mapping[str, str]
) -> str:
    """The template with groups stated before the concept, the last attribute first, as in a cell's adjective.

    >>> words = {"gender": {"woman": "female"}, "age": {"older": "elderly"}}
    >>> described("{a} {concept}", "nurse", words, {"gender": "woman", "age": "older"})
    'an elderly female nurse'
    """
    adjectives = [words[name][said[name]] for name in reversed(list(words)) if name in said]
    return fill(template, concept=" ".join([*adjectives, concept]))


def first_phrase(text: str, phrases: Sequence[str], *, any_case: bool = False) -> re.Match[str] | None:
    """The first whole-word match of any phrase, or ``None``; of several at one position, the longest.

    >>> first_phrase("a construction worker", ["worker", "construction worker"])[0]
    'construction worker'
    """
    return _pattern(tuple(phrases), re.IGNORECASE if any_case else 0).search(text) if phrases else None


@cache
def _pattern(phrases: tuple[str, ...], flags: int) -> re.Pattern[str]:
    longest_first = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])", flags)
