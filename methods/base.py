"""The interface of a debiasing method: ``Method.fit(task) -> Intervention``.

A method is a pydantic model whose fields are its parameters. It receives a :class:`Task`: the loaded model,
the concepts and cells to balance, and two callables that generate and judge images. It returns an
:class:`Intervention`: data and pure functions that the engine applies to the model.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar, Literal, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.methods.hooks import Batch, Steering
from evenhand.methods.model import EditableModel as EditableModel
from evenhand.methods.model import TextStates as TextStates
from evenhand.methods.services import Checkpoint, Clip, SteeringJudge, not_available
from evenhand.methods.services import Images as Images
from evenhand.methods.source_code import code_digest, is_bundled
from evenhand.methods.space import Space

Track = Literal["one model", "a model per concept", "at sampling time"]
"""What a user of a fitted method gets: one set of weights for all prompts, a set for each concept, or
something that acts while an image is sampled (on the prompt, the text states, the guidance or activations).

Methods are compared with those that give the same, because what one model has to do for all prompts is harder
than the others."""

TRACKS: tuple[Track, ...] = get_args(Track)


class MethodInfo(BaseModel):
    """The card of a method: who published it, what it edits, what it needs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    title: str
    summary: str
    paper: str = ""
    licence: str
    """Licence of this implementation."""
    origin: str
    """Where the algorithm comes from, and the licence of its authors' code if they released any."""
    family: Literal["none", "weights", "embedding", "guidance", "prompt", "activations", "training"]
    architectures: tuple[str, ...]
    """Model families it supports: ``sd1``, ``sd2``, ``sdxl``, ``video``, ``transformer``, or ``any``.

    A ``transformer`` model runs as a whole pipeline, so it supports methods of the families ``none`` and
    ``prompt``.
    """
    attributes: str
    """Which attributes it can balance, as a phrase."""
    needs_training_data: bool = False
    ours: bool = False
    """Whether the authors of Evenhand propose the method, which the leaderboard says beside its name."""


@dataclass(frozen=True)
class Cell:
    """One combination of groups, with the words that name it in a prompt.

    Attributes:
        groups: Attribute to group, for example ``{"gender": "woman", "tone": "dark"}``.
        adjective: Words placed before an occupation: ``"elderly dark-skinned female"``.
        noun: Words used without an occupation: ``"elderly dark-skinned woman"``.
        adjectives: Attribute to the words that name its group alone: ``{"gender": "female", ...}``.
    """

    groups: Mapping[str, str]
    adjective: str
    noun: str
    adjectives: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The cell's key, groups joined in attribute order: ``"woman*dark"``."""
        return "*".join(self.groups.values())


class Sample(Protocol):
    """Generates images with the suite's sampler; every image counts towards the method's cost."""

    def __call__(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        intervention: Intervention | None = None,
        negative_prompt: str = "",
    ) -> Images:
        """Images of ``prompts`` (one per seed) under an intervention."""
        ...


@dataclass(frozen=True)
class Task:
    """The input of a method's fit.

    Attributes:
        model: The loaded model.
        concepts: Nouns whose depiction is to be balanced, for example ``("nurse", "CEO")``.
        cells: The ``K`` cells to balance over.
        target: Desired share of each cell for each concept, ``(concepts, K)``, rows summing to one.
        rng: The method's own random stream, derived from suite and method.
        sample: Generates images; counted.
        judge: The steering judge that the method declared; counted.
        image_features: Unit vectors ``(n, d)`` of images by the CLIP that belongs to the model's text
            encoder; ``None`` if the suite has none.
        clip: The same CLIP as a network.
        encoder: Maps the name of a vision encoder, a folder or hub id, to the function from images ``(n, 3,
            height, width)`` in ``[-1, 1]`` to unit vectors ``(n, d)``, with gradients.
        person_masks: Maps the name of a segmentation model, a folder or hub id, to the function from images
            to masks of people ``(n, height, width)``.
        checkpoint: Keeps the state of a training; ``None`` if the fit cannot be resumed.
    """

    model: EditableModel
    concepts: tuple[str, ...]
    cells: tuple[Cell, ...]
    target: NDArray[np.float64]
    rng: np.random.Generator
    sample: Sample
    judge: SteeringJudge
    image_features: Callable[[Images], NDArray[np.float32]] | None = None
    clip: Clip | None = None
    encoder: Callable[[str], Callable[[Tensor], Tensor]] = not_available
    person_masks: Callable[[str], Callable[[Images], NDArray[np.bool_]]] = not_available
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True, eq=False)
class Intervention:
    """What a fitted method returns to the engine. The base class changes nothing.

    A method that acts on prompts, text states or the denoising subclasses it in its own module and overrides
    :meth:`prompt`, :meth:`embedding` or :meth:`steer`. All state that these use lives in ``tensors`` and
    ``data``, so that the intervention can be stored as safetensors and JSON, and hashed.

    Attributes:
        weights: Parameter name to new value; the engine copies them in place and restores them afterwards.
        concept_weights: Concept to ``weights``, for methods that edit one model per concept.
        tensors: Further tensors that the functions use.
        data: Further JSON values that the functions use.
        record: What the fit did (rounds, ratios), for the report; not part of the identity.
        observes: Whether it only records activations. Its images are always generated, never taken from the
            store.
    """

    observes: ClassVar[bool] = False

    weights: Mapping[str, Tensor] = field(default_factory=dict)
    concept_weights: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)

    def prompt(self, text: str, draw: np.random.Generator) -> str:
        """The prompt that replaces ``text``; ``draw`` is the random stream of the image."""
        return text

    def embedding(self, text: TextStates, draws: Sequence[np.random.Generator]) -> TextStates:
        """Conditional text states that replace those of ``n`` prompts, with one random stream per image."""
        return text

    def sites(self) -> Sequence[str]:
        """Names of the U-Net modules whose outputs :meth:`Steering.feature` receives."""
        return ()

    def steer(self, batch: Batch) -> Steering:
        """The steering of one batch during denoising."""
        return Steering()

    def flat_tensors(self) -> dict[str, Tensor]:
        """Every tensor under one flat name, as stored in the safetensors file."""
        flat = {f"weights/{name}": value for name, value in self.weights.items()}
        for concept, weights in self.concept_weights.items():
            flat |= {f"concept_weights/{concept}/{name}": value for name, value in weights.items()}
        return flat | {f"tensors/{name}": value for name, value in self.tensors.items()}

    def digest(self) -> str:
        """SHA-256 of class name, data and tensors: the intervention's identity. ``record`` is excluded.

        That of a class that is not part of Evenhand includes its source code, because images depend on it.
        """
        cls = type(self)
        data = json.dumps(dict(self.data), sort_keys=True)
        code = "" if is_bundled(cls) else f"\n{code_digest(cls)}"
        sha = hashlib.sha256(f"{cls.__qualname__}\n{data}{code}".encode())
        for name, tensor in sorted(self.flat_tensors().items()):
            value = tensor.detach().cpu().contiguous()
            sha.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
            sha.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
        return sha.hexdigest()


