"""A judge of skin tone that is no network: colorimetry of the skin's pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.judges.base import Answer, Images, Judge, JudgeInfo
from evenhand.metrics.judges.colour import chroma, hue, ita, lab, monk
from evenhand.metrics.judges.folder import version

GROUPS = ("light", "medium", "dark")

CUTS = (41.0, 19.0)
"""Angles in degrees between light and medium, and between medium and dark.

The classes of Groh et al. 2021 (Fitzpatrick 17k: cuts 55, 41, 28, 19, 10) merged as they merge them: types I
and II, III and IV, V and VI.
"""

SMALLEST_CHROMA = 3.0
HUES = (0.0, 95.0)
"""A pixel is skin-coloured when its chroma is above the floor and its hue lies in this open range (degrees).

The window holds all ten Monk swatches (chroma 3.8 to 28, hue 59 to 89) with room to spare, and shuts out
grey, white, black, blue and green; the usual YCrCb box loses the darkest and the lightest skin. It was
checked on labelled renders, never on pictures of an audited model.
"""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, relative to the picture's width and height."""


@dataclass(frozen=True)
class SkinMeasure:
    """What the colorimeter read, one entry per picture; ``nan`` (tone 0) where no pixel is skin-coloured.

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
    blue-lit pictures. The light of a generated picture is unknown, so compare shares over pictures of the
    same prompts and seeds, and make no claim about a single picture.

    The probability of a group is the mass that a normal error around the measured angle puts between the
    group's cuts, so that pictures near a cut are uncertain.

    Args:
        name: The judge's name.
        boxes: Where to look.
        spread: Standard deviation of the error, in degrees.
        smallest_share: Share of the boxes that must be skin-coloured.
        title: The judge's name for people.
        licence: Licence of the judge.
        origin: Where its rule comes from.
        family: Judges of one family have one vote.

    Raises:
        EvenhandError: A box is empty or leaves the picture, or ``spread`` is not positive.
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
    ) -> None:
        for left, top, right, bottom in boxes:
            if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
                raise EvenhandError(
                    f"box {(left, top, right, bottom)} is not inside the picture; give left < right and "
                    "top < bottom between 0 and 1"
                )
        if spread <= 0:
            raise EvenhandError(
                f"spread {spread} is not positive; give the angle's standard deviation in degrees"
            )
        self._boxes = tuple(boxes)
        self._spread = spread
        self._smallest_share = smallest_share
        rule = [self._boxes, spread, smallest_share, CUTS, SMALLEST_CHROMA, HUES]
        self.info = JudgeInfo(
            name=name,
            version=version([], rule),
            title=title,
            summary="individual typology angle of the median skin colour",
            family=family,
            taxonomies={"tone": GROUPS},
            licence=licence,
            origin=origin,
        )

    def measure(self, images: Images) -> SkinMeasure:
        """Colour, angle, Monk tone and share of skin-coloured pixels of each picture."""
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
        """The answer for ``tone``."""
        measured = self.measure(images)
        seen = measured.share >= self._smallest_share
        # far above and far below the cuts close the outer groups
        edges = np.array([np.inf, *CUTS, -np.inf])
        below = norm.cdf((edges - measured.angle[:, None]) / self._spread)
        inside = np.column_stack([below[:, :-1] - below[:, 1:], np.zeros(len(images))])
        probabilities = np.where(seen[:, None], inside, np.eye(len(GROUPS) + 1)[-1])
        return {"tone": Answer(probabilities, tuple("ok" if one else "no_face" for one in seen))}

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
