"""Judges of skin tone by colorimetry of skin pixels, without a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import taxonomies
from evenhand.metrics.judges.base import PHOTOGRAPHS, Answer, Images, Judge, JudgeInfo
from evenhand.metrics.judges.on_faces import OnFaces
from evenhand.metrics.judges.recipe import JudgeRecipe, RecipeCard
from evenhand.metrics.vision.colour import MONK_HEX, chroma, hue, ita, lab, monk
from evenhand.metrics.vision.faces import finder
from evenhand.metrics.vision.weight_folder import version

GROUPS = ("light", "medium", "dark")

CUTS = (41.0, 19.0)
"""Angles in degrees between light and medium, and between medium and dark.

The classes of Groh et al. 2021 (Fitzpatrick 17k: cuts 55, 41, 28, 19, 10), merged in pairs like
theirs: types I and II, III and IV, V and VI.
"""

ITA6_CUTS = (55.0, 41.0, 28.0, 10.0, -30.0)
"""Angles in degrees between very light, light, intermediate, tan, brown and dark (Del Bino, Bernerd 2013)."""

CHIP_BOXES = ((0.25, 0.42, 0.36, 0.53), (0.62, 0.42, 0.73, 0.53), (0.38, 0.16, 0.62, 0.24))
"""Both cheeks and the brow of an aligned face, without eyes, lips, nostrils, beard and most hair."""

PHOTO_SPREAD = 5.0
"""Assumed standard deviation of the angle under unknown light, in degrees; not measured."""

PHOTO_SKIN_SHARE = 0.3
"""Minimum share of skin-coloured pixels in the boxes of a photograph; hair and shadow may cover the rest."""

SMALLEST_CHROMA = 3.0
HUES = (0.0, 95.0)
"""A pixel is skin-coloured if its chroma exceeds the minimum and its hue lies in this open range (degrees).

The window includes all ten Monk swatches (chroma 3.8 to 28, hue 59 to 89) with a margin, and excludes grey,
white, black, blue and green. The usual YCrCb box would lose the darkest and the lightest skin. The window was
checked on labelled renders, never on images of an audited model.
"""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, relative to the image's width and height."""


@dataclass(frozen=True)
class SkinMeasure:
    """Measured skin colour, one entry per image; ``nan`` (tone 0) if no pixel is skin-coloured.

    Attributes:
        colour: ``(n, 3)`` median L*, a*, b* over the skin-coloured pixels.
        angle: ``(n,)`` individual typology angle in degrees.
        monk: ``(n,)`` nearest Monk tone, 1 to 10.
        share: ``(n,)`` share of the boxes' pixels that is skin-coloured.
    """

    colour: NDArray[np.float64]
    angle: NDArray[np.float64]
    monk: NDArray[np.int64]
    share: NDArray[np.float64]


