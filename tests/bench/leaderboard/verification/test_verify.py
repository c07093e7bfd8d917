"""``evenhand board verify``: a sample is regenerated, and images or labels that do not match are detected."""

import json
import shutil

import numpy as np
import pytest
from helpers.entry import METHODS, change, rewrite, small_entries, small_run, without_files
from helpers.verification import A_VERIFICATION, AN_ANSWER

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.check import check_entries
from evenhand.bench.leaderboard.site import build_site
from evenhand.bench.leaderboard.tables import Tables
from evenhand.bench.leaderboard.verification.verify import verify
from evenhand.bench.results.entry import TOLERATED, Answers, Verification
from evenhand.methods.activations.efa import Efa
from evenhand.reports.leaderboard.evidence import verification_text

BASE, MIST, RANDOM = (f"{name}@small-v1" for name in METHODS)


@pytest.fixture
def entries(tmp_path):
    return shutil.copytree(small_entries(), tmp_path / "entries")


def refused(entry, **options):
    """The one-line error of a failed verification; nothing is recorded."""
    with pytest.raises(EvenhandError) as fault:
        verify(entry, **{"images": 16, "seed": 3, **options})
    assert "\n" not in str(fault.value)
    assert not (entry / "verification.json").exists()
    return str(fault.value)


@pytest.mark.slow
def test_an_entry_from_this_machine_is_verified_bit_for_bit_and_shown(evenhand, entries, tmp_path, keys):
    outcome = evenhand("board", "verify", entries / MIST, "--images", "16", "--seed", "3")
    assert outcome.code == 0, outcome.err
    said = outcome.out.replace("\n", " ")
    assert "16 of 16 regenerated images have the same bytes" in said
    assert "the intervention was refitted on cpu" in said
    assert "With 95% confidence, at most 17.1% of its images differ" in said
    found = Verification.model_validate_json((entries / MIST / "verification.json").read_text())
    assert {row.name for row in found.answers} > {"vit, gender", "alignment", "preservation_distance"}
    assert max(row.furthest for row in found.answers) == 0

    outcome = evenhand("board", "check", "--entries", entries)
    assert outcome.out.endswith("are valid: 3 recomputed\n"), "redrawing its own noise lifts no row"
    assert f"{MIST}: recomputed; verification.json is ignored: it is not signed" in outcome.out
    (tmp_path / "maintainers").mkdir()
    shutil.copy(keys[1], tmp_path / "maintainers" / "one.pub")
    outcome = evenhand("board", "sign", entries / MIST / "verification.json", "--key", keys[0])
    assert outcome.code == 0, outcome.err
    known = ("--maintainers", tmp_path / "maintainers")
    assert f"{MIST}: recomputed\n" in evenhand("board", "check", "--entries", entries, *known).out
    build_site(entries, tmp_path / "site", maintainers=tmp_path / "maintainers")
    method = (tmp_path / "site" / "small-v1" / "mist.html").read_text()
    assert verification_text(found).split(". ")[1] in method


@pytest.mark.slow
def test_the_intervention_of_the_run_is_used_without_fitting(entries):
    found = verify(entries / MIST, images=4, run=small_run())
    assert (found.fitted, found.same_intervention, found.same_bytes) == (False, True, True)
    assert "taken from the submitted run" in verification_text(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"run": "nowhere"}, "no intervention found"),
        ({"intervention": "of-another-method"}, "but Mist makes"),
        ({"images": 0}, "--images must be a positive integer"),
        ({"run": "one", "intervention": "other"}, "--run and --intervention cannot be combined"),
    ],
)
def test_a_missing_or_wrong_intervention_is_a_one_line_error(entries, tmp_path, options, words):
    there = small_run() / "interventions" / "random-attribute-prompt"
    shutil.copytree(there, tmp_path / "of-another-method")
    paths = {name: tmp_path / value if isinstance(value, str) else value for name, value in options.items()}
    assert words in refused(entries / MIST, **paths)


@pytest.mark.slow
def test_an_intervention_from_another_fit_is_rejected(entries):
    change(entries / MIST, result__spec__method__intervention="ab" * 32)
    assert "that of the entry is abababababab" in refused(entries / MIST, run=small_run())


@pytest.mark.slow
def test_without_tables_there_is_nothing_to_verify(entries):
    without_files(entries / MIST)
    assert "has no tables" in refused(entries / MIST)


@pytest.mark.slow
def test_labels_that_differ_for_the_same_image_are_detected(entries):
    def flatter(own):
        labels = own.labels.copy()
        rows = labels.index[(labels["judge"] == "vit") & (labels["attribute"] == "gender")]
        for row in rows[::4]:
            woman = labels.at[row, "label"] != "woman"
            labels.at[row, "label"] = "woman" if woman else "man"
            labels.at[row, "probabilities"] = [0.9, 0.1, 0.0] if woman else [0.1, 0.9, 0.0]
            labels.at[row, "status"] = "ok"
        return Tables(own.images, labels)

    rewrite(entries / RANDOM, flatter)
    said = refused(entries / RANDOM)
    assert "Identical pixels gave different answers" in said and "vit, gender" in said