@dataclass(frozen=True)
class Budget:
    """Upper bounds on the cost of a method, known before it is fitted.

    Attributes:
        images: Images that the fit generates.
        judgements: Images that it passes to its steering judge.
        evaluations: Images that its training passes through the U-Net.
        branches: Further U-Net passes per image and step, beyond the two of classifier-free guidance.
        exact: Whether every number is exact. False with a stopping rule, or if some images need fewer
            branches.
    """

    images: int = 0
    judgements: int = 0
    evaluations: int = 0
    branches: int = 0
    exact: bool = True


class Method(BaseModel, ABC):
    """A debiasing method; its pydantic fields are its parameters and hold their defaults.

    Attributes:
        info: Its card.
        intervention_type: The class of the intervention it fits.
        strength: The parameter whose value 0 leaves the model unchanged; ``None`` if there is none.
        max_cells: The largest number of cells it can balance; ``None`` for any number.
        training_length: The parameters whose product is the length of the training, such as steps and batch;
            their defaults are the published ones. Empty if the fit trains nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    info: ClassVar[MethodInfo]
    intervention_type: ClassVar[type[Intervention]] = Intervention
    strength: ClassVar[str | None] = None
    max_cells: ClassVar[int | None] = None
    training_length: ClassVar[tuple[str, ...]] = ()

    @property
    def track(self) -> Track:
        """What a user of the fitted method gets; methods with one model per concept extend it."""
        kind, plain = self.intervention_type, Intervention
        hooks = ("prompt", "embedding", "sites", "steer")
        acts = any(getattr(kind, hook) is not getattr(plain, hook) for hook in hooks)
        return "at sampling time" if acts else "one model"

    @property
    def share_trained(self) -> float | None:
        """Length of the training as a share of the published length, at most 1; ``None`` without training."""
        if not self.training_length:
            return None
        fields = type(self).model_fields
        own: float = prod(getattr(self, name) for name in self.training_length)
        published: float = prod(fields[name].default for name in self.training_length)
        return min(1.0, own / published)

    @property
    def steering_judge(self) -> str | None:
        """Name of the judge inside the method's loop, if any; its labels never count as a result."""
        return None

    @property
    def fit_steps(self) -> int | None:
        """Denoising steps of the images that the fit generates; ``None`` for those of the protocol."""
        return None

    @property
    def pretrained(self) -> tuple[str, ...]:
        """Folders or hub ids of the networks that the fit loads besides model, judge and CLIP."""
        return ()

    @classmethod
    def space(cls) -> Space:
        """What ``evenhand tune`` searches: parameter to possible values, the released value among them.

        Parameters that are not listed keep the suite's value, or else their default. Empty if there is
        nothing to tune.
        """
        return {}

    def search_start(self, cells: Sequence[Cell]) -> dict[str, Any]:
        """Where ``evenhand tune`` starts: the method's own values of the parameters of :meth:`space`.

        A method in which a default such as ``None`` stands for a value extends it to name that value.

        Args:
            cells: The cells to balance.
        """
        return {name: getattr(self, name) for name in self.space()}

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """Upper bounds on the cost of fitting ``concepts`` concepts to ``cells``, known without a model."""
        return Budget()

    def check(self, *, family: str, cells: Sequence[Cell]) -> None:
        """Raise an error if the method cannot solve the task; called before every fit.

        Methods with further conditions extend it.

        Args:
            family: Family of the model, one of those that ``info.architectures`` may name.
            cells: The cells to balance.

        Raises:
            EvenhandError: The method does not support the model's family or this number of cells.
        """
        name, known = self.info.name, self.info.architectures
        if "any" not in known and family not in known:
            raise EvenhandError(
                f"method {name!r} works on {', '.join(known)}, not on {family!r}; choose another model"
            )
        if self.max_cells is not None and len(cells) > self.max_cells:
            raise EvenhandError(
                f"method {name!r} balances at most {self.max_cells} cells, not the {len(cells)} of "
                f"{' x '.join(cells[0].groups)}; balance fewer attributes or choose another method"
            )

    @abstractmethod
    def fit(self, task: Task) -> Intervention:
        """Solve the task and return the intervention; reads no file and no benchmark prompt."""
