"""Charts as inline SVG: dots with intervals, drawn at build time from Vega-Lite specifications.

Every panel is as wide as a phone, so that its text keeps its size; a wide screen shows several side by side.
Series differ by fill and shape as well as by colour, so that a grey print carries the same information.
"""

from __future__ import annotations

import functools
import json
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import altair as alt
from markupsafe import Markup, escape

from evenhand.bench.results.text import count, interval, number
from evenhand.reports.components.vega import svg_of

WIDTH, RIGHT, LABEL, ROW_HEIGHT = 344, 18, 172, 16
"""Pixels: a panel, the margin right of the axis, the most space for labels, and one line."""

LETTER, BESIDE = 11, 13
"""Pixels: the font size, and the padding around a name."""

NARROW, WIDE = frozenset(" .,:;'|!()[]-/fijlrtI"), frozenset("mwMW@%&—…×")
"""Letters that are much narrower, or wider, than others."""

JOINER = "\u200d"
"""Joins two characters into one glyph, as in most emoji of people."""

INK, GREY, ACCENT, CHANCE, GRID = "#1f2933", "#5b6470", "#0b5a9d", "#e6e8eb", "#eef0f2"
SERIES: dict[str, dict[str, Any]] = {
    "open": {"shape": "circle", "stroke": GREY, "fill": "white", "size": 42, "strokeWidth": 1.5},
    "full": {"shape": "diamond", "stroke": ACCENT, "fill": ACCENT, "size": 52, "strokeWidth": 1.5},
}
"""The two styles of a dot: an open grey circle and a full blue diamond."""

BARS = {"open": "#dfe3e7", "full": "#c4dcf0"}
"""Fills of the bars behind dots of each style."""


Look = Literal["open", "full"]


@dataclass(frozen=True)
class Dot:
    """One estimate in a panel.

    Attributes:
        row: The line it is drawn on.
        look: Open for the reference (the baseline, the uncorrected number), full for the other.
        value: The estimate.
        low: Lower end of its interval.
        high: Upper end of its interval.
        floor: The chance level of a fair model; ``nan`` for none.
        target: The desired value; ``nan`` for none.
        n: Images that the value is of; 0 where the caption gives it.
        whose: What the dot is of, where a line has several, such as the baseline.
    """

    row: str
    look: Look
    value: float
    low: float
    high: float
    floor: float = math.nan
    target: float = math.nan
    n: int = 0
    whose: str = ""

    def tip(self, *, percent: bool) -> str:
        """What the dot shows under the pointer: its line, value, interval and number of images."""
        ends = interval(self.low, self.high, percent=percent)
        facts = "; ".join(filter(None, (ends, f"n {count(self.n)}" if self.n else "")))
        name = f"{self.row}, {self.whose}" if self.whose else self.row
        return f"{name}: {number(self.value, percent=percent)}{f' ({facts})' if facts else ''}"


def draw(
    dots: Sequence[Dot],
    *,
    name: str,
    label: str,
    axis: str,
    domain: tuple[float, float],
    percent: bool,
    bars: bool = False,
    reference: float = math.nan,
) -> Markup:
    """A panel of dots with intervals as an inline SVG image.

    Args:
        dots: The estimates; those that are not finite are left out and only in the table.
        name: Prefix of every id in the image, so that two images on one page do not share ids.
        label: Text alternative.
        axis: Title of the horizontal axis.
        domain: Ends of the horizontal axis.
        percent: Whether the axis is in per cent.
        bars: Whether to draw a bar from zero to each dot, as for shares of a whole.
        reference: Where to draw a dashed line through all lines; ``nan`` for none.
    """
    rows = list(dict.fromkeys(dot.row for dot in dots))
    left = label_space(rows)
    pairs = len({(dot.row, dot.look) for dot in dots}) > len(rows)
    shift = {"open": -3, "full": 3} if pairs else {"open": 0, "full": 0}
    behind = [_bar(look, shift[look]) for look in SERIES] if bars else [_chance()]
    behind += [_reference(reference)] if math.isfinite(reference) else []
    marks = [*behind, *(mark for look in SERIES for mark in _series(look, shift[look])), _target()]
    labels = alt.Axis(title=axis, format=".0%" if percent else ".1f", tickCount=5, grid=True)
    x = alt.X("value:Q", scale=alt.Scale(domain=list(domain), nice=False), axis=labels)
    chart = (
        alt.layer(*marks, data=alt.NamedData("dots"))
        .encode(x=x, y=_lines(rows))
        .properties(
            width=WIDTH - left - RIGHT,
            height=ROW_HEIGHT * len(rows),
            autosize="none",
            padding={"left": left, "right": RIGHT, "top": 4, "bottom": 38},
        )
    )
    # The data go in last: Altair copies whatever a chart holds at every step.
    specification = themed(chart).to_dict(validate=False) | {
        "datasets": {"dots": _values(dots, percent=percent)}
    }
    return _compact(inline(svg_of(specification), name=name, label=label))


