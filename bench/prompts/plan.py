"""From a suite to the list of its images; reads only the prompt sets of the suite."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.bench.prompts.prompt_set import Prompt, PromptSet, load_prompt_set, select
from evenhand.bench.suites.suite import PromptUse, Suite


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


def make_plan(suite: Suite) -> tuple[tuple[Item, ...], tuple[PromptSet, ...]]:
    """All images of the suite in order, and its prompt sets.

    The cells of the prompts keep only attributes of the suite: where only gender is measured, "a photo of a
    Black woman" asks for a woman.

    Raises:
        EvenhandError: Unknown prompt set, a selection without prompts, or a prompt that asks for an unknown
            group, asks only for attributes that the suite lacks, or lists too few seeds.
    """
    items, sets = [], []
    for use in suite.prompts:
        prompt_set = load_prompt_set(use.name)
        sets.append(prompt_set)
        for prompt in select(prompt_set, use):
            measured = _measured(prompt, suite.taxonomy, prompt_set.name)
            seeds = _seeds(prompt, use)
            items += [Item(measured, i, seed) for i, seed in enumerate(seeds)]
    return tuple(items), tuple(sets)


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
            raise unknown(f"group of {attribute} in prompt {prompt.text[:60]!r}:", group, taxonomy[attribute])
    return replace(prompt, cell=cell)


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
