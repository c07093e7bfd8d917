"""External images are exported to annotators and their labels imported as anchors, through the commands."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from helpers.audit import people
from helpers.humans import an_annotator

from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.results.result import Result
from evenhand.bench.stages.resources import load_confusion
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.suites.suite import load_suite

JUDGES = ("--judge", "clip-s", "--judge", "clip-xs", "--judge", "vit")
EXPORT = ("--n", 80, "--explicit", 0, "--min-per-group", 3)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The folder of the images, their list, the truth by file, and the audited run."""
    from evenhand.bench.audit import audit

    home = tmp_path_factory.mktemp("elsewhere")
    listed, truth = people(home / "images")
    listed.to_csv(home / "prompts.csv", index=False)
    audit(home / "images", prompts=home / "prompts.csv", judges=JUDGES[1::2], out=home / "run")
    return home, truth


@pytest.fixture
def run(world, tmp_path):
    """A copy of the audited run, and the truth by key."""
    home, truth = world
    folder = shutil.copytree(home / "run", tmp_path / "run")
    table = RunFolder(folder).image_table.read()
    keys = dict(zip(table["file"], table["key"], strict=True))
    return folder, {keys[file]: cell for file, cell in truth.items()}


@pytest.fixture
def key(evenhand, run, tmp_path):
    """The key of an export of the run."""
    outcome = evenhand("annotate", "export", run[0], "--out", tmp_path / "out", *EXPORT)
    assert (outcome.code, outcome.err) == (0, "")
    (path,) = (run[0] / "annotation").glob("*.csv")
    return pd.read_csv(path, dtype=str, keep_default_na=False)


@pytest.fixture
def answers(key, run, tmp_path):
    """The annotation files of three people with few errors."""
    paths = []
    for seed, name in enumerate(("ann", "bo", "cy")):
        path = tmp_path / f"{name}.csv"
        an_annotator(name, key, run[1], error=0.03, seed=seed).to_csv(path, index=False)
        paths.append(path)
    return paths


def by_file(truth, path, **changes):
    """An anchor file that names images as their list does."""
    rows = [(file, name, group) for file, cell in truth.items() for name, group in cell.items()]
    table = pd.DataFrame(rows, columns=["file", "attribute", "label"]).assign(**changes)
    table.to_csv(path, index=False)
    return path


def one_line(outcome, text):
    assert (outcome.code, outcome.out) == (2, "")
    assert text in outcome.err and outcome.err.count("\n") == 1


@pytest.mark.slow
def test_the_models_of_the_list_are_strata_of_the_export(key):
    assert {stratum.split("/")[1] for stratum in key["stratum"]} == {"red", "blue"}
    assert {stratum.split("/")[0] for stratum in key["stratum"]} == {"female", "male"}


@pytest.mark.slow
def test_imported_labels_become_anchors_that_correct_the_audit(evenhand, world, run, answers):
    outcome = evenhand("annotate", "import", *answers, "--run", run[0])
    assert (outcome.code, outcome.err) == (0, "")
    anchors = run[0] / "tables" / "anchors.csv"
    labels = pd.read_csv(anchors, keep_default_na=False)
    right = [run[1][row.key][row.attribute] == row.label for row in labels.itertuples() if row.label]
    assert len(right) > 200 and np.mean(right) > 0.97
    home, _ = world
    command = ("audit", home / "images", "--prompts", home / "prompts.csv", *JUDGES, "--out", run[0])
    outcome = evenhand(*command, "--anchors", anchors, "--name", "images")
    assert outcome.code == 0, outcome.err
    assert "corrected with anchors" in outcome.err and "weighted by the probability" in outcome.err
    result = Result.load(run[0] / "results" / "red.json")
    assert result.estimate("rms_delta", attributes="gender", corrected=True) is not None


@pytest.mark.slow
def test_audit_calibration_accepts_anchors_by_file_or_by_key(evenhand, world, run, tmp_path):
    files = by_file(world[1], tmp_path / "files.csv")
    table = RunFolder(run[0]).image_table.read()
    keys = pd.read_csv(files).assign(key=lambda rows: rows["file"].map(table.set_index("file")["key"]))
    keys.drop(columns="file").to_csv(tmp_path / "keys.csv", index=False)
    found = []
    for name in ("files", "keys"):
        out = tmp_path / f"{name}-table.csv"
        outcome = evenhand("calibrate", run[0], "--anchors", tmp_path / f"{name}.csv", "--out", out, "--json")
        assert outcome.code == 0, outcome.err
        found.append(load_confusion(str(out)))
    pd.testing.assert_frame_equal(*found)
    strata = {row["strata"]: set(row["n"]) for row in json.loads(outcome.out)["carried"]}
    assert strata["model"] == {"red", "blue"} and strata["stereotype"] == {"female", "male"}


