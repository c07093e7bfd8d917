"""Colour computations for skin tone: CIELAB, individual typology angle, CIEDE2000, Monk scale.

Sources: IEC 61966-2-1 (sRGB), CIE 15 (CIELAB, D65, 2 degree observer), Chardon et al. 1991 (the angle),
Sharma, Wu and Dalal 2005 (CIEDE2000). All functions take arrays whose last axis is the colour. The 8-bit Lab
of image libraries is scaled and shifted and must not be used here: it changes the tones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evenhand.metrics.taxonomies import table

Array = NDArray[np.float64]

XYZ_OF_LINEAR_RGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])
"""Reference white D65."""

SMALLEST_YELLOW = 0.01
"""Minimum of b* in the angle, so that a bluish cast does not turn light skin into dark skin."""

MONK_HEX = tuple(row["hex"].removeprefix("#") for row in table("monk_skin_tone_palette"))
"""The ten swatches of the Monk Skin Tone scale, lightest first (skintone.google)."""


def lab(rgb: NDArray[np.uint8]) -> Array:
    """CIELAB colours (L* in [0, 100], a*, b*) of sRGB bytes ``(..., 3)``."""
    value = rgb / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    ratio = linear @ XYZ_OF_LINEAR_RGB.T / WHITE
    x, y, z = np.moveaxis(np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def ita(colours: Array) -> Array:
    """Individual typology angle of Lab colours ``(..., 3)``, in degrees; higher for lighter skin.

    ``atan2(L* - 50, b*)`` with b* at least ``SMALLEST_YELLOW``; range (-90, 90). Source: Chardon et al. 1991.
    """
    angle: Array = np.degrees(np.arctan2(colours[..., 0] - 50, colours[..., 2].clip(SMALLEST_YELLOW)))
    return angle


def chroma(colours: Array) -> Array:
    """Distance of Lab colours from the grey axis."""
    radius: Array = np.hypot(colours[..., 1], colours[..., 2])
    return radius


def hue(colours: Array) -> Array:
    """Hue angle of Lab colours in degrees, in (-180, 180]; red is near 30, yellow near 95."""
    angle: Array = np.degrees(np.arctan2(colours[..., 2], colours[..., 1]))
    return angle


def monk(colours: Array) -> NDArray[np.int64]:
    """Nearest swatch of the Monk scale by CIEDE2000, 1 (lightest) to 10, for Lab colours ``(..., 3)``."""
    swatches = lab(np.array([list(bytes.fromhex(code)) for code in MONK_HEX], np.uint8))
    nearest: NDArray[np.int64] = ciede2000(colours[..., None, :], swatches).argmin(axis=-1)
    return nearest + 1


def ciede2000(first: Array, second: Array) -> Array:
    """Colour difference of Lab colours ``(..., 3)``, broadcast against each other; unit weights.

    Source: Sharma, Wu, Dalal (2005), The CIEDE2000 Color-Difference Formula, equations 2 to 22.
    """
    (light1, chroma1, hue1), (light2, chroma2, hue2) = _adjusted(first, second)
    light_step, chroma_step = light2 - light1, chroma2 - chroma1
    neutral = chroma1 * chroma2 == 0
    turn = hue2 - hue1
    hue_angle = np.where(neutral, 0, np.where(np.abs(turn) <= 180, turn, turn - np.copysign(360, turn)))
    hue_step = 2 * np.sqrt(chroma1 * chroma2) * np.sin(np.radians(hue_angle) / 2)
    mean_hue = np.where(neutral, hue1 + hue2, _mean_angle(hue1, hue2))
    light, mean_chroma = (light1 + light2) / 2, (chroma1 + chroma2) / 2
    weight_light = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    weight_chroma = 1 + 0.045 * mean_chroma
    weight_hue = 1 + 0.015 * mean_chroma * _hue_term(mean_hue)
    blueness = np.sin(np.radians(60 * np.exp(-(((mean_hue - 275) / 25) ** 2))))
    rotation = -2 * _blue_term(mean_chroma) * blueness
    l_part, c_part, h_part = light_step / weight_light, chroma_step / weight_chroma, hue_step / weight_hue
    difference: Array = np.sqrt(l_part**2 + c_part**2 + h_part**2 + rotation * c_part * h_part)
    return difference


def _adjusted(first: Array, second: Array) -> tuple[tuple[Array, Array, Array], tuple[Array, Array, Array]]:
    """Lightness, chroma and hue (degrees in [0, 360)) after the stretch of a* near grey."""
    stretch = 1.5 - 0.5 * _blue_term((chroma(first) + chroma(second)) / 2)
    parts = []
    for colours in (first, second):
        a, b = stretch * colours[..., 1], colours[..., 2]
        parts.append((colours[..., 0], np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360))
    return parts[0], parts[1]


def _blue_term(mean_chroma: Array) -> Array:
    term: Array = np.sqrt(mean_chroma**7 / (mean_chroma**7 + 25.0**7))
    return term


def _mean_angle(first: Array, second: Array) -> Array:
    """Midpoint of two hues along the shorter arc, in the branch that the standard prescribes."""
    mean = (first + second) / 2
    return np.where(np.abs(first - second) <= 180, mean, np.where(mean < 180, mean + 180, mean - 180))


def _hue_term(angle: Array) -> Array:
    radians = np.radians(angle)
    term: Array = (
        1
        - 0.17 * np.cos(radians - np.radians(30))
        + 0.24 * np.cos(2 * radians)
        + 0.32 * np.cos(3 * radians + np.radians(6))
        - 0.20 * np.cos(4 * radians - np.radians(63))
    )
    return term