class ToneItaJudge(Judge):
    """A judge that classifies the individual typology angle of the median skin colour.

    The boxes give the regions of the skin. A median needs no trimming of shadows and highlights. If too few
    pixels are skin-coloured (for example in grey, monochrome and blue-lit images), the image has the status
    ``unseen``. The light of a generated image is unknown, so compare shares over images of the same prompts
    and seeds, and make no claim about a single image.

    The probability of a group is the probability that the measured angle plus a normal error lies between the
    group's cuts, so that images near a cut are uncertain.

    Args:
        name: The judge's name.
        boxes: Regions of the skin.
        spread: Standard deviation of the error, in degrees.
        smallest_share: Minimum share of skin-coloured pixels in the boxes.
        title: Title for display.
        licence: Licence of the judge.
        origin: Source of the rule.
        family: Judges of one family have one vote.
        scales: Which of ``tone``, ``ita6`` and ``mst10`` the judge answers. The Monk tone is the nearest
            swatch, with probability 1.
        unseen: Status of images with too little skin.

    Raises:
        EvenhandError: A box is empty or not inside the image, or ``spread`` is not positive.
    """

    def __init__(
        self,
        *,
        name: str,
        boxes: Sequence[Box],
        spread: float,
        smallest_share: float,
        title: str,
        licence: str,
        origin: str,
        family: str = "colour",
        scales: Sequence[str] = ("tone",),
        unseen: str = "no_face",
    ) -> None:
        for left, top, right, bottom in boxes:
            if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
                raise EvenhandError(
                    f"box {(left, top, right, bottom)} is not inside the image; left < right and "
                    "top < bottom must be between 0 and 1"
                )
        if spread <= 0:
            raise EvenhandError(
                f"spread (standard deviation of the angle, in degrees) must be positive, got {spread}"
            )
        self._boxes = tuple(boxes)
        self._spread = spread
        self._smallest_share = smallest_share
        self._scales, self._unseen = tuple(scales), unseen
        rule = [self._boxes, spread, smallest_share, CUTS, SMALLEST_CHROMA, HUES]
        if self._scales != ("tone",):
            rule += [self._scales, ITA6_CUTS, MONK_HEX]
        self.info = JudgeInfo(
            name=name,
            version=version([], rule),
            title=title,
            summary="individual typology angle of the median skin colour",
            family=family,
            taxonomies={name: GROUPS if name == "tone" else taxonomies.groups(name) for name in self._scales},
            licence=licence,
            origin=origin,
        )

    def measure(self, images: Images) -> SkinMeasure:
        """Colour, angle, Monk tone and share of skin-coloured pixels of each image."""
        colour = np.full((len(images), 3), np.nan)
        share = np.zeros(len(images))
        for index, image in enumerate(images):
            pixels = lab(self._crop(image))
            skin = pixels[is_skin(pixels)]
            share[index] = len(skin) / len(pixels)
            if len(skin):
                colour[index] = np.median(skin, axis=0)
        tone = np.where(share > 0, monk(np.nan_to_num(colour)), 0)
        return SkinMeasure(colour, ita(colour), tone, share)

    def label(self, images: Images) -> dict[str, Answer]:
        """The answer for each scale."""
        measured = self.measure(images)
        seen = measured.share >= self._smallest_share
        status = tuple("ok" if one else self._unseen for one in seen)
        answers = {}
        for scale, groups in self.info.taxonomies.items():
            inside = self._inside(scale, measured)
            inside = np.column_stack([inside, np.zeros(len(images))])
            answers[scale] = Answer(np.where(seen[:, None], inside, np.eye(len(groups) + 1)[-1]), status)
        return answers

    def _inside(self, scale: str, measured: SkinMeasure) -> NDArray[np.float64]:
        """Probability of each group of a scale, ``(n, K)``."""
        if scale == "mst10":
            return np.asarray(measured.monk[:, None] == np.arange(1, len(MONK_HEX) + 1), np.float64)
        # Infinite limits close the outer groups.
        edges = np.array([np.inf, *(CUTS if scale == "tone" else ITA6_CUTS), -np.inf])
        below: NDArray[np.float64] = norm.cdf((edges - measured.angle[:, None]) / self._spread)
        return below[:, :-1] - below[:, 1:]

    def _crop(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The pixels of all boxes, ``(pixels, 3)``."""
        height, width = image.shape[:2]
        parts = []
        for left, top, right, bottom in self._boxes:
            rows = slice(round(top * height), round(bottom * height))
            columns = slice(round(left * width), round(right * width))
            parts.append(image[rows, columns].reshape(-1, 3))
        return np.concatenate(parts)


def is_skin(colours: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether Lab colours ``(..., 3)`` lie in the skin window of ``SMALLEST_CHROMA`` and ``HUES``."""
    angle = hue(colours)
    return (chroma(colours) > SMALLEST_CHROMA) & (angle > HUES[0]) & (angle < HUES[1])


class SkinTone(JudgeRecipe):
    """Colorimetry of cheeks and brow of the largest face, on three scales.

    The unknown light of an image is part of the measurement: compare models over images of the same prompts
    and seeds only, and make no claim about a single image. Needs no weights except the face detectors'.

    Attributes:
        spread: Standard deviation of the angle's error, in degrees.
    """

    card: ClassVar[RecipeCard] = RecipeCard(
        title="Skin colorimetry (ITA, Monk)",
        summary="individual typology angle and nearest Monk swatch of the face's median skin colour",
        family="colour",
        attributes=("tone", "ita6", "mst10"),
        licence="Apache-2.0",
        origin="written for Evenhand from published formulas; Chardon et al. 1991, Monk Skin Tone scale",
    )

    spread: float = PHOTO_SPREAD

    def make(self, name: str) -> Judge:
        """The judge on aligned faces."""
        colorimeter = ToneItaJudge(
            name=name,
            boxes=CHIP_BOXES,
            spread=self.spread,
            smallest_share=PHOTO_SKIN_SHARE,
            title=self.card.title,
            licence=self.card.licence,
            origin=self.card.origin,
            family=self.card.family,
            scales=self.card.attributes,
            unseen="low_confidence",
        )
        colorimeter.domain = PHOTOGRAPHS
        return OnFaces(colorimeter, finder=finder(), cut="aligned")
