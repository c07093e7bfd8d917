"""The plan of a verification on fresh noise: new seeds, and another choice and order of prompts."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from evenhand.bench.leaderboard.suite import KnownSuite
from evenhand.bench.prompts.plan import Item, make_plan
from evenhand.bench.prompts.prompt_set import Prompt


def fresh_plan(known: KnownSuite, *, salt: str, images: int = 0) -> KnownSuite:
    """The suite with a plan that cannot be predicted without the salt.

    It has as many prompts and images as the suite plans, from the same prompt sets. Where the suite takes a
    part of a prompt set, the salt chooses another part.

    Args:
        known: The suite, with the plan of the entry.
        salt: The salt.
        images: Size of a sample of this plan, spread over kinds of prompts and concepts; 0 for all.
    """
    items = _items(known, salt)
    if images and images < len(items):
        items = _sample(items, images, salt)
    ordered = sorted(items, key=lambda item: _hash(salt, "order", item.prompt.id, str(item.seed_index)))
    return replace(known, items=tuple(ordered))


def fresh_seed(text: str, seed_index: int, *, salt: str) -> int:
    """Seed of an image's initial noise: 63 bits of a hash of the salt, the prompt's text and the index."""
    return _hash(salt, "noise", str(seed_index), text) >> 193


def _items(known: KnownSuite, salt: str) -> list[Item]:
    """The images of the salt's choice of prompts, as many per use of a prompt set as the entry has."""
    seeds = Counter(item.prompt.id for item in known.items)
    found = []
    for prompts in _every_prompt(known):
        counts = [seeds.pop(prompt.id) for prompt in prompts if prompt.id in seeds]
        chosen = sorted(prompts, key=lambda prompt: _hash(salt, "prompt", prompt.id))
        found += [
            Item(prompt, index, fresh_seed(prompt.text, index, salt=salt))
            for prompt, count in zip(chosen, counts, strict=False)
            for index in range(count)
        ]
    return found


def _every_prompt(known: KnownSuite) -> list[list[Prompt]]:
    """For every use of a prompt set, all prompts that it could take, in their order."""
    uses = (use.model_copy(update={"limit": 0, "seeds": 1}) for use in known.suite.prompts)
    plans = (make_plan(known.suite.model_copy(update={"prompts": (use,)}))[0] for use in uses)
    return [[item.prompt for item in items] for items in plans]


def _sample(items: Sequence[Item], images: int, salt: str) -> list[Item]:
    """A systematic sample: every kind and concept has its share of the images."""
    strata: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items:
        strata[item.prompt.kind, item.prompt.concept].append(item)
    places = []
    for (kind, concept), own in strata.items():
        start = _hash(salt, "stratum", kind, concept) / 2**256
        own.sort(key=lambda item: _hash(salt, "sample", item.prompt.id, str(item.seed_index)))
        places += [((rank + start) / len(own), item) for rank, item in enumerate(own)]
    places.sort(key=lambda place: (place[0], place[1].prompt.id, place[1].seed_index))
    return [item for _, item in places[:images]]


def _hash(salt: str, *parts: str) -> int:
    """256 bits of a hash of the salt and some texts."""
    text = "\n".join(["evenhand fresh noise 1", salt, *parts])
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
