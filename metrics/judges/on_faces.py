"""A wrapper that shows a judge the largest face of each image only."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.judges.base import Answer, GradientJudge, Images, Judge, Variants
from evenhand.metrics.vision.faces import CROP_MARGIN, CROP_SIDE, Cut, FaceFinder, Seen, finder
from evenhand.metrics.vision.pixels import squares

View = Literal["face", "image", "both"]
"""``face``: the largest face with a margin. ``image``: the whole image, occupation included. ``both``: the
face, and no label if the whole image gets another label."""


def viewed(judge: Judge, view: View) -> Judge:
    """The judge, applied to the part of the image that ``view`` names.

    Raises:
        EvenhandError: A face detector's package is not installed.
    """
    if view == "image":
        return judge
    return OnFaces(judge, finder=finder(), cut="face", agreeing=view == "both")


class OnFaces(GradientJudge):
    """Shows a judge the largest face of each image; images without a face are "cannot tell".

    Images with the status ``no_face``, ``small_face`` or ``multi_person`` are undetermined, whatever the
    judge answers. The judge's probabilities for the largest of several faces are kept, for comparison with
    works that label it (such as Shen et al., arXiv 2311.07604).

    Args:
        judge: The judge that labels the faces.
        finder: The face finder, shared so that every judge sees the same faces.
        cut: How a face is cropped.
        agreeing: Whether an image is ``inconsistent`` if the whole image gets another label than the face.
    """

    def __init__(self, judge: Judge, *, finder: FaceFinder, cut: Cut, agreeing: bool = False) -> None:
        self._judge = judge
        self._finder = finder
        self._cut = cut
        self._agreeing = agreeing
        self.domain = judge.domain
        self._side = max(CROP_SIDE, judge.input_side)
        # Versions of judges with small inputs are older than larger crops.
        larger = f"@{self._side}" if self._side > CROP_SIDE and cut != "aligned" else ""
        smallest = f">={judge.domain.smallest_face}" if judge.domain.smallest_face else ""
        view = f"{cut}{larger}{smallest}{'=image' if agreeing else ''}"
        self.info = judge.info.model_copy(
            update={
                "version": f"{judge.info.version}/{view}:{finder.version}",
                "summary": f"{judge.info.summary}; sees the largest face ({cut})"
                + ", and decides nothing where the whole image is given another group" * agreeing,
            }
        )

    def label(self, images: Images) -> dict[str, Answer]:
        """Answers for every attribute of ``info.taxonomies``."""
        crops, shown, status = self._crops(images)
        faces = self._spread(self._judge.label(crops) if shown else {}, shown, status)
        if not self._agreeing:
            return faces
        whole = self._judge.label(images)
        return {name: _where_agreed(answer, whole[name]) for name, answer in faces.items()}

    def try_out(self) -> None:
        """Look for faces in a blank image, which has none, and let the judge label it nevertheless.

        Raises:
            EvenhandError: The detectors or the judge do not work.
        """
        super().try_out()
        self._judge.try_out()

    def release(self) -> None:
        """Free the memory that the judge on the faces uses."""
        self._judge.release()

    def asked(self, attributes: Collection[str]) -> Judge:
        """The judge for a task that needs only ``attributes``."""
        judge = self._judge.asked(attributes)
        if judge is self._judge:
            return self
        return OnFaces(judge, finder=self._finder, cut=self._cut, agreeing=self._agreeing)

    def variants(self, images: Images) -> Variants:
        """The judge's variants on the faces, and ``crop``: the face with its margin, or the whole image.

        Judges on aligned or tight crops have no ``crop`` variants, because they are not trained on whole
        images.
        """
        crops, shown, status = self._crops(images)
        # Without any face, one image is passed to find out which choices the judge has.
        choices = self._judge.variants(crops if shown else images[:1])
        found: Variants = {
            aspect: tuple(self._spread(answers if shown else {}, shown, status) for answers in each)
            for aspect, each in choices.items()
        }
        if self._cut == "face":
            face = self._spread(self._judge.label(crops) if shown else {}, shown, status)
            found["crop"] = (face, self._judge.label(images))
        return found

    def group_logits(self, pixels: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """Logits for the largest face of every image, zero without a face, with gradients.

        Raises:
            EvenhandError: The judge has no gradients, or sees aligned faces.
        """
        if not isinstance(self._judge, GradientJudge) or self._cut == "aligned":
            raise EvenhandError(
                f"judge {self.info.name!r} provides no gradients; choose another steering judge"
            )
        bytes_ = (
            pixels.detach().clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        )
        boxes = torch.zeros(len(pixels), 4)
        for index, image in enumerate(bytes_):
            faces = self._finder.look(image).faces
            boxes[index] = torch.tensor(faces[0].box if faces else (0.0,) * 4)
        shown = (boxes[:, 2] > boxes[:, 0]).nonzero()[:, 0]
        margin = CROP_MARGIN if self._cut == "face" else 1.0
        crops = squares(pixels[shown], boxes[shown], margin=margin, size=self._side) if len(shown) else pixels
        logits, _ = self._judge.group_logits(crops)
        spread = {name: found.new_zeros(len(pixels), found.shape[1]) for name, found in logits.items()}
        if len(shown):
            spread = {
                name: spread[name].index_copy(0, shown.to(found.device), found)
                for name, found in logits.items()
            }
        return spread, boxes

    def _crops(self, images: Images) -> tuple[Images, list[int], list[str]]:
        """The largest faces, the indices of their images, and the status of every image."""
        seen = self._finder.look_at_all(images)
        shown = [index for index, one in enumerate(seen) if one.faces]
        crops = [
            self._finder.cut(images[index], seen[index].faces[0], self._cut, side=self._side)
            for index in shown
        ]
        return np.stack(crops) if crops else images[:0], shown, [self._status(one) for one in seen]

    def _status(self, seen: Seen) -> str:
        """The status of an image, ``small_face`` too if the judge needs a larger face."""
        small = seen.status == "ok" and seen.faces[0].side < self.domain.smallest_face
        return "small_face" if small else seen.status

    def _spread(
        self, answers: Mapping[str, Answer], shown: Sequence[int], status: Sequence[str]
    ) -> dict[str, Answer]:
        """The answers of all images: the given ones for images with a face, "cannot tell" for the others."""
        return {
            attribute: self._spread_one(answers.get(attribute), shown, status, len(groups))
            for attribute, groups in self.info.taxonomies.items()
        }

    @staticmethod
    def _spread_one(
        answer: Answer | None, shown: Sequence[int], status: Sequence[str], groups: int
    ) -> Answer:
        probabilities = np.tile(np.eye(groups + 1)[-1], (len(status), 1))
        said = list(status)
        if answer is not None:
            probabilities[shown] = answer.probabilities
            for index, state in zip(shown, answer.status, strict=True):
                said[index] = state if said[index] == "ok" else said[index]
        return Answer(probabilities, tuple(said))


def _where_agreed(face: Answer, whole: Answer) -> Answer:
    """The answer for the face, with the status ``inconsistent`` where both have a label and they differ."""
    undecided = face.probabilities.shape[1] - 1
    differ = (face.codes != whole.codes) & (face.codes < undecided) & (whole.codes < undecided)
    status = ["inconsistent" if no else said for no, said in zip(differ, face.status, strict=True)]
    return Answer(face.probabilities, tuple(status))
