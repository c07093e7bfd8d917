"""Helpers for tests of methods: a numeric model, the bundled text encoder, scripted images."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import evenhand.bench
from evenhand.methods.base import Cell, Intervention, Task, TextStates

MINI = Path(evenhand.bench.__file__).parent / "mini" / "pipeline"

WOMAN = Cell(groups={"gender": "woman"}, adjective="female", noun="woman", adjectives={"gender": "female"})
MAN = Cell(groups={"gender": "man"}, adjective="male", noun="man", adjectives={"gender": "male"})
GENDER = (WOMAN, MAN)
JOINT = tuple(
    Cell(
        groups={"gender": gender, "age": age},
        adjective=f"{adjective} {sex}",
        noun=f"{adjective} {gender}",
        adjectives={"gender": sex, "age": adjective},
    )
    for age, adjective in (("adult", "young"), ("older", "elderly"))
    for gender, sex in (("woman", "female"), ("man", "male"))
)
TIE, NAN = 255, 254
"""Classes of scripted images for which the scripted judge returns a tie or NaN."""


class NumericModel:
    """Random float64 projections and causal text states: one token per word, row ``i`` sees ``i`` words."""

    name = "numeric"
    family = "sd1"

    def __init__(self, *, width: int = 16, length: int = 12, dtype: torch.dtype = torch.float64) -> None:
        self.width, self.length = width, length
        self.weights = {
            f"{block}.attn2.to_{letter}.weight": self._random((block, letter), rows, width).to(dtype)
            for block, rows in (("down", 6), ("mid", 10))
            for letter in "kv"
        }

    @staticmethod
    def _random(key: object, *shape: int) -> Tensor:
        generator = torch.Generator().manual_seed(zlib.crc32(repr(key).encode()))
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def encode(self, texts: Sequence[str]) -> TextStates:
        words = [text.split() for text in texts]
        states = [
            torch.stack([self._random((split[:i], i), self.width) for i in range(self.length)])
            for split in words
        ]
        return TextStates(torch.stack(states), torch.tensor([len(split) + 1 for split in words]))

    def token_ids(self, text: str) -> list[int]:
        return [0, *(zlib.crc32(word.encode()) for word in text.split()), 1]

    def cross_attention(self) -> dict[str, Tensor]:
        return {name: weight.clone() for name, weight in self.weights.items()}


@cache
def mini_text() -> MiniText:
    return MiniText()


class MiniText:
    """The bundled text encoder and cross-attention projections, in float64."""

    name = "mini"
    family = "sd1"

    def __init__(self) -> None:
        from safetensors import safe_open
        from transformers import AutoTokenizer, CLIPTextModel

        self.tokenizer = AutoTokenizer.from_pretrained(MINI / "tokenizer")
        self.encoder = CLIPTextModel.from_pretrained(MINI / "text_encoder").double().eval()
        with safe_open(MINI / "unet" / "diffusion_pytorch_model.safetensors", framework="pt") as stored:
            names = [name for name in stored.keys() if ".attn2.to_k" in name or ".attn2.to_v" in name]  # noqa: SIM118
            self.weights = {name: stored.get_tensor(name).double() for name in names}

    def tokens(self, texts: Sequence[str]):
        return self.tokenizer(
            list(texts), padding="max_length", max_length=self.tokenizer.model_max_length, return_tensors="pt"
        )

    def token_ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text).input_ids)

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> TextStates:
        tokens = self.tokens(texts)
        states = self.encoder(tokens.input_ids).last_hidden_state
        return TextStates(states, tokens.attention_mask.sum(dim=1) - 1)

    def cross_attention(self) -> dict[str, Tensor]:
        return {name: weight.clone() for name, weight in self.weights.items()}


@dataclass
class Studio:
    """Generates images whose class is scripted, and judges them without error.

    Attributes:
        script: Measured prompt to the classes' counts, one list per round; the last one is repeated.
        calls: Arguments of the sampler, one entry per round.
        judged: Texts between which the judge chose, one entry per batch.
    """

    script: Mapping[str, Sequence[Mapping[int, int]]]
    calls: list[dict] = field(default_factory=list)
    judged: list[tuple[str, ...]] = field(default_factory=list)

    def sample(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        intervention: Intervention | None = None,
        negative_prompt: str = "",
    ) -> np.ndarray:
        assert len(prompts) == len(seeds)
        number = len(self.calls)
        self.calls.append(
            {"prompts": list(prompts), "seeds": list(seeds), "by": intervention, "negative": negative_prompt}
        )
        queues = {}
        for prompt in dict.fromkeys(prompts):
            rounds = self.script[prompt]
            counts = rounds[min(number, len(rounds) - 1)]
            queues[prompt] = iter([kind for kind, count in counts.items() for _ in range(count)])
        classes = np.array([next(queues[prompt]) for prompt in prompts], dtype=np.uint8)
        return np.broadcast_to(classes[:, None, None, None], (len(classes), 2, 2, 3)).copy()

    def judge(self, images: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        self.judged.append(tuple(texts))
        rows = {TIE: np.full(len(texts), 1 / len(texts)), NAN: np.full(len(texts), np.nan)}
        rows |= {kind: np.eye(len(texts))[kind] for kind in range(len(texts))}
        return np.stack([rows[int(image[0, 0, 0])] for image in images])


def make_task(
    studio: Studio,
    *,
    concepts: Sequence[str] = ("nurse",),
    cells: Sequence[Cell] = GENDER,
    model: NumericModel | MiniText | None = None,
    target: Sequence[float] | None = None,
    seed: int = 0,
) -> Task:
    """A task with scripted images and, by default, a uniform target."""
    return Task(
        model=model or NumericModel(),
        concepts=tuple(concepts),
        cells=tuple(cells),
        target=np.tile(np.full(len(cells), 1 / len(cells)) if target is None else target, (len(concepts), 1)),
        rng=np.random.default_rng(seed),
        sample=studio.sample,
        judge=studio.judge,
    )


def counts(*numbers: int) -> dict[int, int]:
    """Images per class, in class order."""
    return dict(enumerate(numbers))


def relative_error(got: Tensor, expected: Tensor) -> float:
    """Frobenius norm of the difference, relative to the expected tensor."""
    return float(torch.linalg.norm(got - expected) / torch.linalg.norm(expected))
