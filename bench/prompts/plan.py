"""From a suite to the list of its images; reads only the prompt sets of the suite."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.bench.prompts.prompt_set import Prompt, PromptSet, check_concepts, load_prompt_set, select
from evenhand.bench.suites.prompt_use import PromptUse
from evenhand.bench.suites.suite import Suite

MAX_IMAGES = 2_000_000
"""Maximum number of images per method: the plan and the tables of a run are held in memory."""


@dataclass(frozen=True)
class Item:
    """One planned image, before any method.

    Attributes:
        prompt: The prompt.
        seed_index: 0, 1, … within the prompt.
        seed: Seed of the initial noise.
    """

    prompt: Prompt
    seed_index: int
    seed: int


def noise_seed(text: str, seed_index: int) -> int:
    """Seed of an image's initial noise: 63 bits of a hash of the prompt's text and the seed index.

    It depends on nothing else, so that all methods, batches and workers draw an image from the same noise. It
    differs between prompts, so that the sampling errors of two occupations are independent.
    """
    sha = hashlib.sha256(f"evenhand noise 1\n{seed_index}\n{text}".encode()).digest()
    return int.from_bytes(sha[:8], "big") >> 1


def make_plan(suite: Suite, *, look: int = 1) -> tuple[tuple[Item, ...], tuple[PromptSet, ...]]:
    """All images of the suite in order, and its prompt sets.

    The cells of the prompts keep only attributes of the suite: where only gender is measured, "a photo of a
    Black woman" asks for a woman. A run until decided has twice as many explicit images at each look; those
    of a later look follow the plan of the look before, which stays as it is.

    Args:
        suite: The suite.
        look: The look, from 1; the first has the images of the suite.

    Raises:
        EvenhandError: Unknown prompt set, a selection without prompts, too many images, an image that two
            entries plan, a concept in two spellings, or a prompt that asks for an unknown group, asks only
            for attributes that the suite lacks, or lists too few seeds.
    """
    sets = tuple(load_prompt_set(use.name) for use in suite.prompts)
    uses = list(zip(sets, suite.prompts, strict=True))
    _check_size(uses)
    items = [item for prompt_set, use in uses for item in _items(prompt_set, use, suite.taxonomy)]
    uses = [pair for pair in uses if any(prompt.kind == "explicit" for prompt in select(*pair))]
    for _ in range(1, look):
        uses = [(prompt_set, _doubled(prompt_set, use)) for prompt_set, use in uses]
        _check_size(uses)
        known = {(item.prompt.id, item.seed_index) for item in items}
        items += [
            item
            for prompt_set, use in uses
            for item in _items(prompt_set, use, suite.taxonomy)
            if item.prompt.kind == "explicit" and (item.prompt.id, item.seed_index) not in known
        ]
    _check_distinct(items)
    check_concepts((item.prompt for item in items), where=f"prompts of suite {suite.name!r}")
    return tuple(items), sets


def _check_distinct(items: Sequence[Item]) -> None:
    """Check that no image is planned twice; it would count as two images and make intervals too narrow."""
    seen: set[tuple[str, int]] = set()
    for item in items:
        if item.seed_index:
            continue  # Entries that share images of a prompt share its first image, too.
        if (item.prompt.text, item.seed) in seen:
            raise EvenhandError(
                f"two entries of [[prompts]] use prompt {item.prompt.text[:60]!r} with the same noise, so "
                "its images would count twice; leave it out of one entry"
            )
        seen.add((item.prompt.text, item.seed))


def _items(prompt_set: PromptSet, use: PromptUse, taxonomy: Mapping[str, Sequence[str]]) -> Iterator[Item]:
    for prompt in select(prompt_set, use):
        measured = _measured(prompt, taxonomy, use.name)
        for index, seed in enumerate(_seeds(prompt, use)):
            yield Item(measured, index, seed)


def _doubled(prompt_set: PromptSet, use: PromptUse) -> PromptUse:
    """The use with twice as many prompts or, where the set has fewer, twice as many seeds.

    Twice the limit keeps every prompt, because the prompts are evenly spaced over the set.
    """
    prompts = len(select(prompt_set, use.model_copy(update={"limit": 0})))
    if use.limit and 2 * use.limit <= prompts:
        return use.model_copy(update={"limit": 2 * use.limit})
    return use.model_copy(update={"seeds": 2 * use.seeds})


def _measured(prompt: Prompt, taxonomy: Mapping[str, Sequence[str]], name: str) -> Prompt:
    """The prompt with its cell restricted to the suite's attributes."""
    cell = {attribute: group for attribute, group in prompt.cell.items() if attribute in taxonomy}
    if prompt.cell and not cell:
        raise EvenhandError(
            f"prompt {prompt.text[:60]!r} of set {name!r} asks for {', '.join(prompt.cell)}, which the suite "
            f"does not measure; exclude it, for example with asks = {json.dumps([next(iter(taxonomy))])}"
        )
    for attribute, group in cell.items():
        if group not in taxonomy[attribute]:
            place = f"prompt {prompt.text[:60]!r} of set {name!r}"
            raise unknown(f"group of {attribute} in {place}:", group, taxonomy[attribute])
    return replace(prompt, cell=cell)


def _check_size(uses: Sequence[tuple[PromptSet, PromptUse]]) -> None:
    images = sum(len(select(*pair)) * pair[1].seeds for pair in uses)
    if images > MAX_IMAGES:
        raise EvenhandError(
            f"a plan must have at most {MAX_IMAGES:,} images per method, got {images:,}; lower seeds or "
            "limit, or split the suite"
        )


def _seeds(prompt: Prompt, use: PromptUse) -> Sequence[int]:
    if use.noise == "hashed":
        return [noise_seed(prompt.text, index) for index in range(use.seeds)]
    if len(prompt.seeds) < use.seeds:
        raise EvenhandError(
            f"prompt {prompt.text[:60]!r} of set {use.name!r} must list at least {use.seeds} seeds, got "
            f'{len(prompt.seeds)}; lower seeds, or set noise = "hashed"'
        )
    return prompt.seeds[: use.seeds]


def concepts(items: tuple[Item, ...]) -> tuple[str, ...]:
    """The concepts of the neutral prompts, in order; methods balance the groups within each."""
    return tuple(dict.fromkeys(i.prompt.concept for i in items if i.prompt.kind == "neutral"))


def image_key(
    *, model: str, protocol: str, intervention: str, prompt: str, seed: int, negative: str = ""
) -> str:
    """Content address of an image: SHA-256 of all inputs that determine it.

    Args:
        model: Model revision.
        protocol: Protocol as canonical JSON.
        intervention: Digest of the intervention; empty for the baseline.
        prompt: The prompt's text.
        seed: Seed of the initial noise.
        negative: Text of the unconditional branch.
    """
    parts = {
        "model": model,
        "protocol": protocol,
        "intervention": intervention,
        "prompt": prompt,
        "seed": seed,
        "negative": negative,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
