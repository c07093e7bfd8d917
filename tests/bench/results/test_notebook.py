"""Results as HTML tables in a notebook."""

from helpers.report import an_estimate

from evenhand.bench.results.comparison import Comparison, Pair
from evenhand.bench.results.notebook import differences_html, estimates_text, html_table
from evenhand.metrics.rows import DifferenceRow

HOSTILE = "<img src=x onerror=alert(1)>"


def a_difference(label):
    return DifferenceRow(
        label=label,
        against="base",
        metric="excess_agreement",
        attributes="gender*tone",
        kind="neutral",
        judge="panel",
        corrected=True,
        value=-0.25,
        low=-0.3,
        high=-0.2,
        n=40,
        unit="1",
    )


def test_every_text_of_a_table_is_escaped():
    page = html_table(HOSTILE, [HOSTILE], [[HOSTILE]])
    assert "<img" not in page and page.count("&lt;img") == 3
    assert "<img" not in differences_html("title", [a_difference(HOSTILE)])


def test_comparison_shows_its_differences_with_their_intervals():
    comparison = Comparison.model_construct(
        pairs=[Pair(label="mist", against="base", same_images=False)],
        differences=[a_difference("mist")],
        primary="gender*tone",
        shared=80,
        prompts=4,
    )
    page = comparison._repr_html_()
    assert "80 shared images of 4 prompts" in page
    for text in ("mist minus base", "gender × tone", "−0.250", "−0.300 to −0.200"):
        assert text in page.replace("skin tone", "tone"), text


def test_the_text_of_estimates_prefers_corrected_rows_and_counts_those_left_out():
    rows = [
        an_estimate("rms_delta", 0.5),
        an_estimate("rms_delta", 0.4, corrected=True),
        an_estimate("share", 0.25, group="woman"),
        an_estimate("rms_delta", 0.9, concept="nurse"),
        an_estimate("rms_delta", 0.8, judge="vit"),
    ]
    lines = estimates_text("title", rows).splitlines()
    assert [line.split()[0] for line in lines] == ["title", "metric", "rms_delta", "share", "3"]
    assert "0.400" in lines[2] and "yes" in lines[2]
    assert lines[-1] == "3 more rows in to_dataframe()"
