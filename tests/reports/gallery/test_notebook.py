"""The gallery in a notebook: what it selects, and errors that say how to select."""

import pytest
from helpers.stored_run import a_stored_run

from evenhand.bench.errors import EvenhandError
from evenhand.reports.gallery.notebook import NotebookPage


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return a_stored_run(tmp_path_factory.mktemp("run"))


def test_gallery_of_a_notebook_shows_the_selected_images_and_their_partners(run):
    page = run.gallery("concept == 'nurse' and changed != ''").html
    assert "a photo of a male nurse" in page and "a photo of a CEO" not in page
    shown = run.gallery("method == 'mist' and seed_index == 1 and concept == 'nurse'")
    assert '<span id="count"' in shown.html and "uce" in shown.html
    assert 'sandbox="allow-scripts"' in shown._repr_html_() and "&lt;script&gt;" in shown._repr_html_()


@pytest.mark.parametrize(
    ("where", "message"),
    [("nonsense ==", "is not a query"), ("concept == 'x'", "no image of the run is selected")],
)
def test_gallery_without_images_says_why(run, where, message):
    with pytest.raises(EvenhandError, match=message):
        run.gallery(where)


def test_gallery_of_too_many_images_says_how_to_narrow_it(run, monkeypatch):
    monkeypatch.setattr("evenhand.reports.gallery.notebook.MOST", 10)
    with pytest.raises(EvenhandError, match="too many for a notebook"):
        run.gallery()


def test_frame_may_run_scripts_and_holds_the_whole_page_escaped():
    shown = NotebookPage("<p title='a'>\"x\" & y</p>", height=300)._repr_html_()
    assert 'sandbox="allow-scripts"' in shown and "height:300px" in shown
    assert 'srcdoc="&lt;p title=&#x27;a&#x27;&gt;&quot;x&quot; &amp; y&lt;/p&gt;"' in shown
