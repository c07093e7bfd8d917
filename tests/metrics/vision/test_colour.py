import numpy as np
import pandas as pd
import pytest
from helpers.paths import DATA

from evenhand.metrics.vision.colour import MONK_HEX, chroma, ciede2000, hue, ita, lab, monk

SWATCHES = np.array([list(bytes.fromhex(code)) for code in MONK_HEX], np.uint8)
PAIRS = pd.read_csv(DATA / "ciede2000_sharma_2005.csv", skiprows=1)


def test_ciede2000_reproduces_the_published_pairs_in_both_directions():
    first, second = PAIRS.iloc[:, :3].to_numpy(), PAIRS.iloc[:, 3:6].to_numpy()
    assert len(PAIRS) == 33
    np.testing.assert_allclose(ciede2000(first, second), PAIRS["difference"], atol=1e-4)
    np.testing.assert_allclose(ciede2000(second, first), PAIRS["difference"], atol=1e-4)


def test_ciede2000_broadcasts_and_is_zero_on_itself():
    colours = lab(SWATCHES)
    table = ciede2000(colours[:, None], colours)
    assert table.shape == (10, 10)
    np.testing.assert_allclose(table.diagonal(), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        ((255, 255, 255), (100, 0.0053, -0.0104)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.2408, 80.0925, 67.2032)),
        ((0, 255, 0), (87.7347, -86.1827, 83.1793)),
        ((0, 0, 255), (32.2970, 79.1875, -107.8602)),
    ],
)
def test_lab_of_the_srgb_primaries(rgb, expected):
    np.testing.assert_allclose(lab(np.array(rgb, np.uint8)), expected, atol=0.02)


def test_angle_of_the_monk_swatches():
    published = [83.0, 80.22, 71.75, 64.71, 50.33, 10.88, -20.14, -55.38, -78.35, -84.31]
    np.testing.assert_allclose(ita(lab(SWATCHES)), published, atol=0.01)


def test_a_bluish_cast_does_not_change_the_sign_of_the_angle():
    assert ita(np.array([70.0, 0.0, -5.0])) == pytest.approx(90, abs=0.1)
    assert ita(np.array([30.0, 0.0, -5.0])) == pytest.approx(-90, abs=0.1)


def test_every_monk_swatch_is_its_own_nearest_tone():
    assert monk(lab(SWATCHES)).tolist() == list(range(1, 11))
    assert monk(lab(SWATCHES.clip(3) - 3)).tolist() == list(range(1, 11))


def test_chroma_and_hue_of_grey_red_and_yellow():
    colours = lab(np.array([[120, 120, 120], [200, 60, 50], [250, 230, 30]], np.uint8))
    assert chroma(colours)[0] < 0.1
    assert 20 < hue(colours)[1] < 45
    assert 90 < hue(colours)[2] < 105
