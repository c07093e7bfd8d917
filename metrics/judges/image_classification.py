"""A supervised judge of transformers image classifiers, whose classes are matched by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import model_validator
from torch import Tensor
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import taxonomies
from evenhand.metrics.judges.base import Answer, GradientJudge, Images, Judge, JudgeInfo
from evenhand.metrics.judges.on_faces import View, viewed
from evenhand.metrics.judges.recipe import JudgeRecipe, RecipeCard, hub_weights
from evenhand.metrics.vision.device import best_device
from evenhand.metrics.vision.loaded_weights import require_loaded
from evenhand.metrics.vision.pixels import input_side, shown
from evenhand.metrics.vision.weight_folder import in_batches, loading, require, version
from evenhand.metrics.vision.weight_source import WeightSource
from evenhand.metrics.vision.weights import hub_folder

FILES = ("config.json", "model.safetensors", "preprocessor_config.json")


@dataclass(frozen=True)
class Classifier:
    """One network, and the groups of its classes.

    Attributes:
        folder: A transformers image classification folder.
        groups: The groups of the attribute, in the order of the answer's columns.
        merge: Class name of the network to its group; a class that is missing has the group of its own name.
            Probabilities of classes with the same group are added.
    """

    folder: Path
    groups: tuple[str, ...]
    merge: Mapping[str, str]


class ImageClassificationJudge(GradientJudge):
    """A judge with one classifier per attribute; classes are matched by name, never by index.

    The order of classes differs between releases of the same network (for example FairFace), so an index is
    not reliable. Probabilities of merged classes are added before a label is decided, because the most
    probable fine class can lie outside the most probable group. A classifier always decides: "cannot tell"
    has the probability 0.

    Args:
        name: The judge's name.
        classifiers: Attribute to its classifier.
        title: Title for display.
        licence: Licence of the weights.
        origin: Origin of the weights.
        family: Judges of one family have one vote.
        device: Device of the networks.

    Raises:
        EvenhandError: A folder or a file is missing, a class of a network belongs to no group, or a
            group has no class.
    """

    def __init__(
        self,
        *,
        name: str,
        classifiers: Mapping[str, Classifier],
        title: str,
        licence: str,
        origin: str,
        family: str = "supervised",
        device: str = "cpu",
    ) -> None:
        self._classifiers = dict(classifiers)
        self._device = device
        self._merges = {attribute: _merge(classifier) for attribute, classifier in self._classifiers.items()}
        maps = {attribute: [item.groups, dict(item.merge)] for attribute, item in self._classifiers.items()}
        self.info = JudgeInfo(
            name=name,
            version=version([item.folder for item in self._classifiers.values()], maps),
            title=title,
            summary=f"one supervised image classifier for each of {', '.join(self._classifiers)}",
            family=family,
            taxonomies={attribute: item.groups for attribute, item in self._classifiers.items()},
            licence=licence,
            origin=origin,
        )

    @property
    def input_side(self) -> int:
        """Side of the largest network's input."""
        folders = dict.fromkeys(item.folder for item in self._classifiers.values())
        return max(input_side(_processor(folder)) for folder in folders)

    def label(self, images: Images) -> dict[str, Answer]:
        """Answers for every attribute that has a classifier."""
        status = ("ok",) * len(images)
        classes = {folder: self._classes(folder, images) for folder in self._models}
        return {
            attribute: Answer(
                np.column_stack(
                    [classes[item.folder] @ self._merges[attribute], np.zeros(len(images))],
                ),
                status,
            )
            for attribute, item in self._classifiers.items()
        }

    def group_logits(self, pixels: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """Logarithms of the groups' probabilities, on whole images, with gradients."""
        classes = {folder: self._class_shares(folder, pixels) for folder in self._models}
        return {
            attribute: (classes[item.folder] @ torch.from_numpy(self._merges[attribute]).to(pixels)).log()
            for attribute, item in self._classifiers.items()
        }, None

    def _class_shares(self, folder: Path, pixels: Tensor) -> Tensor:
        """Probabilities of the network's own classes, with gradients."""
        processor, network = self._models[folder]
        seen = shown(
            pixels.to(self._device, torch.float32),
            size=input_side(processor),
            mean=processor.image_mean,
            std=processor.image_std,
        )
        shares: Tensor = network(seen).logits.softmax(dim=1)
        # Far from zero, so that the logarithm of an impossible group has a gradient.
        return shares.clamp_min(1e-7)

    @cached_property
    # Loaded outside inference mode even if the caller is in it, because methods need gradients through it.
    @torch.inference_mode(mode=False)
    def _models(self) -> dict[Path, tuple[Any, Any]]:
        """Folder to image processor and network in single precision; attributes may share a network."""
        folders = dict.fromkeys(item.folder for item in self._classifiers.values())
        return {folder: self._load(folder) for folder in folders}

    def _load(self, folder: Path) -> tuple[Any, Any]:
        with loading(folder):
            network = AutoModelForImageClassification.from_pretrained(
                folder, use_safetensors=True, trust_remote_code=False
            )
            require_loaded(network, folder)
        return _processor(folder), network.float().eval().requires_grad_(False).to(self._device)

    @torch.inference_mode()
    def _classes(self, folder: Path, images: Images) -> NDArray[np.float64]:
        """Probabilities of the network's own classes."""
        processor, network = self._models[folder]
        pixels = processor(list(images), return_tensors="pt", input_data_format="channels_last").pixel_values
        logits = in_batches(lambda batch: network(batch).logits, pixels.to(self._device))
        classes: NDArray[np.float64] = logits.double().softmax(dim=1).cpu().numpy()
        return classes


class ImageClassifier(JudgeRecipe):
    """Image classifiers given by hub id or folder, with classes matched by name.

    Class names of FairFace, DeepFace and this package are known, in any order, case and spacing; other names
    need ``labels``. A race classifier with seven classes answers ``race7`` and ``race4``, an age classifier
    with FairFace's nine bins answers ``age9``, ``age5`` and ``age2``.

    Attributes:
        gender: Classifier of gender presentation: a hub id or a transformers folder.
        race: Classifier of perceived race.
        age: Classifier of perceived age.
        labels: Groups of unknown class names, for example ``["LABEL_0=woman", "LABEL_1=man"]``.
        crop: ``face``: the largest face with a margin. ``image``: the whole image. ``both``: the face, and no
            label if the whole image gets another label.
        family: Judges that share training data belong to one family; a family has one vote.
    """

    card: ClassVar[RecipeCard] = RecipeCard(
        title="Image classifier",
        summary="one supervised image classifier for each attribute, classes read by name",
        family="supervised-face",
        attributes=("gender", "race7", "race4", "age9", "age5", "age2"),
        licence="that of the weights",
        origin="any transformers image classifier",
    )

    gender: str | None = None
    race: str | None = None
    age: str | None = None
    labels: tuple[str, ...] = ()
    crop: View = "face"
    family: str = card.family

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.gender or self.race or self.age):
            raise ValueError("no classifier is given; give at least one of gender, race and age")
        return self

    def sources(self) -> tuple[WeightSource, ...]:
        """The repositories or folders of the classifiers."""
        given = {"gender": self.gender, "race": self.race, "age": self.age}
        return tuple(hub_weights(name, title=f"classifier of {of}") for of, name in given.items() if name)

    def make(self, name: str) -> Judge:
        """The judge, on faces unless ``crop`` says otherwise."""
        named = [source for source in (self.gender, self.race, self.age) if source]
        judge = ImageClassificationJudge(
            name=name,
            classifiers={key: item for source in named for key, item in self._classifiers(source)},
            title=f"{self.card.title} ({', '.join(named)})",
            licence=self.card.licence,
            origin=", ".join(named),
            family=self.family,
            device=best_device(),
        )
        return viewed(judge, self.crop)

    def _classifiers(self, source: str) -> Iterator[tuple[str, Classifier]]:
        """Every attribute whose groups are sums of the classes, with its classifier."""
        folder = hub_folder(source)
        names = _class_names(folder)
        meaning = dict(_pair(text) for text in self.labels)
        means = {name: meaning.get(name, name) for name in names}
        known = taxonomies.readable(means.values())
        if not known:
            raise EvenhandError(
                f"classifier {source!r} has classes {', '.join(names)}, which match no known taxonomy; give "
                'their groups with labels=["CLASS=woman",…]'
            )
        for attribute in known:
            merge = {name: taxonomies.group_of(label, attribute) for name, label in means.items()}
            yield attribute, Classifier(folder, taxonomies.groups(attribute), merge)


