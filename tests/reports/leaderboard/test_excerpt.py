"""The best rows of the leaderboard, for the front page of the repository."""

from helpers.site import a_board

from evenhand.reports.leaderboard.excerpt import MAX_ROWS, render_excerpt

FIRST = [row for row in a_board() if row.result.spec.suite_version == "1"]


def names(text):
    return [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")][2:]


def copies(number):
    """Rows of one ranked method under other names."""
    (mist,) = [row for row in FIRST if row.label == "mist"]
    for place in range(number):
        card = mist.result.spec.method.model_copy(update={"label": f"copy-{place}", "name": f"copy-{place}"})
        spec = mist.result.spec.model_copy(update={"method": card})
        yield mist.model_copy(update={"result": mist.result.model_copy(update={"spec": spec})})


def test_the_baseline_and_the_ranked_methods_are_shown_the_closest_to_the_target_first():
    text = render_excerpt(list(reversed(FIRST)))
    assert names(text) == ["base", "mist", "uce"], "harmful is closer, but fails a gate"
    assert "2 of 3 methods pass every gate and are ranked." in text
    assert "one model" in text


def test_methods_of_the_project_itself_are_marked():
    ours = [row.model_copy(update={"ours": row.label == "uce"}) for row in FIRST]
    assert names(render_excerpt(ours)) == ["base", "mist", "uce (ours)"]


def test_a_long_list_is_cut_and_says_so():
    text = render_excerpt([*FIRST, *copies(20)])
    assert len(names(text)) == 1 + MAX_ROWS
    assert (
        f"22 of 23 methods pass every gate and are ranked, of which the table has the first {MAX_ROWS}."
        in text
    )


def test_the_latest_version_of_a_suite_is_shown():
    assert names(render_excerpt(a_board())) == ["base"]


def test_a_board_without_entries_says_so():
    assert render_excerpt([]) == "No entries yet."