@pytest.mark.slow
@pytest.mark.parametrize("column", ["alignment", "preservation_distance"])
def test_scores_that_differ_for_the_same_image_are_detected(entries, column):
    rewrite(
        entries / MIST,
        lambda own: Tables(own.images.assign(**{column: own.images[column] + 1}), own.labels),
    )
    said = refused(entries / MIST, run=small_run())
    assert "Identical pixels gave different answers" in said and column in said


def other_bits(own):
    """The tables as from another machine: every image differs in the last bits, hardly any label does."""
    return Tables(own.images.assign(pixels=["cd" * 32] * len(own.images)), own.labels)


@pytest.mark.slow
def test_differences_in_the_last_bits_are_reported_but_not_an_error(entries):
    rewrite(entries / RANDOM, other_bits)
    found = verify(entries / RANDOM, images=16, seed=3)
    assert (found.same_images, found.same_bytes) == (0, False)
    assert "0 of 16 regenerated images have the same bytes" in verification_text(found)
    assert "Images differ only as between two machines" in verification_text(found)


@pytest.mark.slow
def test_images_of_a_fairer_method_under_another_name_are_detected(entries):
    for name in ("images.parquet", "labels.parquet"):
        shutil.copy(entries / RANDOM / name, entries / MIST / name)
    files = json.loads((entries / RANDOM / "entry.json").read_text())["files"]
    change(entries / MIST, files=files)
    said = refused(entries / MIST, run=small_run())
    assert f"More than one answer in {TOLERATED} differs" in said or "Identical pixels" in said


@pytest.mark.slow
def test_an_image_that_did_not_fail_cannot_be_reported_as_failed(entries):
    def drop(own):
        wanted = own.images["concept"] == "CEO"
        images = own.images.copy()
        images.loc[wanted, "status"], images.loc[wanted, "pixels"] = "error", ""
        images.loc[wanted, ["alignment", "preservation_distance"]] = np.nan
        kept = set(images.loc[~wanted, "key"])
        return Tables(images, own.labels[own.labels["key"].isin(kept)])

    rewrite(entries / RANDOM, drop)
    assert "has the status 'ok' here, but 'error' in the entry" in refused(entries / RANDOM, images=60)


@pytest.mark.slow
def test_an_unregistered_judge_described_by_the_entry_is_not_loaded(entries):
    card = {"name": "time", "parameters": {"judge": "open-clip:weights=/etc/passwd"}}
    change(entries / MIST, **{f"result__spec__method__{name}": value for name, value in card.items()})
    assert "parameters come from the untrusted entry" in refused(entries / MIST)


@pytest.mark.slow
def test_a_network_that_the_entry_names_is_not_loaded(entries):
    card = {"name": "efa", "version": Efa.info.version, "parameters": {"segmenter": "some/model"}}
    change(entries / MIST, **{f"result__spec__method__{name}": value for name, value in card.items()})
    assert "loads some/model, which the untrusted entry names" in refused(entries / MIST)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"result__spec__method__version": "9"}, "verify with that version"),
        ({"result__spec__method__parameters": {"no": 1}}, "rejects the parameters of the entry"),
        ({"result__spec__model_revision": "00" * 32}, "verify where this revision is installed"),
        ({"result__spec__suite_digest": "00" * 32}, "is not registered here"),
    ],
    ids=["method", "parameters", "model", "suite"],
)
def test_an_error_names_what_is_not_installed(entries, changes, words):
    change(entries / MIST, **changes)
    assert words in refused(entries / MIST)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (json.dumps(A_VERIFICATION), "of another version of the entry"),
        (json.dumps(A_VERIFICATION | {"same_images": 61}), "is not valid"),
        (json.dumps(A_VERIFICATION | {"seed": "1"}), "seed must be an integer, got '1'"),
        (json.dumps(A_VERIFICATION | {"entry": "<script>", "more": 1}), "does not have the required form"),
        ("[" * 100_000, "cannot be read"),
        ('{"seed": NaN}', "cannot be read"),
        (" " * 100_000, "cannot be read"),
    ],
    ids=["stale", "too many", "text", "more", "deep", "nan", "large"],
)
def test_a_verification_file_is_read_as_untrusted_input(entries, text, words):
    (entries / MIST / "verification.json").write_text(text)
    (fault,) = check_entries(entries, recompute=False)[1]
    assert words in str(fault) and MIST in str(fault) and "\n" not in str(fault)


def sample(**changes):
    row = Answers.model_validate({**AN_ANSWER, **changes.pop("answer", {})})
    return Verification.model_validate({**A_VERIFICATION, "answers": [row], **changes})


@pytest.mark.parametrize(
    ("changes", "agrees"),
    [
        ({}, True),
        ({"answer": {"contradicted": 1}}, False),
        ({"same_images": 0, "answer": {"other": 2}}, True),
        ({"same_images": 0, "answer": {"other": 3}}, False),
        ({"same_images": 0, "images": 20, "answer": {"asked": 20, "other": 1}}, False),
        ({"answers": []}, False),
    ],
)
def test_a_sample_agrees_if_nothing_is_contradicted_and_few_answers_differ(changes, agrees):
    assert sample(**changes).agrees is agrees


@pytest.mark.slow
def test_submitting_again_removes_the_verification(entries, tmp_path):
    from evenhand.bench.leaderboard.submit import submit

    verify(entries / RANDOM, images=2, run=small_run())
    submit(small_run(), entries)
    assert not (entries / RANDOM / "verification.json").exists()
