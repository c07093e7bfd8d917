"""Charts: what they draw, what they leave out, and that they are self-contained."""

import math
import re
import xml.etree.ElementTree as ET

import pytest

from evenhand.reports.components.charts import ACCENT, BARS, CHANCE, GREY, INK, Dot, draw, shortened

NAN = math.nan


def chart(*dots, **changes):
    frame = {"name": "fig", "label": "a finding", "axis": "distance", "domain": (0, 1), "percent": False}
    return str(draw(dots, **(frame | changes)))


def elements(svg):
    """Every shape and text with the style that it inherits from its groups."""
    found = []

    def visit(element, look):
        look = look | {k: v for k, v in element.attrib.items() if k in ("fill", "stroke", "stroke-width")}
        element.attrib.update(look)
        if element.tag in ("path", "circle", "line", "text"):
            found.append(element)
        for child in element:
            visit(child, look)

    visit(ET.fromstring(svg), {})
    return found


def shapes(svg, **attributes):
    return [e for e in elements(svg) if all(e.get(k) == v for k, v in attributes.items())]


def test_every_estimate_is_drawn_with_its_interval():
    svg = chart(Dot("nurse", "open", 0.8, 0.7, 0.9), Dot("nurse", "full", 0.3, 0.2, 0.4))
    assert len(shapes(svg, fill=ACCENT)) == 1 and len(shapes(svg, fill="white", stroke=GREY)) == 1
    lines = [
        e
        for e in elements(svg)
        if e.tag == "line" and e.get("stroke") in (ACCENT, GREY) and e.get("stroke-width") == "1.5"
    ]
    assert len(lines) == 2


def test_interval_has_its_length_on_the_axis():
    svg = chart(Dot("nurse", "full", 0.3, 0.25, 0.75))
    (whole,) = [
        e
        for e in elements(svg)
        if e.tag == "line"
        and e.get("stroke") == GREY
        and "y2" not in e.attrib
        and abs(float(e.get("x2", 0))) > 50
    ]
    (span,) = [e for e in elements(svg) if e.tag == "line" and e.get("stroke") == ACCENT]
    assert abs(float(span.get("x2"))) == pytest.approx(abs(float(whole.get("x2"))) / 2, abs=1)


def test_non_finite_numbers_are_left_out_but_keep_their_line():
    svg = chart(Dot("nurse", "full", NAN, NAN, NAN, NAN, NAN), Dot("cook", "full", 0.5, NAN, math.inf))
    assert len(shapes(svg, fill=ACCENT)) == 1
    assert "nurse" in svg and "cook" in svg
    assert "NaN" not in svg


def test_chance_level_and_target_are_drawn_once_per_line():
    svg = chart(*(Dot("nurse", look, 0.5, 0.4, 0.6, 0.2, 0.5) for look in ("open", "full")))
    assert len(shapes(svg, fill=CHANCE)) == 1
    assert len([e for e in shapes(svg, fill=INK) if e.tag == "path"]) == 1


def test_bar_leads_from_zero_to_the_value():
    dots = [Dot("light", "full", 0.5, 0.4, 0.6), Dot("dark", "full", 0.25, 0.2, 0.3)]
    bars = shapes(chart(*dots, bars=True), fill=BARS["full"])
    widths = [float(re.match(r"M0,[\d.]+h([\d.]+)v", bar.get("d"))[1]) for bar in bars]
    assert len(bars) == 2 and widths[0] == pytest.approx(2 * widths[1], rel=0.01)
    assert shapes(chart(*dots), fill=BARS["full"]) == []


def test_shared_attributes_are_moved_to_groups_and_hostile_names_are_kept():
    name = 'x fill="#1f2933" y'
    svg = chart(*(Dot(f"{name}{number}", "full", 0.5, 0.4, 0.6) for number in range(3)))
    assert sum(f"{name}{number}" in (e.text or "") for e in elements(svg) for number in range(3)) == 3
    labels = [e for e in ET.fromstring(svg).iter("text") if name in (e.text or "")]
    assert all(set(e.attrib) == {"transform"} for e in labels)


def test_chart_is_a_labelled_image_without_urls():
    svg = chart(Dot("nurse", "full", 0.5, 0.4, 0.6), label='a "finding" <b>')
    assert svg.startswith('<svg class="chart" role="img" aria-label="a &#34;finding&#34; &lt;b&gt;"')
    assert not re.search(r"https?:|xmlns|<script|<image|@import|url\((?!#)", svg)


def test_hostile_names_are_escaped():
    svg = chart(Dot("<script>x</script>&\"'", "full", 0.5, 0.4, 0.6))
    assert "<script" not in svg
    assert any("<script>x</script>" in (e.text or "") for e in ET.fromstring(svg).iter("text"))


def test_ids_are_unique_per_image_and_rendering_is_deterministic():
    dots = [Dot("nurse", "full", 0.5, 0.4, 1.6)]
    first, again, other = chart(*dots), chart(*dots), chart(*dots, name="fig2")
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (first, other)]
    assert first == again
    assert ids[0] and not ids[0] & ids[1]
    assert set(re.findall(r"url\(#([^)]+)\)", first)) <= ids[0]


def test_long_name_is_shortened_and_the_width_is_kept():
    svg = chart(Dot("n" * 300, "full", 0.5, 0.4, 0.6))
    drawn = re.sub(r"<title>.*?</title>", "", svg)
    assert ' width="344" ' in drawn and "n" * 30 not in drawn


def test_long_names_that_differ_at_the_end_stay_different():
    names = [f"concept-algebra:gamma=1.0,threshold=0.9,fit={fit}" for fit in (2, 3)]
    first, second = map(shortened, names)
    assert first.startswith("concept-") and first.endswith("fit=2") and second.endswith("fit=3")


def test_mark_has_its_value_interval_and_n_as_title_with_every_digit():
    dot = Dot("nurse <1>", "full", 0.12345, 0.1, 0.2, n=1234, whose="mist")
    (title,) = re.findall(r"<title>(.*?)</title>", chart(dot))
    assert title == "nurse &lt;1&gt;, mist: 0.123 (0.100 to 0.200; n 1,234)"
    (title,) = re.findall(r"<title>(.*?)</title>", chart(Dot("cook", "full", 0.5, NAN, NAN), percent=True))
    assert title == "cook: 50.0%"


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("colour", [INK, GREY, ACCENT])
def test_text_and_marks_have_enough_contrast(colour):
    for ground in ("#ffffff", CHANCE):
        assert (luminance(ground) + 0.05) / (luminance(colour) + 0.05) >= 4.5
