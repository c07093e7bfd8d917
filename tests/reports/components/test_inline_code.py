"""Commands in backticks become code elements, labels may break; everything else is escaped."""

from markupsafe import Markup

from evenhand.reports.components.inline_code import breakable, with_code


def test_every_part_between_backticks_is_code():
    assert with_code("run `a b` or `c`") == Markup("run <code>a b</code> or <code>c</code>")


def test_a_single_backtick_stays():
    assert with_code("5` wide") == Markup("5` wide")


def test_elements_are_escaped_inside_and_outside_of_code():
    found = with_code('<img onerror=x> `<script>` & "quoted"')
    assert "<img" not in found and "<script" not in found
    assert "<code>&lt;script&gt;</code>" in found and "&amp;" in found and "&#34;quoted&#34;" in found


def test_a_label_may_break_between_its_parameters_and_a_number_may_not():
    assert breakable('mist:keep=["a","b"],scope=joint') == (
        "mist:<wbr>keep=[&#34;a&#34;,<wbr>&#34;b&#34;],<wbr>scope=joint"
    )
    assert breakable("n 1,029, <b>") == "n 1,029, &lt;b&gt;"
    assert breakable(Markup("<code>a,b</code>")) == "<code>a,b</code>"
