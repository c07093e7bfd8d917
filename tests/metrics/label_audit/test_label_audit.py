"""The object that an audit of labels returns: frames, texts and charts."""

import pytest
from helpers.label_frames import wide

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import audit_labels


@pytest.fixture(scope="module")
def found():
    aim = {"gender": {"woman": 0.6, "man": 0.4}}
    return audit_labels(
        wide(), concept="prompt", attributes=["gender", "race"], cluster="template", target=aim, draws=200
    )


def test_aggregates_have_numeric_intervals_and_floors(found):
    row = found.overall.loc[("gender", "rms_delta")]
    assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
    assert 0 < row["floor"] < row["value"]
    assert found.overall["floor"].dtype == float
    assert ("gender*race", "total_correlation") in found.overall.index


def test_shares_have_their_target(found):
    targets = found.by_group["target"]
    assert targets["gender", "woman"] == pytest.approx(0.6)
    assert targets["race", "Black"] == pytest.approx(1 / 3)
    assert targets["gender*race", "woman*Black"] == pytest.approx(0.2)
    assert found.by_group["value"].xs("gender").sum() == pytest.approx(1)


def test_every_concept_has_a_row(found):
    assert set(found.by_concept.index.get_level_values("concept")) == {"nurse", "CEO", "cook"}


def test_a_comparison_needs_a_baseline(found):
    with pytest.raises(EvenhandError, match="pass base"):
        found.compare()


def test_the_text_fits_a_screen_and_names_groups(found):
    lines = repr(found).splitlines()
    assert len(lines) < 30 and max(map(len, lines)) <= 100
    assert lines[0] == "120 images; judges: labels; target given; not corrected"
    assert "share woman" in repr(found)


def test_a_notebook_shows_a_table_and_escapes_texts():
    frame = wide().replace({"race": {"Asian": "<b>Asian"}})
    page = audit_labels(frame, concept="prompt", attributes=["race"], draws=200)._repr_html_()
    assert "<table" in page and "&lt;b&gt;Asian" in page and "<b>Asian" not in page


def test_an_unknown_plot_is_refused(found):
    with pytest.raises(EvenhandError, match="choose one of 'distance', 'shares'"):
        found.plot("pie")
