"""Trains ``clip-weak``, the deliberately inaccurate judge: a CLIP stopped early on biased captions.

Run ``python -m evenhand.bench.mini.train_weak_judge``; on one CPU core it takes a few minutes. It writes
``weights/clip-weak``. The captions are those of the recipe of ``mini`` (``CARD.md``): half of the captions of
people name no attribute, and their images follow the biased distribution. A CLIP first learns the prop of the
occupation, which is large and always visible, and learns the attributes of the person later. If training
stops in between, errors depend on the occupation and follow its stereotype.

The architecture is that of ``clip-xs``. Training stops at the first check at which the gender accuracy on
check images is ``ENOUGH``; their seed differs from those of all images that the judge is measured on.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import typer
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import normalize

from evenhand.bench.mini import ROOT
from evenhand.bench.mini.calibrate import anchor_specs
from evenhand.bench.mini.judges import TEMPLATES, WORDS
from evenhand.bench.mini.law import characters, fine_law, objects, occupations
from evenhand.bench.mini.world import KINDS, STYLES, render

SOURCE = ROOT / "weights" / "clip-xs"
TARGET = ROOT / "weights" / "clip-weak"

SEED = 0
CAPTIONS = 16_384
BATCH = 128
SUBJECTS = 8
"""Number of occupations, objects and characters per batch: small, so that people differ within an
occupation."""

RATE, WARM_UP, DECAY = 1.5e-3, 100, 0.1
NOISE = 0.2
"""Largest standard deviation of the noise on a training image, for pixels in -1 to 1."""

ENOUGH = 0.865
"""Accuracy at which training stops; gives 0.85 to 0.92 on renders through the autoencoder."""

CHECK_EVERY = 50
MAX_STEPS = 3_000

KIND_SHARES = (0.80, 0.08, 0.09, 0.03)
"""Shares of captions about occupations, people without occupation, objects, and characters."""

NAMED = {"gender": 0.6, "tone": 0.6, "age": 0.45}
"""Probabilities that a caption with attributes names each of them; at least one is named."""

NOUNS, ADJECTIVES = ("woman", "man"), ("female", "male")
TONE_WORDS = ("light-skinned", "light-skinned", "medium-skinned", "dark-skinned", "dark-skinned")
AGE_WORDS = (("young", "adult"), ("elderly", "old"))
EVEN_TONES = np.array([1, 1, 2, 1, 1]) / 6
"""Distribution of fine tones for captions that name the tone: uniform over the three groups."""

CHARACTER_TONES = (0.4, 0.3, 0.15, 0.1, 0.05)


def captioned(count: int, *, seed: int) -> tuple[list[str], NDArray[np.int64]]:
    """Training captions, and the rows ``(count, 6)`` for the renderer that fit them."""
    rng = np.random.default_rng(seed)
    pairs = [_pair(rng) for _ in range(count)]
    return [caption for caption, _ in pairs], np.array([spec for _, spec in pairs], np.int64)


def _pair(rng: np.random.Generator) -> tuple[str, tuple[int, ...]]:
    kind, style = int(rng.choice(len(KINDS), p=KIND_SHARES)), int(rng.integers(len(STYLES)))
    if KINDS[kind] == "object":
        index = int(rng.integers(len(objects())))
        return _sentence(rng, _with_article(objects()[index])), (kind, index, 0, 0, 0, style)
    if KINDS[kind] == "character":
        return _character(rng, kind, style)
    index = int(rng.integers(len(occupations()))) if KINDS[kind] == "occupation" else 0
    noun = occupations()[index] if KINDS[kind] == "occupation" else "person"
    law = fine_law()[index] if KINDS[kind] == "occupation" else fine_law().mean(axis=0)
    if rng.random() < 0.5:
        person = _draw(rng, law)
        plain = noun if KINDS[kind] == "occupation" else ("person", "someone")[int(rng.integers(2))]
        return _sentence(rng, _with_article(plain)), (kind, index, *person, style)
    softened = (
        law / 2 + 1 / (2 * law.size) if KINDS[kind] == "occupation" else np.full(law.shape, 1 / law.size)
    )
    words, person = _described(rng, noun, softened)
    return _sentence(rng, _with_article(words)), (kind, index, *person, style)


def _character(rng: np.random.Generator, kind: int, style: int) -> tuple[str, tuple[int, ...]]:
    index = int(rng.integers(len(characters())))
    name = characters()[index]
    tone = int(rng.choice(len(CHARACTER_TONES), p=CHARACTER_TONES))
    text = name if name[0].isupper() else _with_article(name)
    return _sentence(rng, text), (kind, index, 0, tone, 0, style)


def _described(
    rng: np.random.Generator, noun: str, law: NDArray[np.float64]
) -> tuple[str, tuple[int, int, int]]:
    """A description that names one to three attributes; the others are sampled given these."""
    named = rng.random(len(NAMED)) < np.array(list(NAMED.values()))
    if not named.any():
        named[rng.integers(len(NAMED))] = True
    even = (np.full(2, 0.5), EVEN_TONES, np.full(2, 0.5))
    asked = [int(rng.choice(len(shares), p=shares)) for shares in even]
    mask = np.zeros(law.shape)
    mask[tuple(slice(a, a + 1) if used else slice(None) for a, used in zip(asked, named, strict=True))] = 1
    person = _draw(rng, law * mask)
    words = [AGE_WORDS[person[2]][rng.integers(2)]] if named[2] else []
    words += [TONE_WORDS[person[1]]] if named[1] else []
    if named[0] and noun == "person":
        noun = NOUNS[person[0]]
    elif named[0] and rng.random() < 0.6:
        words.append(ADJECTIVES[person[0]])
    elif named[0]:
        who = NOUNS[person[0]]
        noun = f"{who} {noun}" if rng.random() < 0.5 else f"{noun} who is {_with_article(who)}"
    return " ".join([*words, noun]), person


def _draw(rng: np.random.Generator, law: NDArray[np.float64]) -> tuple[int, int, int]:
    cell = rng.choice(law.size, p=(law / law.sum()).ravel())
    gender, tone, age = np.unravel_index(cell, law.shape)
    return int(gender), int(tone), int(age)


def _sentence(rng: np.random.Generator, text: str) -> str:
    return TEMPLATES[rng.integers(len(TEMPLATES))].format(text)


def _with_article(words: str) -> str:
    return f"{'an' if words[0].lower() in 'aeiou' else 'a'} {words}"


def pixels_of(images: NDArray[np.uint8]) -> Tensor:
    """Images as a tensor ``(n, 3, 64, 64)`` in -1 to 1, like the transform of the judge."""
    return torch.from_numpy(images).movedim(-1, 1).float() / 127.5 - 1


def contrastive_loss(network: Any, pixels: Tensor, texts: Tensor, caption: Tensor) -> Tensor:
    """The CLIP loss (Radford et al. 2021), where equal captions in a batch match all of their images.

    Args:
        network: The CLIP.
        pixels: ``(n, 3, h, w)``.
        texts: ``(n, length)`` token ids.
        caption: Index of the caption of each image ``(n,)``.
    """
    images = normalize(network.encode_image(pixels), dim=-1)
    words = normalize(network.encode_text(texts), dim=-1)
    logits = network.logit_scale.exp().clamp(max=100) * images @ words.T
    same = (caption[:, None] == caption).float()
    by_image = (same / same.sum(dim=1, keepdim=True) * logits.log_softmax(dim=1)).sum(dim=1).mean()
    by_text = (same / same.sum(dim=0) * logits.log_softmax(dim=0)).sum(dim=0).mean()
    loss: Tensor = -(by_image + by_text) / 2
    return loss


@torch.inference_mode()
def gender_accuracy(network: Any, texts: Tensor, pixels: Tensor, gender: Tensor) -> float:
    """Zero-shot accuracy for gender on labelled images, with the two ``texts``."""
    network.eval()
    anchors = normalize(network.encode_text(texts), dim=-1)
    found = (network.encode_image(pixels) @ anchors.T).argmax(dim=1)
    network.train()
    return float((found == gender).float().mean())


def train(*, captions: int = CAPTIONS, steps: int = MAX_STEPS, enough: float = ENOUGH) -> tuple[Any, float]:
    """Train until the gender accuracy on check images is ``enough``; returns the network and the accuracy."""
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    config = json.loads((SOURCE / "open_clip_config.json").read_text())
    network = open_clip.CLIP(**config["model_cfg"])
    tokenizer = open_clip.get_tokenizer(f"local-dir:{SOURCE}")
    sentences, specs = captioned(captions, seed=SEED)
    unique, number = np.unique(sentences, return_inverse=True)
    ids, caption = tokenizer(unique.tolist()), torch.from_numpy(number)
    images, subject = render(specs, seed=SEED), specs[:, 0] * captions + specs[:, 1]
    check = anchor_specs(1)[::3]
    seen, gender = pixels_of(render(check, seed=SEED + 1)), torch.from_numpy(check[:, 2])
    words = tokenizer([TEMPLATES[0].format(WORDS["gender"][name][0]) for name in WORDS["gender"]])
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    reached = 0.0
    for step in range(1, steps + 1):
        batch = torch.from_numpy(_batch(subject, rng))
        pixels = pixels_of(images[batch.numpy()])
        pixels += NOISE * torch.rand(len(batch), 1, 1, 1) * torch.randn_like(pixels)
        optimiser.param_groups[0]["lr"] = RATE * min(1, step / WARM_UP)
        optimiser.zero_grad()
        contrastive_loss(network, pixels, ids[caption[batch]], caption[batch]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step % CHECK_EVERY == 0:
            reached = gender_accuracy(network, words, seen, gender)
            typer.echo(f"step {step}: gender {reached:.3f}")
            if reached >= enough:
                break
    return network.eval(), reached


def _batch(subject: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of images of a few subjects, sampled in proportion to their captions."""
    chosen = subject[rng.integers(len(subject), size=SUBJECTS)]
    return rng.choice(np.flatnonzero(np.isin(subject, chosen)), size=BATCH)


def save(network: Any, folder: Path) -> None:
    """Write the network in half precision, with the configuration and the tokenizer of ``clip-xs``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("open_clip_config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(SOURCE / name, folder / name)
    weights = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")


def main() -> None:
    """Train the judge and write its weights."""
    network, _ = train()
    save(network, TARGET)


if __name__ == "__main__":
    main()
