"""Names of repositories, and the line that says why one cannot be had."""

import pytest
from helpers.hub_cache import COMMIT, OTHER_COMMIT, put_in_cache, use_cache
from huggingface_hub import ModelCardData, constants
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.vision import hub
from evenhand.metrics.vision.hub import RETIRED, HubName, hub_name, snapshot
from evenhand.metrics.vision.weights import hub_folder


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("org/name", HubName("org/name")),
        ("org/na.me-2@main", HubName("org/na.me-2", "main")),
        ("org/name@refs/pr/3", HubName("org/name", "refs/pr/3")),
        (f"org/name@{COMMIT}", HubName("org/name", COMMIT)),
        *(
            (text, None)
            for text in ("name", "./org/name", "/org/name", "~/name", "a/b/c", "org/name@", "../x")
        ),
    ],
)
def test_names_are_read_with_their_revision(text, expected):
    assert hub_name(text) == expected
    assert expected is None or str(expected) == text


def failing(monkeypatch, kind):
    """A hub that answers every request with an error of this kind."""

    def refuse(*args, **options):
        raise type("Refused", (kind,), {"__init__": lambda self: None, "__str__": lambda self: "403\nlong"})()

    monkeypatch.setattr(hub, "snapshot_download", refuse)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            GatedRepoError,
            r"model 'org/name' is gated \(licence flux-dev\): accept its terms at "
            rf"{constants.ENDPOINT}/org/name with your account, run hf auth login, .* --online",
        ),
        (RepositoryNotFoundError, "is not on the hub, or private; check the name, and run hf auth login"),
        (RevisionNotFoundError, "no such revision; give a branch, tag or commit"),
        (OSError, r"not in the cache and cannot be downloaded \(403\); check the network"),
    ],
)
def test_the_reason_and_the_remedy_are_one_line(monkeypatch, kind, message):
    card = type("Info", (), {"card_data": ModelCardData(license="other", license_name="flux-dev")})
    monkeypatch.setattr(hub.HfApi, "model_info", lambda self, name: card)
    failing(monkeypatch, kind)
    with pytest.raises(EvenhandError, match=message) as caught:
        snapshot(HubName("org/name"), ["*"], what="model")
    assert "\n" not in str(caught.value)


def test_a_gated_repository_whose_card_is_hidden_is_still_explained(monkeypatch):
    failing(monkeypatch, GatedRepoError)  # Sockets are blocked, so the card cannot be read.
    with pytest.raises(EvenhandError, match="is gated: accept its terms"):
        snapshot(HubName("org/name"), ["*"], what="model")


@pytest.mark.parametrize("old", sorted(RETIRED))
def test_a_deleted_repository_is_answered_with_a_copy_and_never_replaced(monkeypatch, tmp_path, old):
    use_cache(monkeypatch, tmp_path)
    with pytest.raises(EvenhandError, match=f"deleted from the hub by the owner; use '{RETIRED[old]}'"):
        snapshot(HubName(old), ["*"], what="model")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "config.json").write_text("{}")
    put_in_cache(tmp_path, old, tmp_path / "kept")
    assert (snapshot(HubName(old), ["*"], what="model") / "config.json").is_file()


def test_weights_of_judges_can_be_pinned(monkeypatch, tmp_path):
    use_cache(monkeypatch, tmp_path / "cache")
    for commit, refs in ((COMMIT, ("v1",)), (OTHER_COMMIT, ("main",))):
        (tmp_path / commit).mkdir()
        (tmp_path / commit / "config.json").write_text(commit)
        put_in_cache(tmp_path / "cache", "org/judge", tmp_path / commit, commit=commit, refs=refs)
    assert (hub_folder("org/judge@v1") / "config.json").read_text() == COMMIT
    assert (hub_folder("org/judge") / "config.json").read_text() == OTHER_COMMIT
