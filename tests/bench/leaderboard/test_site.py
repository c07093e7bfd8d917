"""Writing the site: its list of files, and what of an earlier site is removed."""

import hashlib
import json
from pathlib import Path

import pytest
from helpers.report import publish
from helpers.site import a_board

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.site import LIST, build_site, check_options


@pytest.fixture
def entries(tmp_path):
    return publish(tmp_path / "entries", [])


def test_list_has_every_file_with_its_hash(entries, tmp_path):
    site = tmp_path / "site"
    number = build_site(entries, site)
    listed = json.loads((site / LIST).read_text())
    files = {str(path.relative_to(site)): path for path in site.rglob("*") if path.is_file()}
    assert set(listed) | {LIST} == set(files) and number == len(files)
    assert all(
        hashlib.sha256(files[path].read_bytes()).hexdigest() == digest for path, digest in listed.items()
    )


def test_pages_of_an_earlier_site_are_removed_and_other_files_are_kept(entries, tmp_path):
    site = tmp_path / "site"
    build_site(entries, site)
    for name in ("old.html", "CNAME"):
        (site / name).write_text("x")
    listed = {"old.html": hashlib.sha256(b"x").hexdigest(), "gone.html": ""}
    (site / LIST).write_text(json.dumps(listed))
    build_site(entries, site)
    assert not (site / "old.html").exists() and (site / "CNAME").exists()


def test_listed_file_that_the_site_did_not_write_is_kept(entries, tmp_path):
    site = tmp_path / "site"
    build_site(entries, site)
    (site / "thesis.pdf").write_text("mine")
    (site / LIST).write_text(json.dumps({"thesis.pdf": hashlib.sha256(b"x").hexdigest()}))
    build_site(entries, site)
    assert (site / "thesis.pdf").read_text() == "mine"


@pytest.mark.parametrize("text", [None, "{", "3", "[1]"], ids=["no list", "torn", "number", "wrong items"])
def test_folder_that_is_not_a_site_is_refused_and_not_changed(entries, tmp_path, text):
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("mine")
    if text is not None:
        (site / LIST).write_text(text)
    with pytest.raises(EvenhandError, match="not a site of the leaderboard; choose an empty or new --site"):
        build_site(entries, site)
    assert (site / "index.html").read_text() == "mine"


def test_invalid_entry_is_an_error_before_anything_is_written(tmp_path):
    entries = publish(tmp_path / "entries", [a_board()[0].result])
    (next(entries.iterdir()) / "entry.json").write_text("{")
    with pytest.raises(EvenhandError, match="cannot be read"):
        build_site(entries, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_options_that_exclude_each_other_are_refused():
    with pytest.raises(EvenhandError, match="--run runs/mini needs --site"):
        check_options(None, runs=[Path("runs/mini")], only_check=False)
    with pytest.raises(EvenhandError, match="--check cannot be combined with --site site; drop one of them"):
        check_options(Path("site"), runs=[], only_check=True)
    check_options(Path("site"), runs=[Path("runs/mini")], only_check=False)
    check_options(None, runs=[], only_check=True)