@pytest.mark.slow
def test_the_judge_report_repeats_labels_and_gives_reasons_for_missing_values(evenhand, world, run, tmp_path):
    anchors, path = by_file(world[1], tmp_path / "anchors.csv"), tmp_path / "judges.csv"
    command = (
        "calibrate",
        run[0],
        "--anchors",
        anchors,
        "--out",
        tmp_path / "table.csv",
        "--judge-report",
        path,
    )
    outcome = evenhand(*command)
    assert outcome.code == 0, outcome.err
    table = pd.read_csv(path, comment="#", keep_default_na=False)
    table["value"] = pd.to_numeric(table["value"])
    assert outcome.out.splitlines()[-1].startswith(f"judge report: {path} ({len(table)} rows: ")
    assert (table["value"].isna() == (table["reason"] != "")).all()

    def row(quantity, judge="clip-s", attribute="gender", group="", within=""):
        about = {"quantity": quantity, "judge": judge, "attribute": attribute}
        about |= {"group": group, "within": within}
        (found,) = table[(table[list(about)] == pd.Series(about)).all(axis=1)].to_dict("records")
        return found

    assert row("crop_sensitivity")["reason"] == "the judge sees its images in one crop only"
    assert row("text_spread", judge="vit")["reason"].startswith("the judge uses no texts")
    assert row("order_sensitivity", judge="panel")["reason"].startswith("does not apply to the panel")
    work, judge = RunFolder(run[0]), load_judge("clip-s")
    images = np.stack([work.images.get(key)[0] for key in run[1]])
    choices = judge.variants(images)["text"]
    women = [(choice["gender"].probabilities.argmax(axis=1) == 0).mean() for choice in choices]
    spread = row("text_spread", group="woman")
    assert spread["value"] == pytest.approx(np.std(women, ddof=1), abs=1e-5) and spread["claim"] == "yes"
    truth = np.array([cell["gender"] for cell in run[1].values()])
    labels = work.labels.read()
    own = labels[(labels["judge"] == "clip-s") & (labels["attribute"] == "gender")].set_index("key")
    said = own["label"].loc[list(run[1])].to_numpy()
    recall = row("recall", group="woman")
    assert recall["value"] == pytest.approx((said == "woman")[(truth == "woman") & (said != "")].mean())
    result = Result.load(run[0] / "results" / "red.json")
    for found in result.agreement:
        if found.statistic == "krippendorff_alpha":
            same = row(found.statistic, judge=found.judges, attribute=found.attribute)
            assert same["value"] == pytest.approx(found.value, abs=1e-5) and same["n"] == found.n
    kappas = table[(table["quantity"] == "cohen_kappa") & (table["attribute"] == "gender")]
    assert set(kappas["judge"]) == {"clip-s*clip-xs", "clip-s*vit", "clip-xs*vit"}
    assert {"model=red", "model=blue", "stereotype=male", "majority=woman"} <= set(
        table.loc[table["quantity"] == "fleiss_kappa", "within"]
    )


@pytest.mark.slow
def test_a_judge_with_missing_weights_is_audited_from_its_labels_with_a_note(
    evenhand, world, run, tmp_path, monkeypatch
):
    from evenhand.bench.mini import judges

    anchors, path = by_file(world[1], tmp_path / "anchors.csv"), tmp_path / "judges.csv"
    monkeypatch.setattr(judges, "ROOT", tmp_path / "gone")
    judges.clip_xs.cache_clear()
    command = (
        "calibrate",
        run[0],
        "--anchors",
        anchors,
        "--out",
        tmp_path / "table.csv",
        "--judge-report",
        path,
    )
    outcome = evenhand(*command)
    judges.clip_xs.cache_clear()
    assert outcome.code == 0, outcome.err
    table = pd.read_csv(path, comment="#", keep_default_na=False)
    own = table[table["judge"] == "clip-xs"]
    reason = own.loc[own["quantity"] == "text_spread", "reason"].iloc[0]
    assert reason.startswith("the judge cannot be loaded: ") and "gone" in reason
    assert (own.loc[own["quantity"] == "accuracy", "value"] != "").all()


@pytest.mark.slow
def test_a_file_that_is_not_an_image_is_neither_exported_nor_an_anchor(evenhand, world, tmp_path):
    home, truth = world
    folder = shutil.copytree(home / "images", tmp_path / "images")
    lost = next(iter(truth))
    (folder / lost).write_text("dear")
    command = ("audit", folder, "--prompts", home / "prompts.csv", *JUDGES, "--out", tmp_path / "run")
    outcome = evenhand(*command)
    assert outcome.code == 3 and f"{lost!r} is not a PNG, JPEG or WebP" in outcome.err
    outcome = evenhand("annotate", "export", tmp_path / "run", "--out", tmp_path / "out", *EXPORT)
    assert outcome.code == 0, outcome.err
    (path,) = (tmp_path / "run" / "annotation").glob("*.csv")
    table = RunFolder(tmp_path / "run").image_table.read().set_index("file")
    assert table.loc[lost, "key"] not in set(pd.read_csv(path)["key"])
    anchors = by_file({lost: truth[lost]}, tmp_path / "anchors.csv")
    calibrate = ("calibrate", tmp_path / "run", "--anchors", anchors, "--out", tmp_path / "table.csv")
    one_line(evenhand(*calibrate), f":2: file {lost!r} is not an image of people that was judged")


