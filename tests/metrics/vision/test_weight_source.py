"""Files at their places, with their digests."""

import hashlib

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.vision.weight_source import (
    WeightSource,
    check_digest,
    downloads_asked_for,
    missing_files,
    place_from_hub,
)


def test_files_that_are_not_at_their_place_are_missing(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    sources = [WeightSource(name, place=tmp_path / name) for name in "ab"] + [WeightSource("c", package="c")]
    assert [source.title for source in missing_files(sources)] == ["b"]
    with pytest.raises(EvenhandError, match=r"b: .*b is missing; download it from there"):
        place_from_hub([WeightSource("b", place=tmp_path / "b", address="there")])


def test_another_digest_than_the_recorded_one_is_an_error(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    digest = hashlib.sha256(b"a").hexdigest()
    assert check_digest(WeightSource("a", place=tmp_path / "a")) == digest
    assert check_digest(WeightSource("a", place=tmp_path / "a", sha256=digest)) == digest
    with pytest.raises(EvenhandError, match="delete the file and fetch it again"):
        check_digest(WeightSource("a", place=tmp_path / "a", sha256="0" * 64))


@pytest.mark.parametrize(
    ("offline", "variable", "asked"), [(False, "0", True), (False, None, False), (True, "0", False)]
)
def test_downloads_are_asked_for_only_in_words(monkeypatch, offline, variable, asked):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    if variable is not None:
        monkeypatch.setenv("HF_HUB_OFFLINE", variable)
    assert downloads_asked_for() is asked
