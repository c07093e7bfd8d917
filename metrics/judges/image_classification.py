"""A supervised judge: transformers image classifiers, read by the names of their classes."""

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
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import taxonomies
from evenhand.metrics.judges.base import Answer, Images, Judge, JudgeInfo
from evenhand.metrics.judges.on_faces import View, viewed
from evenhand.metrics.judges.recipe import JudgeRecipe, RecipeCard
from evenhand.metrics.vision.loaded_weights import require_loaded
from evenhand.metrics.vision.weight_folder import in_batches, loading, require, version
from evenhand.metrics.vision.weights import best_device, hub_folder

FILES = ("config.json", "model.safetensors", "preprocessor_config.json")


@dataclass(frozen=True)
class Classifier:
    """One network and what its classes mean.

    Attributes:
        folder: A transformers image classification folder.
        groups: The groups of the attribute, in the order of the answer's columns.
        merge: The network's class name to the group that it belongs to; classes left out are their own
            group. Several classes of one group add up.
    """

    folder: Path
    groups: tuple[str, ...]
    merge: Mapping[str, str]


class ImageClassificationJudge(Judge):
    """Asks each attribute's own classifier, and reads its classes by name, never by index.

    Class orders differ between releases of the same network (FairFace is one), so that an index says
    nothing. Probabilities of merged classes are added; the arg max of the fine classes would lose
    images that lie between two of them. A classifier always answers: "cannot tell" gets 0.

    Args:
        name: The judge's name.
        classifiers: Attribute to its classifier.
        title: The judge's name for people.
        licence: Licence of the weights.
        origin: Where the weights come from.
        family: Judges of one family have one vote.
        device: Where the networks run.

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

    @cached_property
    def _models(self) -> dict[Path, tuple[Any, Any]]:
        """Folder to image processor and network, in single precision; attributes may share a network."""
        folders = dict.fromkeys(item.folder for item in self._classifiers.values())
        return {folder: self._load(folder) for folder in folders}

    def _load(self, folder: Path) -> tuple[Any, Any]:
        with loading(folder):
            network = AutoModelForImageClassification.from_pretrained(
                folder, use_safetensors=True, trust_remote_code=False
            )
            require_loaded(network, folder)
            processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=False)
        return processor, network.float().eval().to(self._device)

    @torch.inference_mode()
    def _classes(self, folder: Path, images: Images) -> NDArray[np.float64]:
        """Probabilities of the network's own classes."""
        processor, network = self._models[folder]
        pixels = processor(list(images), return_tensors="pt", input_data_format="channels_last").pixel_values
        logits = in_batches(lambda batch: network(batch).logits, pixels.to(self._device))
        classes: NDArray[np.float64] = logits.double().softmax(dim=1).cpu().numpy()
        return classes


class ImageClassifier(JudgeRecipe):
    """Image classifiers by hub id or folder, whose class names say what they are.

    Classes named as FairFace, DeepFace or this package name them are understood, in any order and spelling of
    blanks and case; other names need ``labels``. A race classifier of seven classes answers ``race7`` and
    ``race4``, an age classifier of FairFace's nine bins ``age9``, ``age5`` and ``age2``.

    Attributes:
        gender: Classifier of gender presentation: a hub id or a transformers folder.
        race: Classifier of perceived race.
        age: Classifier of perceived age.
        labels: What unknown class names mean: ``["LABEL_0=woman", "LABEL_1=man"]``.
        crop: ``face``: the largest face with a margin. ``image``: all of the image. ``both``: the face,
            and no label where the whole image is given another group.
        family: Judges that share training data share a family, and a family has one vote.
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
            raise ValueError("no classifier is named; give gender, race or age")
        return self

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
        """Every attribute that the classes can be added up to."""
        folder = hub_folder(source)
        names = _class_names(folder)
        meaning = dict(_pair(text) for text in self.labels)
        means = {name: meaning.get(name, name) for name in names}
        known = taxonomies.readable(means.values())
        if not known:
            raise EvenhandError(
                f"classifier {source!r} has classes {', '.join(names)}, which are no known taxonomy; say "
                'they mean with labels=["CLASS=woman",…]'
            )
        for attribute in known:
            merge = {name: taxonomies.group_of(label, attribute) for name, label in means.items()}
            yield attribute, Classifier(folder, taxonomies.groups(attribute), merge)


def _pair(text: str) -> tuple[str, str]:
    name, equals, label = (part.strip() for part in text.partition("="))
    if not (name and equals and label):
        raise EvenhandError(f"label {text!r} is not of the form CLASS=group; write for example LABEL_0=woman")
    return name, label


def _class_names(folder: Path) -> list[str]:
    """The network's class names, in the order of its outputs."""
    require(folder, FILES)
    with loading(folder):
        names: Mapping[int, str] = AutoConfig.from_pretrained(folder, trust_remote_code=False).id2label
        return [names[index] for index in range(len(names))]


def _merge(classifier: Classifier) -> NDArray[np.float64]:
    """The 0/1 matrix ``(classes, groups)`` that adds the network's classes up to groups."""
    groups = [classifier.merge.get(name, name) for name in _class_names(classifier.folder)]
    _check(classifier.folder, groups, classifier.groups)
    return np.array([[group == wanted for wanted in classifier.groups] for group in groups], np.float64)


def _check(folder: Path, found: Sequence[str], wanted: Sequence[str]) -> None:
    for group in found:
        if group not in wanted:
            raise EvenhandError(
                f"classifier {str(folder)!r} has a class {group!r} outside the groups {', '.join(wanted)}; "
                "name its group in 'merge'"
            )
    for group in wanted:
        if group not in found:
            raise EvenhandError(
                f"classifier {str(folder)!r} has no class for group {group!r}; merge one into it"
            )