ANCHOR_FAULTS = {
    "file,attribute,label\n": "no rows after the header",
    "file,attribute,label\nnone.png,gender,woman\n": ":2: file 'none.png' is not an image of people",
    "file,attribute,label\n{file},gender,wommen\n": "did you mean 'woman'",
    "file,attribute,label\n{file},race,White\n": "unknown attribute 'race'",
    "file,attribute,label\n{file},gender,\n": "none of 1 anchors has a label",
    "file,attribute,label,probability\n{file},gender,woman,0\n": "above 0 and at most 1",
}


@pytest.mark.slow
@pytest.mark.parametrize("text", ANCHOR_FAULTS)
@pytest.mark.parametrize("command", ["calibrate", "audit"])
def test_invalid_anchors_of_an_audit_are_a_one_line_error(evenhand, world, run, tmp_path, command, text):
    home, truth = world
    path, out = tmp_path / "anchors.csv", tmp_path / "table.csv"
    path.write_text(text.format(file=next(iter(truth))))
    before = sorted(file.name for file in (run[0] / "results").iterdir())
    if command == "calibrate":
        outcome = evenhand(
            "calibrate", run[0], "--anchors", path, "--out", out, "--judge-report", tmp_path / "a.csv"
        )
        assert not out.exists() and not (tmp_path / "a.csv").exists()
    else:
        options = ("--prompts", home / "prompts.csv", *JUDGES, "--name", "images", "--out", run[0])
        outcome = evenhand("audit", home / "images", *options, "--anchors", path)
    assert outcome.code == 2 and ANCHOR_FAULTS[text] in outcome.err.splitlines()[-1]
    assert "Traceback" not in outcome.err
    assert sorted(file.name for file in (run[0] / "results").iterdir()) == before


@pytest.mark.slow
def test_a_singular_matrix_is_not_used_and_the_reason_is_reported(evenhand, world, run, tmp_path):
    home, truth = world
    table = RunFolder(run[0]).image_table.read().set_index("file")
    labels = RunFolder(run[0]).labels.read()
    own = labels[(labels["judge"] == "clip-s") & (labels["attribute"] == "gender")].set_index("key")["label"]
    said = [own.loc[table.loc[file, "key"]] for file in truth]
    # Half of the labels of each group are wrong, so the judge's labels carry no information.
    flip = pd.Series(said).groupby(said).cumcount() % 2 == 1
    shown = np.where(flip, np.where(np.array(said) == "woman", "man", "woman"), said)
    path = tmp_path / "anchors.csv"
    pd.DataFrame({"file": list(truth), "attribute": "gender", "label": shown}).to_csv(path, index=False)
    outcome = evenhand("calibrate", run[0], "--anchors", path, "--out", tmp_path / "table.csv")
    assert outcome.code == 0 and "not corrected: " in outcome.out
    options = ("--prompts", home / "prompts.csv", "--judge", "clip-s", "--out", tmp_path / "alone")
    outcome = evenhand("audit", home / "images", *options, "--anchors", path)
    assert outcome.code == 0, outcome.err
    result = Result.load(tmp_path / "alone" / "results" / "red.json")
    assert result.estimate("rms_delta", attributes="gender", corrected=True) is None
    assert result.estimate("rms_delta", attributes="gender", corrected=False) is not None
    assert any("not corrected" in note for note in result.notes)


@pytest.mark.slow
def test_invalid_annotations_of_an_audit_are_a_one_line_error_and_write_nothing(evenhand, key, run, tmp_path):
    header, image = "image_id,annotator_id,attribute,label", key["image_id"][0]
    for text, message in {
        f"{header}\nnowhere,ann,gender,man\n": "line 2: image 'nowhere' is not in",
        f"{header}\n{image},ann,gender,alien\n": "line 2: unknown label of gender 'alien'",
        f"{header}\n{image},ann,gender,man\n": "the checks leave out every annotator",
        f"{header}\n": "no annotations found",
    }.items():
        (tmp_path / "bad.csv").write_text(text)
        one_line(evenhand("annotate", "import", tmp_path / "bad.csv", "--run", run[0]), message)
    assert not (run[0] / "tables" / "anchors.csv").exists()


def test_a_folder_that_is_not_an_audit_is_an_error(evenhand, tmp_path):
    (tmp_path / "images").mkdir()
    where = tmp_path / "images"
    one_line(evenhand("annotate", "export", where, "--out", tmp_path / "o"), "is not a run")
    one_line(
        evenhand("calibrate", where, "--anchors", tmp_path / "a", "--out", tmp_path / "b"), "is not a run"
    )


def test_annotations_of_a_run_without_judged_images_are_an_error(evenhand, tmp_path):
    RunFolder(tmp_path).initialize(load_suite("mini"))
    answers = tmp_path / "answers.csv"
    answers.write_text("image_id,annotator_id,attribute,label,confidence\na,ann,gender,woman,3\n")
    outcome = evenhand("annotate", "import", answers, "--run", tmp_path)
    one_line(outcome, "run has no judged images; run the same `evenhand run` command again")
