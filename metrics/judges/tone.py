"""Judges of skin tone that are no network: colorimetry of the skin's pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import taxonomies
from evenhand.metrics.judges.base import Answer, Images, Judge, JudgeInfo
from evenhand.metrics.judges.on_faces import OnFaces
from evenhand.metrics.judges.recipe import JudgeRecipe, RecipeCard
from evenhand.metrics.vision.colour import MONK_HEX, chroma, hue, ita, lab, monk
from evenhand.metrics.vision.faces import finder
from evenhand.metrics.vision.weight_folder import version

GROUPS = ("light", "medium", "dark")

CUTS = (41.0, 19.0)
"""Angles in degrees between light and medium, and between medium and dark.

The classes of Groh et al. 2021 (Fitzpatrick 17k: cuts 55, 41, 28, 19, 10) merged as they merge them: types I
and II, III and IV, V and VI.
"""

ITA6_CUTS = (55.0, 41.0, 28.0, 10.0, -30.0)
"""Angles in degrees between very light, light, intermediate, tan, brown and dark (Del Bino, Bernerd 2013)."""

CHIP_BOXES = ((0.25, 0.42, 0.36, 0.53), (0.62, 0.42, 0.73, 0.53), (0.38, 0.16, 0.62, 0.24))
"""Both cheeks and the brow of an aligned face: eyes, lips, nostrils, beard and most hair lie outside."""

PHOTO_SPREAD = 5.0
"""Error of the angle in an image whose light is unknown, in degrees: our choice, not a measurement."""

PHOTO_SKIN_SHARE = 0.3
"""Share of the boxes that must be skin-coloured in a photograph; hair and shadow may cover the rest."""

SMALLEST_CHROMA = 3.0
HUES = (0.0, 95.0)
"""A pixel is skin-coloured when its chroma is above the floor and its hue lies in this open range (degrees).

The window holds all ten Monk swatches (chroma 3.8 to 28, hue 59 to 89) with room to spare, and shuts out
grey, white, black, blue and green; the usual YCrCb box loses the darkest and the lightest skin. It was
checked on labelled renders, never on images of an audited model.
"""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, relative to the image's width and height."""


@dataclass(frozen=True)
class SkinMeasure:
    """What the colorimeter read, one entry per image; ``nan`` (tone 0) where no pixel is skin-coloured.

    Attributes:
        colour: Median L*, a*, b* over the skin-coloured pixels, ``(n, 3)``.
        angle: Individual typology angle, degrees, ``(n,)``.
        monk: Nearest Monk tone, 1 to 10, ``(n,)``.
        share: Share of the boxes' pixels that is skin-coloured, ``(n,)``.
    """

    colour: NDArray[np.float64]
    angle: NDArray[np.float64]
    monk: NDArray[np.int64]
    share: NDArray[np.float64]


class ToneItaJudge(Judge):
    """Reads light, medium or dark off the individual typology angle of the median skin colour.

    The boxes say where the skin is to be looked for. A median needs no trimming of shadows and highlights.
    Where too few pixels are skin-coloured the status is ``no_face``: this takes in grey, monochrome and
    blue-lit images. The light of a generated image is unknown, so compare shares over images of the
    same prompts and seeds, and make no claim about a single image.

    The probability of a group is the mass that a normal error around the measured angle puts between the
    group's cuts, so that images near a cut are uncertain.

    Args:
        name: The judge's name.
        boxes: Where to look.
        spread: Standard deviation of the error, in degrees.
        smallest_share: Share of the boxes that must be skin-coloured.
        title: The judge's name for people.
        licence: Licence of the judge.
        origin: Where its rule comes from.
        family: Judges of one family have one vote.
        scales: Which of ``tone``, ``ita6`` and ``mst10`` it answers. The Monk tone is the nearest swatch,
            with probability one: a measurement, not a posterior.
        unseen: Status of images with too little skin.

    Raises:
        EvenhandError: A box is empty or leaves the image, or ``spread`` is not positive.
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
                    f"box {(left, top, right, bottom)} is not inside the image; give left < right and "
                    "top < bottom between 0 and 1"
                )
        if spread <= 0:
            raise EvenhandError(
                f"spread {spread} is not positive; give the angle's standard deviation in degrees"
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
        # far above and far below the cuts close the outer groups
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
    """Which Lab colours ``(..., 3)`` lie in the skin window of ``SMALLEST_CHROMA`` and ``HUES``."""
    angle = hue(colours)
    return (chroma(colours) > SMALLEST_CHROMA) & (angle > HUES[0]) & (angle < HUES[1])


class SkinTone(JudgeRecipe):
    """Colorimetry of cheeks and brow of the largest face, on three scales.

    The light of an image is unknown and part of what is measured: compare models over images of the same
    prompts and seeds only, and make no claim about one image. Needs no weights besides the face detectors'.

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
        return OnFaces(colorimeter, finder=finder(), cut="aligned")
