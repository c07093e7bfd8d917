"""Labels made from nothing pass the check; the numbers on fresh noise are published instead."""

import json
import secrets
import shutil

import minisign
import pytest
from helpers.entry import METHODS, change, rewrite, small_entries, small_run

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.build import board_rows
from evenhand.bench.leaderboard.check import check_entries
from evenhand.bench.leaderboard.remeasure import remeasure
from evenhand.bench.leaderboard.tables import Tables
from evenhand.bench.leaderboard.verification.commitment import commit
from evenhand.bench.leaderboard.verification.fresh import Options, check_options, verify_fresh
from evenhand.bench.leaderboard.verification.signed import sign_outcome
from evenhand.reports.leaderboard.evidence import fresh_texts
from evenhand.reports.leaderboard.markdown import render_leaderboard

BASE, MIST, RANDOM = (f"{name}@small-v1" for name in METHODS)


GROUPS = {"gender": ("woman", "man"), "tone": ("light", "medium", "dark"), "age": ("adult", "older")}


def evenly_labelled(own):
    """The tables with labels that show every group equally often; the images do not matter."""
    place = {key: number for number, key in enumerate(own.images["key"])}
    labels = own.labels.copy()
    for row in labels.index:
        groups = GROUPS[labels.at[row, "attribute"]]
        chosen = groups[place[labels.at[row, "key"]] % len(groups)]
        labels.at[row, "probabilities"] = [float(group == chosen) for group in groups] + [0.0]
        labels.at[row, "label"], labels.at[row, "status"] = chosen, "ok"
    return Tables(own.images, labels.assign(confidence=1.0))


@pytest.fixture(scope="module")
def forged(tmp_path_factory):
    """Entries of which that of MIST has invented labels, and the numbers that follow from them."""
    folder = tmp_path_factory.mktemp("forged")
    entries = shutil.copytree(small_entries(), folder / "entries")
    rewrite(entries / MIST, evenly_labelled)
    remeasure(entries)
    return entries


@pytest.fixture(scope="module")
def verified(forged):
    """The same after a maintainer has drawn the method on fresh noise and signed; with the outcome."""
    folder = forged.parent
    with pytest.MonkeyPatch.context() as patch:
        # The same noise in every run of the tests, because the distance of so few images is chance.
        patch.setattr(secrets, "token_hex", lambda size: "5a" * size)
        commit([forged / MIST], salt=folder / "salt", holdout=["clip-weak"])
    options = Options(run=small_run(), holdout=["clip-weak"], work=folder / "work")
    found = verify_fresh(forged / MIST, salt=folder / "salt", options=options)
    pair = minisign.KeyPair.generate()
    (folder / "key").write_bytes(bytes(pair.secret_key))
    (folder / "maintainers").mkdir()
    (folder / "maintainers" / "one.pub").write_bytes(bytes(pair.public_key))
    sign_outcome(forged / MIST / "fresh.json", key=folder / "key")
    return found


def rows(entries):
    return {row.label: row for row in board_rows(entries, maintainers=entries.parent / "maintainers")}


def distance(result):
    (found,) = {
        row.value
        for row in result.estimates
        if (row.metric, row.attributes, row.judge, row.concept, row.group, row.corrected, row.kind)
        == ("rms_delta", "gender", "panel", "", "", False, "neutral")
    }
    return found


@pytest.mark.slow
def test_invented_labels_pass_the_check_but_not_fresh_noise(forged, verified):
    submitted = json.loads((forged / MIST / "entry.json").read_text())["result"]["estimates"]
    stated = [r["value"] for r in submitted if (r["metric"], r["attributes"]) == ("rms_delta", "gender")]
    assert min(stated) < 0.2 < distance(verified.result)
    valid, faults = check_entries(forged, maintainers=forged.parent / "maintainers")
    assert faults == [] and [one.evidence for one in valid] == [
        "recomputed",
        "verified on fresh noise",
        "recomputed",
    ]


@pytest.mark.slow
def test_published_numbers_are_those_on_fresh_noise(forged, verified):
    row = rows(forged)["mist"]
    assert row.evidence == "verified on fresh noise" and row.fresh is not None
    # As text, because a missing number differs from itself.
    assert row.fresh.model_dump_json() == verified.model_dump_json()
    assert row.result.to_json() == verified.result.to_json()
    page = render_leaderboard(list(rows(forged).values()))
    assert "[verified on fresh noise](" in next(
        line for line in page.splitlines() if line.startswith("| [mist](")
    )


@pytest.mark.slow
def test_outcome_states_salt_size_and_held_back_judges(verified):
    said = ". ".join(fresh_texts(verified))
    assert verified.complete and verified.images == verified.planned
    assert f"all {verified.images} images" in said and verified.salt in said
    assert "not fitted again: its submitted intervention was used" in said
    assert "Held-back judges: clip-weak" in said


@pytest.mark.slow
def test_anybody_can_repeat_it_with_the_revealed_salt(forged, verified, tmp_path):
    again = shutil.copytree(forged, tmp_path / "entries")
    shutil.copytree(forged.parent / "commitments", tmp_path / "commitments")
    (tmp_path / "salt").write_text(verified.salt)
    options = Options(run=small_run(), holdout=["clip-weak"], work=forged.parent / "work")
    repeated = verify_fresh(again / MIST, salt=tmp_path / "salt", options=options)
    assert repeated.model_dump_json() == verified.model_dump_json()


@pytest.mark.slow
def test_numbers_on_fresh_noise_are_recomputed_from_their_tables(forged, verified, tmp_path):
    entries = shutil.copytree(forged, tmp_path / "entries")
    for name in ("commitments", "maintainers"):
        shutil.copytree(forged.parent / name, tmp_path / name)
    data = json.loads((entries / MIST / "fresh.json").read_text())
    row = next(row for row in data["result"]["estimates"] if row["metric"] == "rms_delta")
    row["value"] -= 0.1
    (entries / MIST / "fresh.json").write_text(json.dumps(data))
    sign_outcome(entries / MIST / "fresh.json", key=forged.parent / "key")
    (fault,) = check_entries(entries, maintainers=tmp_path / "maintainers")[1]
    assert "fresh.json" in str(fault) and "its labels give" in str(fault)


@pytest.mark.slow
def test_salt_of_another_entry_or_of_an_edited_one_is_refused(forged, verified, tmp_path):
    salt = forged.parent / "salt"
    with pytest.raises(EvenhandError, match="as it is now"):
        verify_fresh(forged / RANDOM, salt=salt, options=Options(holdout=["clip-weak"]))
    entries = shutil.copytree(forged, tmp_path / "entries")
    shutil.copytree(forged.parent / "commitments", tmp_path / "commitments")
    change(entries / MIST, result__spec__method__parameters={"unused": "lucky"})
    with pytest.raises(EvenhandError, match="as it is now"):
        verify_fresh(entries / MIST, salt=salt, options=Options(holdout=["clip-weak"]))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fresh": True}, "--fresh needs --salt"),
        ({"fresh": True, "salt": "s", "seed": 1}, "--seed cannot be combined with --fresh"),
        ({"salt": "s"}, "need --fresh"),
        ({"holdout": ["vit"]}, "need --fresh"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(options, words):
    fields = {"fresh": False, "salt": None, "seed": None, "holdout": [], "work": None}
    with pytest.raises(EvenhandError, match=words):
        check_options(**fields | options)
