"""Generated parts of a page are replaced between their marks."""

from evenhand.bench.parsing.marked_page import fill


def test_only_the_marked_parts_of_the_page_change():
    page = "a\n<!-- one -->\nold\n<!-- end -->\nb"
    assert fill(page, one="new") == "a\n<!-- one -->\nnew\n<!-- end -->\nb"


def test_a_part_that_the_page_lacks_changes_nothing():
    assert fill("a\n", one="new") == "a\n"
