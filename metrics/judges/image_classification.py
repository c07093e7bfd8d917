"""A supervised judge: one transformers image classifier per attribute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.judges.base import Answer, Images, Judge, JudgeInfo
from evenhand.metrics.judges.folder import in_batches, require, version

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
    pictures that lie between two of them. A classifier always answers: "cannot tell" gets 0.

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
        return {
            attribute: Answer(
                np.column_stack([self._probabilities(attribute, images), np.zeros(len(images))]), status
            )
            for attribute in self._classifiers
        }

    @cached_property
    def _models(self) -> dict[str, tuple[Any, Any]]:
        """Attribute to picture processor and network, in single precision."""
        return {attribute: self._load(item.folder) for attribute, item in self._classifiers.items()}

    def _load(self, folder: Path) -> tuple[Any, Any]:
        network = AutoModelForImageClassification.from_pretrained(folder, use_safetensors=True)
        return AutoImageProcessor.from_pretrained(folder), network.float().eval().to(self._device)

    @torch.inference_mode()
    def _probabilities(self, attribute: str, images: Images) -> NDArray[np.float64]:
        processor, network = self._models[attribute]
        pixels = processor(list(images), return_tensors="pt", input_data_format="channels_last").pixel_values
        logits = in_batches(lambda batch: network(batch).logits, pixels.to(self._device))
        classes: NDArray[np.float64] = logits.double().softmax(dim=1).cpu().numpy()
        return classes @ self._merges[attribute]


def _merge(classifier: Classifier) -> NDArray[np.float64]:
    """The 0/1 matrix ``(classes, groups)`` that adds the network's classes up to groups."""
    require(classifier.folder, FILES)
    names: Mapping[int, str] = AutoConfig.from_pretrained(classifier.folder).id2label
    groups = [classifier.merge.get(names[index], names[index]) for index in range(len(names))]
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