def _lines(rows: Sequence[str]) -> alt.Y:
    keys = [str(place) for place in range(len(rows))]
    return alt.Y("line:N", sort=keys, scale=alt.Scale(domain=keys, paddingInner=0), axis=named_axis(rows))


def named_axis(rows: Sequence[str], *, grid: bool = True) -> alt.Axis:
    """The axis of lines that are numbered from zero, labelled with their names.

    The renderer cannot measure text and would cut a glyph of several characters in the middle. So this module
    reserves the space for names and shortens long ones.
    """
    names = json.dumps([shortened(row) for row in rows])
    return alt.Axis(
        title=None,
        labelExpr=f"{names}[datum.value]",
        labelLimit=0,
        labelPadding=9,
        ticks=False,
        domain=False,
        grid=grid,
    )


def shortened(name: str) -> str:
    """The name, cut to the space for labels.

    It is cut in the middle: settings of one method begin alike and differ at their ends.
    """
    space = LABEL - BESIDE
    if width_of(name) <= space:
        return name
    start = end = len(name) // 2
    while width_of(f"{name[:start]}…{name[end:]}") > space:
        start, end = (start - 1, end) if width_of(name[:start]) > width_of(name[end:]) else (start, end + 1)
    while start and (_joined(name[start]) or name[start - 1] == JOINER):
        start -= 1
    while end < len(name) and (_joined(name[end]) or name[end - 1] == JOINER):
        end += 1
    return f"{name[:start]}…{name[end:]}"


def label_space(rows: Sequence[str]) -> int:
    """Width in pixels of the names of the lines, left of the axis."""
    return min(LABEL, BESIDE + math.ceil(max(map(width_of, rows), default=0)))


def width_of(name: str) -> float:
    """Approximate width of a name in pixels, in DejaVu Sans, the widest of the pages' fallback fonts."""
    return LETTER * sum(map(_width, name))


def _width(letter: str) -> float:
    """The width of a letter relative to its size."""
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.2
    if letter in NARROW or letter in WIDE:
        return 0.37 if letter in NARROW else 0.91
    return 0.73 if letter.isupper() else 0.62


def _joined(letter: str) -> bool:
    """Whether a character belongs to the glyph before it: an accent, a skin tone of an emoji, a joiner."""
    return letter == JOINER or unicodedata.category(letter) in ("Mn", "Mc", "Me", "Sk")


def _values(dots: Sequence[Dot], *, percent: bool) -> list[dict[str, Any]]:
    """The dots as JSON, without numbers that are not finite; floor and target once per line."""
    lines: dict[str, str] = {}
    values = []
    for dot in dots:
        again = {"floor": math.nan, "target": math.nan} if dot.row in lines else {}
        fields = asdict(dot) | again | {"line": lines.setdefault(dot.row, str(len(lines)))}
        fields["tip"] = dot.tip(percent=percent)
        values.append(
            {key: field for key, field in fields.items() if isinstance(field, str) or math.isfinite(field)}
        )
    return values


# Altair checks every mark against its schema, which takes longer than rendering, and copies the marks of a
# layer; so those that do not depend on the data are made once.
@functools.cache
def _series(look: str, shift: int) -> tuple[alt.Chart, ...]:
    """Intervals and dots of one style, shifted from the middle where a line has two."""
    style, mine = SERIES[look], f"datum.look === '{look}'"
    spans = alt.Chart().mark_rule(yOffset=shift, clip=True, color=style["stroke"], strokeWidth=1.5)
    spans = spans.encode(x="low:Q", x2="high:Q").transform_filter(
        f"{mine} && isValid(datum.low) && isValid(datum.high)"
    )
    points = alt.Chart().mark_point(yOffset=shift, opacity=1, aria=True, **style).encode(description="tip:N")
    return spans, points.transform_filter(f"{mine} && isValid(datum.value)")


@functools.cache
def _bar(look: str, shift: int) -> alt.Chart:
    bar = alt.Chart().mark_bar(color=BARS[look], clip=True, yOffset=shift, height=ROW_HEIGHT - 6)
    return bar.encode(x="value:Q").transform_filter(f"datum.look === '{look}' && isValid(datum.value)")


@functools.cache
def _chance() -> alt.Chart:
    """The range of a fair model by chance, as a band from zero."""
    bars = alt.Chart().mark_bar(color=CHANCE, clip=True, height=alt.RelativeBandSize(1))
    return bars.encode(x="floor:Q").transform_filter("isValid(datum.floor)")


def _reference(value: float) -> alt.Chart:
    """A dashed line across all lines of the panel."""
    rule = alt.Chart().mark_rule(color=GREY, strokeDash=[3, 3], strokeWidth=1, clip=True)
    return rule.encode(x=alt.datum(value), y=alt.value(0), y2=alt.value("height"))


@functools.cache
def _target() -> alt.Chart:
    ticks = alt.Chart().mark_tick(color=INK, thickness=2, size=ROW_HEIGHT - 2, clip=True)
    return ticks.encode(x="target:Q").transform_filter("isValid(datum.target)")


