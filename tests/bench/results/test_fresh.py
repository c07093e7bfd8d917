"""An outcome on fresh noise: what counts as complete, agreeing and suspicious."""

import hashlib
import json

import pytest
from helpers.fresh import SALT, STEERED, a_fresh, a_gap, an_agreement
from helpers.report import a_result

from evenhand.bench.policy.bands import band_on_board
from evenhand.bench.results.entry import Entry, MethodSource, submission_digest
from evenhand.bench.results.fresh import commitment_of

BASE, MIST = (a_result(name, concepts=["nurse"]) for name in ("base", "mist"))


@pytest.mark.parametrize(
    ("low", "high", "agrees", "flattered"),
    [(-0.1, 0.1, True, False), (0.01, 0.1, False, True), (-0.1, -0.01, False, False)],
)
def test_submission_agrees_if_the_interval_contains_zero(low, high, agrees, flattered):
    found = an_agreement(low=low, high=high)
    assert (found.agrees, found.flattered) == (agrees, flattered)
    nothing = an_agreement(low=float("nan"), high=float("nan"))
    assert not nothing.agrees and not nothing.flattered


def test_only_as_many_images_as_the_suite_plans_are_complete():
    assert a_fresh(MIST, BASE).complete
    assert not a_fresh(MIST, BASE, images=300).complete
    with pytest.raises(ValueError, match="images must be at most planned"):
        a_fresh(MIST, BASE, images=2000)


def test_tables_of_the_baseline_are_required():
    with pytest.raises(ValueError, match="tables of the baseline"):
        a_fresh(MIST, BASE, files={})


def test_commitment_is_the_hash_of_the_salt():
    assert a_fresh(MIST, BASE).commitment == commitment_of(SALT) == hashlib.sha256(SALT.encode()).hexdigest()


def test_voting_family_that_alone_sees_an_improvement_takes_the_rank():
    fresh = a_fresh(MIST, BASE, gaps=[a_gap(), a_gap(**STEERED)])
    given = {"evidence": "verified on fresh noise", "fresh": fresh, "is_base": False}
    assert band_on_board([], **given) == (
        "disputed",
        "only supervised judges see an effect (skin tone)",
    )
    for gaps in ([a_gap()], [a_gap(**STEERED, votes=False)]):
        honest = given | {"fresh": a_fresh(MIST, BASE, gaps=gaps)}
        assert band_on_board([], **honest) == ("ranked", "")


def test_identity_of_a_submission_covers_what_a_submitter_chooses_and_not_the_numbers():
    entry = Entry(result=MIST, files={"images.parquet": "00" * 32})
    own = submission_digest(entry)
    assert (
        submission_digest(entry.model_copy(update={"result": MIST.model_copy(update={"losses": []})})) == own
    )
    for part in ({"files": {"images.parquet": "11" * 32}}, {"result": BASE}):
        assert submission_digest(entry.model_copy(update=part)) != own


def test_entry_without_a_source_keeps_the_bytes_of_earlier_versions():
    assert "source" not in json.loads(Entry(result=MIST).to_json())
    stated = MethodSource(package="p", version="1", digest="00" * 32, address="https://p")
    text = Entry(result=MIST, source=stated).to_json()
    assert Entry.model_validate_json(text).source == stated
