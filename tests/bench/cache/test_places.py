"""Caches in local folders and on the hub."""

import os

import pytest
from huggingface_hub import constants

from evenhand.bench.cache import places
from evenhand.bench.cache.layout import FORMAT_FILE
from evenhand.bench.cache.places import FolderCache, HubCache, open_cache
from evenhand.bench.errors import EvenhandError
from evenhand.bench.fetching.hub import offline


def test_a_folder_becomes_a_cache_and_lists_what_was_added(tmp_path):
    cache = open_cache(tmp_path / "new" / "cache")
    assert cache.files() == {} and cache.prepare() == {}
    source = tmp_path / "source"
    source.write_bytes(b"abc")
    cache.add({"images/a/b": source, "fits/c": source})
    assert cache.files() == {"images/a/b": 3, "fits/c": 3, FORMAT_FILE: 14}
    assert (cache.fetch(["images/a/b"]) / "images/a/b").read_bytes() == b"abc"
    cache.check(cache.prepare())


def test_other_folders_are_left_alone(tmp_path):
    (tmp_path / "suite.toml").write_text("")
    cache = FolderCache(tmp_path)
    with pytest.raises(EvenhandError, match=f"is not a cache: it has no {FORMAT_FILE}"):
        cache.prepare()
    assert [path.name for path in tmp_path.iterdir()] == ["suite.toml"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"format": 2}', "is a cache of another format"),
        ("[]", "is a cache of another format"),
        ("[" * 1000, "cannot be read"),
        ("", "cannot be read"),
        (" " * 10_000, "is too large"),
    ],
    ids=["later", "list", "deep", "empty", "large"],
)
def test_another_format_is_refused(tmp_path, text, words):
    (tmp_path / FORMAT_FILE).write_text(text)
    cache = FolderCache(tmp_path)
    with pytest.raises(EvenhandError, match=words):
        cache.check(cache.files())


@pytest.mark.parametrize("name", ["images", "images/a", "labels/a.parquet", "fits", FORMAT_FILE])
@pytest.mark.parametrize("target", ["/etc", "/dev/zero", "nowhere", "/etc/passwd"])
def test_links_are_refused(tmp_path, name, target):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).symlink_to(target)
    with pytest.raises(EvenhandError, match="is a link or another special file"):
        FolderCache(tmp_path).files()


def test_a_pipe_is_refused(tmp_path):
    (tmp_path / "images").mkdir()
    os.mkfifo(tmp_path / "images" / "pipe")
    with pytest.raises(EvenhandError, match="is a link or another special file"):
        FolderCache(tmp_path).files()


def test_what_lies_beside_a_cache_is_not_followed(tmp_path):
    (tmp_path / ".git").symlink_to("/etc")
    (tmp_path / "README.md").write_text("A cache")
    assert FolderCache(tmp_path).files() == {".git": 0, "README.md": 0}


def test_temporary_files_of_a_killed_push_are_no_content(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / ".x.png.0123abcd.tmp").write_text("half")
    assert FolderCache(tmp_path).files() == {}


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "MAX_FILES", 2)
    (tmp_path / "images").mkdir()
    for number in range(3):
        (tmp_path / "images" / str(number)).touch()
    with pytest.raises(EvenhandError, match="has more than 2 files"):
        FolderCache(tmp_path).files()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EvenhandError, match="is not a folder"):
        FolderCache(tmp_path / "file").files()


@pytest.mark.parametrize(
    "text", ["hf://models/org/name", "hf://datasets/name", "https://example.org", "s3://a"]
)
def test_an_address_of_another_kind_is_refused(text):
    with pytest.raises(EvenhandError, match="a cache must be a folder or hf://datasets/OWNER/NAME"):
        open_cache(text)


def test_the_hub_is_used_only_with_online(monkeypatch):
    with offline(), pytest.raises(EvenhandError, match="is used only with --online"):
        open_cache("hf://datasets/org/name")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    cache = open_cache("hf://datasets/org/name@main")
    assert isinstance(cache, HubCache) and str(cache.name) == "org/name@main"


def test_a_revision_is_not_pushed_to(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(EvenhandError, match="a revision cannot be changed"):
        open_cache("hf://datasets/org/name@v1").add({"a": places.Path("a")})