def themed(chart: alt.LayerChart) -> alt.LayerChart:
    """The chart in the common style."""
    return (
        chart.configure(font="Arial, Helvetica, sans-serif", background="transparent", aria=False)
        .configure_view(stroke=None)
        .configure_axis(
            labelFontSize=LETTER,
            titleFontSize=LETTER,
            labelColor=INK,
            titleColor=INK,
            titleFontWeight="normal",
            gridColor=GRID,
            tickColor=GREY,
            domainColor=GREY,
            labelOverlap=False,
            labelFlush=False,
        )
    )


def inline(svg: str, *, name: str, label: str) -> Markup:
    """The SVG for embedding in HTML: a labelled image with unique ids and without URLs.

    Args:
        svg: The output of the renderer.
        name: Prefix of every id in the image.
        label: Text alternative.
    """
    opening, body = svg.removesuffix("</svg>").split(">", 1)
    box = " ".join(re.findall(r'(?:width|height|viewBox)="[^"]*"', opening))
    # The renderer's ids depend on the images that it drew before, so they are renumbered.
    for place, found in enumerate(dict.fromkeys(re.findall(r'\bid="([^"]+)"', body))):
        body = re.sub(rf'(\bid="|url\(#|href="#){re.escape(found)}(?=["\)])', rf"\g<1>{name}-{place}", body)
    body = re.sub(r"<[^>]+>", lambda tag: _short_tag(tag.group()), body)
    body = _LEAVES.sub(_hoisted, body.replace('<path d="" display="none"/>', ""))
    body = _TIPPED.sub(r"<path\1\3><title>\2</title></path>", body)
    return Markup(f'<svg class="chart" role="img" aria-label="{escape(label)}" {box}>{body}</svg>')


def standalone(image: Markup, *, title: str) -> str:
    """An image of :func:`inline` as a standalone SVG file, on white, with a title."""
    opening, body = str(image).split(">", 1)
    opening = opening.replace('<svg class="chart"', '<svg xmlns="http://www.w3.org/2000/svg"')
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return f"{opening}><title>{escape(title)}</title>{ground}{body}\n"


_LEAVES = re.compile(
    r"<g(?P<own>[^>]*)>(?P<leaves>(?:<(?:path|line|rect)\b[^>]*/>|<text\b[^>]*>[^<]*</text>){2,})</g>"
)
"""A group that holds only shapes and text."""

_DISC = re.compile(
    r'<path transform="translate\(([-\d.]+),([-\d.]+)\)" d="M([\d.]+),0A\3,\3,0,1,1,-\3,0A\3,\3,0,1,1,\3,0"'
    r"([^>]*?)(?:/>|>(<title>[^<]*</title>)</path>)"
)
"""A circle that the renderer draws with two arcs."""


def _compact(image: Markup) -> Markup:
    """The image with circles as circles, and without coordinates that are zero anyway: a tenth less."""
    body = re.sub(r' [xy]2="0"', "", str(image))
    return Markup(_DISC.sub(_circle, body))


def _circle(found: re.Match[str]) -> str:
    x, y, radius, rest, title = found.groups()
    return f'<circle cx="{x}" cy="{y}" r="{radius}"{rest}' + (f">{title}</circle>" if title else "/>")


_TIPPED = re.compile(r'<path([^>]*?) data-tip="([^"]*)"([^>]*?)/>')
"""A mark with a description, which becomes its title: browsers show it under the pointer without a script."""

_INHERITED = re.compile(r' ((?:font-|text-anchor|fill|stroke)[a-z-]*)="[^"]*"')


def _hoisted(group: re.Match[str]) -> str:
    """The group with the attributes that all its shapes share moved to the group: half the bytes."""
    tags = re.findall(r"<(?!/)[^>]+>", group["leaves"])
    first = [found for found in _INHERITED.finditer(tags[0]) if f" {found[1]}=" not in group["own"]]
    shared = [found.group() for found in first if all(found.group() in tag for tag in tags)]

    def bare(tag: re.Match[str]) -> str:
        return functools.reduce(lambda text, each: text.replace(each, "", 1), shared, tag.group())

    leaves = re.sub(r"<[^>]+>", bare, group["leaves"])
    return f"<g{group['own']}{''.join(shared)}>{leaves}</g>"


def _short_tag(tag: str) -> str:
    """The tag without roles, with fewer digits; the description of a mark is kept as it is."""
    found = re.search(r' aria-label="([^"]+)"(?=[^>]*aria-roledescription="[^"]*mark")', tag)
    tag = re.sub(r' (?:role|aria-[a-z]+|class|pointer-events)="[^"]*"', "", tag)
    tag = re.sub(r"(\.\d\d)\d+", r"\1", tag).replace(' opacity="1"', "")
    return f'{tag.removesuffix("/>")} data-tip="{found[1]}"/>' if found and tag.endswith("/>") else tag
