"""Commands in backticks become code elements; everything else is escaped."""

from markupsafe import Markup

from evenhand.reports.components.inline_code import with_code


def test_every_part_between_backticks_is_code():
    assert with_code("run `a b` or `c`") == Markup("run <code>a b</code> or <code>c</code>")


def test_a_single_backtick_stays():
    assert with_code("5` wide") == Markup("5` wide")


def test_elements_are_escaped_inside_and_outside_of_code():
    found = with_code('<img onerror=x> `<script>` & "quoted"')
    assert "<img" not in found and "<script" not in found
    assert "<code>&lt;script&gt;</code>" in found and "&amp;" in found and "&#34;quoted&#34;" in found