def _processor(folder: Path) -> Any:
    """The image processor of a network."""
    with loading(folder):
        return AutoImageProcessor.from_pretrained(folder, trust_remote_code=False)


def _pair(text: str) -> tuple[str, str]:
    name, equals, label = (part.strip() for part in text.partition("="))
    if not (name and equals and label):
        raise EvenhandError(f"label {text!r} must have the form CLASS=group, for example LABEL_0=woman")
    return name, label


def _class_names(folder: Path) -> list[str]:
    """The network's class names, in the order of its outputs."""
    require(folder, FILES)
    with loading(folder):
        names: Mapping[int, str] = AutoConfig.from_pretrained(folder, trust_remote_code=False).id2label
        return [names[index] for index in range(len(names))]


def _merge(classifier: Classifier) -> NDArray[np.float64]:
    """The 0/1 matrix ``(classes, groups)`` that sums the network's classes to groups."""
    groups = [classifier.merge.get(name, name) for name in _class_names(classifier.folder)]
    _check(classifier.folder, groups, classifier.groups)
    return np.array([[group == wanted for wanted in classifier.groups] for group in groups], np.float64)


def _check(folder: Path, found: Sequence[str], wanted: Sequence[str]) -> None:
    for group in found:
        if group not in wanted:
            raise EvenhandError(
                f"classifier {str(folder)!r} has a class {group!r} outside the groups {', '.join(wanted)}; "
                "give its group in 'merge'"
            )
    for group in wanted:
        if group not in found:
            raise EvenhandError(
                f"classifier {str(folder)!r} has no class for group {group!r}; merge one into it"
            )
