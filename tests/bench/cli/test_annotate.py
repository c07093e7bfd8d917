"""``evenhand annotate export`` and ``import``: imported labels become judges and anchors."""

import csv
import json
import shutil

import krippendorff
import numpy as np
import pandas as pd
import pytest
from helpers.humans import a_run, an_annotator
from PIL import Image
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats import inter_rater

from evenhand.bench.cli.main import main
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics.correction.calibration import CONFUSION_COLUMNS
from evenhand.metrics.estimation.anchors import confusion_from_anchors
from evenhand.metrics.table import LABEL_COLUMNS

pytestmark = pytest.mark.slow

EXPORT = ("--n", 90, "--explicit", 20, "--min-per-group", 3)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run and its truth."""
    folder = tmp_path_factory.mktemp("humans") / "run"
    return folder, a_run(folder)


@pytest.fixture
def run(made, tmp_path):
    """A copy of the run, and its truth."""
    return shutil.copytree(made[0], tmp_path / "run"), made[1]


@pytest.fixture(scope="module")
def exported(made, tmp_path_factory):
    """A folder with a copy of the run and an export of it, to be copied."""
    folder = tmp_path_factory.mktemp("exported")
    shutil.copytree(made[0], folder / "run")
    with pytest.raises(SystemExit) as stop:
        main(list(map(str, ("annotate", "export", folder / "run", "--out", folder / "out", *EXPORT))))
    assert not stop.value.code
    return folder


@pytest.fixture
def key(exported, run, tmp_path):
    """The key of an export of the run."""
    shutil.copytree(exported / "run", run[0], dirs_exist_ok=True)
    shutil.copytree(exported / "out", tmp_path / "out")
    return read_key(run[0])


def read_key(folder):
    (path,) = (
        p for p in (folder / "annotation").glob("*.csv") if p.name not in ("annotations.csv", "agreement.csv")
    )
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def answers(tmp_path, run, key, **annotators):
    """Annotation files of annotators with these error rates."""
    paths = []
    for seed, (name, error) in enumerate(annotators.items()):
        path = tmp_path / f"{name}.csv"
        an_annotator(name, key, run[1], error=error, seed=seed).to_csv(path, index=False)
        paths.append(path)
    return paths


def test_an_export_writes_a_page_and_a_sheet_and_keeps_the_key(evenhand, run, tmp_path):
    outcome = evenhand("annotate", "export", run[0], "--out", tmp_path / "out", *EXPORT)
    assert outcome.code == 0
    key = read_key(run[0])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "annotate.html",
        "images",
        "sheet-words.csv",
        "sheet.csv",
    ]
    assert f"{len(key)} images, {(key['is_repeat'] == '1').sum()} shown twice, 0 gold" in outcome.out
    assert "key (keep it from annotators)" in outcome.out
    with (tmp_path / "out" / "sheet.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image_id"] for row in rows] == list(key["image_id"])
    for row in rows[:5]:
        with Image.open(tmp_path / "out" / row["thumbnail"]) as image:
            assert image.size == (64, 64) and not getattr(image, "text", {})
    handed = "".join(p.read_text() for p in (tmp_path / "out").rglob("*") if p.suffix in {".csv", ".html"})
    assert all(name not in handed for name in key["key"])


def test_sampling_probabilities_are_sample_size_over_stratum_size(key, run):
    from evenhand.bench.annotation.sample import strata_of

    frame = strata_of(RunFolder(run[0]), load_suite("mini"))
    assert len(frame) == len(run[1])
    sizes, drawn = frame.groupby("stratum").size(), key.groupby("stratum").size()
    assert set(drawn.index) == set(sizes.index)
    for row in key.itertuples():
        assert float(row.probability) == drawn[row.stratum] / sizes[row.stratum]
    assert {name.split("/")[0] for name in sizes.index} == {"female", "male", "explicit"}
    assert {name.split("/")[1] for name in sizes.index} == {"base", "debiased"}


def test_the_same_seed_draws_the_same_images(evenhand, key, run, tmp_path):
    again = evenhand("annotate", "export", run[0], "--out", tmp_path / "again", *EXPORT)
    assert again.code == 0
    assert (tmp_path / "again" / "annotate.html").read_bytes() == (
        tmp_path / "out" / "annotate.html"
    ).read_bytes()
    evenhand("annotate", "export", run[0], "--out", tmp_path / "other", *EXPORT, "--seed", 1)
    assert len(list((run[0] / "annotation").glob("*.csv"))) == 2


def test_imported_labels_become_judges_and_anchors_for_the_correction(evenhand, key, run, tmp_path):
    paths = answers(tmp_path, run, key, ann=0.03, bo=0.03, cy=0.05)
    outcome = evenhand("annotate", "import", *paths, "--run", run[0])
    assert (outcome.code, outcome.err) == (0, "")
    assert "gender: " in outcome.out and "(dawid-skene)" in outcome.out
    rows = pd.read_parquet(run[0] / "tables" / "human_labels.parquet")
    assert list(rows.columns) == list(LABEL_COLUMNS)
    assert set(rows["judge"]) == {"human:ann", "human:bo", "human:cy", "human:aggregate"}
    common = rows[(rows["judge"] == "human:aggregate") & (rows["status"] == "ok")]
    right = [run[1][row.key][row.attribute] == row.label for row in common.itertuples()]
    assert sum(right) / len(right) > 0.97
    anchors = pd.read_csv(run[0] / "tables" / "anchors.csv", dtype={"label": str}, keep_default_na=False)
    assert list(anchors.columns) == ["key", "attribute", "label", "probability"]
    suite = load_suite("mini")
    labels = RunFolder(run[0]).labels.read()
    table = confusion_from_anchors(labels, anchors, taxonomy=suite.taxonomy, members=suite.panel)
    assert list(table.columns) == list(CONFUSION_COLUMNS)
    assert {*suite.panel, "panel"} == set(table["judge"])


def test_an_import_does_not_change_the_labels_of_the_judges(evenhand, key, run, tmp_path):
    before = RunFolder(run[0]).labels.read()
    evenhand("annotate", "import", *answers(tmp_path, run, key, ann=0.03), "--run", run[0])
    pd.testing.assert_frame_equal(before, RunFolder(run[0]).labels.read())


def test_json_has_the_content_of_the_tables(evenhand, key, run, tmp_path):
    paths = answers(tmp_path, run, key, ann=0.03, bo=0.03, cy=0.05)
    found = json.loads(evenhand("annotate", "import", *paths, "--run", run[0], "--json").out)
    assert found["images"] == len(key)
    assert [check["reason"] for check in found["checks"]] == ["", "", ""]
    main = [line for line in found["agreement"] if not line["group"] and not line["within"]]
    people = {(line["attribute"], line["statistic"], line["cannot_tell"]): line["value"] for line in main}
    for statistic in ("krippendorff_alpha", "fleiss_kappa"):
        assert people["gender", statistic, "missing"] > 0.8 > people["gender", statistic, "answer"]
    assert {line["raters"] for line in found["agreement"]} == {
        "3 people",
        *load_suite("mini").panel,
        "panel",
    }


def codes_of_answers(run, attribute):
    """First annotations of the import, ``(people, images)``, and the images; "cannot tell" is ``K``."""
    table = pd.read_csv(run / "annotation" / "annotations.csv", dtype=str)
    table = table[(table["attribute"] == attribute) & (table["is_repeat"] == "False")]
    groups = [*load_suite("mini").taxonomy[attribute], "cannot_tell"]
    wide = table.assign(code=table["label"].map(groups.index)).pivot(
        index="annotator_id", columns="key", values="code"
    )
    return wide.to_numpy(), list(wide.columns)


def test_agreement_matches_other_implementations_by_group_and_stratum(evenhand, key, run, tmp_path):
    paths = answers(tmp_path, run, key, ann=0.05, bo=0.1, cy=0.1)
    outcome = evenhand("annotate", "import", *paths, "--run", run[0])
    assert "Fleiss' kappa" in outcome.out and "AC1" in outcome.out
    table = pd.read_csv(run[0] / "annotation" / "agreement.csv", keep_default_na=False)
    table["value"] = pd.to_numeric(table["value"])
    codes, keys = codes_of_answers(run[0], "gender")

    def value(statistic, *, cannot_tell="missing", group="", within="", raters="3 people"):
        about = {"statistic": statistic, "cannot_tell": cannot_tell, "group": group, "within": within}
        about |= {"raters": raters, "attribute": "gender"}
        (row,) = table[(table[list(about)] == pd.Series(about)).all(axis=1)].to_dict("records")
        return pytest.approx(row["value"], abs=1e-5)

    told = np.where(codes < 2, codes, np.nan).astype(float)
    assert krippendorff.alpha(told, level_of_measurement="nominal") == value("krippendorff_alpha")
    votes = (codes[..., None] == np.arange(3)).sum(axis=0)
    assert inter_rater.fleiss_kappa(votes) == value("fleiss_kappa", cannot_tell="answer")
    full = votes[(codes < 2).all(axis=0)][:, :2]
    assert inter_rater.fleiss_kappa(full) == value("fleiss_kappa")
    images = RunFolder(run[0]).image_table.read().drop_duplicates("key").set_index("key")
    nurses = (images["concept"] == "nurse") & (images["kind"] == "neutral")
    here = nurses.loc[keys].to_numpy()
    expected = krippendorff.alpha(told[:, here], level_of_measurement="nominal")
    assert expected == value("krippendorff_alpha", within="stereotype=female")
    pairs = [(one, two) for u in votes[:, :2] for one, two in [(u[0] * (u[0] - 1), u[0] * u[1])]]
    labelled = np.maximum(votes[:, :2].sum(axis=1) - 1, 1)
    both, split = (np.array(column) / labelled for column in zip(*pairs, strict=True))
    expected = both.sum() / (both.sum() + split.sum())
    assert expected == value("specific_agreement", group="woman")
    common = pd.read_parquet(run[0] / "tables" / "human_labels.parquet")
    people = common[(common["judge"] == "human:aggregate") & (common["attribute"] == "gender")]
    labels = RunFolder(run[0]).labels.read()
    judged = labels[(labels["judge"] == "clip-s") & (labels["attribute"] == "gender")].set_index("key")
    decided = people[people["label"] != ""].set_index("key")["label"]
    own = decided[nurses.loc[decided.index]]
    expected = cohen_kappa_score(own, judged["label"].loc[own.index])
    assert expected == value("cohen_kappa", raters="clip-s", within="stereotype=female")


def test_intervals_of_agreement_stay_within_the_valid_range(evenhand, key, run, tmp_path):
    paths = answers(tmp_path, run, key, ann=0.0, bo=0.0, cy=0.0)
    found = json.loads(evenhand("annotate", "import", *paths, "--run", run[0], "--json").out)["agreement"]
    known = [line for line in found if line["value"] is not None]
    assert all(-1 <= line["low"] <= line["value"] <= line["high"] <= 1 for line in known)
    assert any(line["value"] == 1 for line in known)


def test_agreement_of_three_of_many_people_has_a_fleiss_kappa(evenhand, key, run, tmp_path):
    names = ("ann", "bo", "cy", "di", "ed")
    for seed, name in enumerate(names):
        shown = key[[(number + seed) % 5 < 3 for number in range(len(key))]]
        own = an_annotator(name, shown, run[1], error=0.05, passing=0.0, seed=seed)
        own.to_csv(tmp_path / f"{name}.csv", index=False)
    paths = [tmp_path / f"{name}.csv" for name in names]
    found = json.loads(evenhand("annotate", "import", *paths, "--run", run[0], "--json").out)["agreement"]
    (line,) = [
        line
        for line in found
        if (line["attribute"], line["statistic"], line["cannot_tell"], line["group"], line["within"])
        == ("gender", "fleiss_kappa", "answer", "", "")
    ]
    assert line["n"] == len(key) and line["value"] > 0.6


def test_annotators_who_fail_a_check_are_excluded_unless_keep_all_is_given(evenhand, key, run, tmp_path):
    paths = answers(tmp_path, run, key, ann=0.03, bo=0.03, cy=0.03, odd=0.5)
    found = json.loads(evenhand("annotate", "import", *paths, "--run", run[0], "--json").out)
    assert found["checks"][3]["reason"].startswith("alpha ")
    assert "3 people" in {line["raters"] for line in found["agreement"]}
    kept = evenhand("annotate", "import", *paths, "--run", run[0], "--json", "--keep-all")
    assert "4 people" in {line["raters"] for line in json.loads(kept.out)["agreement"]}


def test_gold_images_check_annotators_and_are_not_anchors(evenhand, run, tmp_path):
    agreed = [(key, "gender", cell["gender"]) for key, cell in run[1].items()]
    gold = tmp_path / "gold.csv"
    pd.DataFrame(agreed, columns=["key", "attribute", "label"]).to_csv(gold, index=False)
    done = evenhand("annotate", "export", run[0], "--out", tmp_path / "out", *EXPORT, "--gold", gold)
    key = read_key(run[0])
    assert done.code == 0 and (key["gold"] != "").sum() == round(0.05 * (key["probability"] != "").sum())
    paths = answers(tmp_path, run, key, ann=0.0, bo=0.0, wrong=1.0)
    found = json.loads(evenhand("annotate", "import", *paths, "--run", run[0], "--json").out)
    reasons = {check["annotator"]: check["reason"] for check in found["checks"]}
    assert reasons["ann"] == "" and "gold images, 80% needed" in reasons["wrong"]
    anchors = pd.read_csv(run[0] / "tables" / "anchors.csv")
    assert set(anchors["key"]) == set(key["key"][key["probability"] != ""])


def test_annotations_without_an_export_name_images_by_key_or_hash(evenhand, run, tmp_path):
    from evenhand.bench.annotation.files import image_id

    work, names = RunFolder(run[0]), list(run[1])[:12]
    rows = [(image_id(work.images.path(k)) if n % 2 else k, k) for n, k in enumerate(names)]
    table = pd.DataFrame(
        [(image, "ann", "gender", run[1][k]["gender"]) for image, k in rows],
        columns=["image_id", "annotator_id", "attribute", "label"],
    )
    table.to_csv(tmp_path / "own.csv", index=False)
    outcome = evenhand("annotate", "import", tmp_path / "own.csv", "--run", run[0])
    assert "gender: 12 of 12 images have a common label (majority)" in outcome.out
    anchors = pd.read_csv(run[0] / "tables" / "anchors.csv")
    assert list(anchors.columns) == ["key", "attribute", "label"] and set(anchors["key"]) == set(names)


def test_a_filled_in_sheet_is_imported(evenhand, key, run, tmp_path):
    sheet = pd.read_csv(tmp_path / "out" / "sheet.csv", dtype=str).fillna("")
    known = dict(zip(key["image_id"], key["key"], strict=True))
    for name in ("gender", "tone", "age"):
        sheet[name] = [run[1][known[image]][name] for image in sheet["image_id"]]
    sheet.assign(n_people="one", annotator_id="ann").to_csv(tmp_path / "filled.csv", index=False)
    outcome = evenhand("annotate", "import", tmp_path / "filled.csv", "--run", run[0])
    assert outcome.code == 0
    assert f"tone: {len(key)} of {len(key)} images" in outcome.out


def one_line(outcome, text):
    assert (outcome.code, outcome.out) == (2, "")
    assert text in outcome.err
    assert outcome.err.count("\n") == 1


def test_invalid_annotations_are_a_one_line_error_and_write_nothing(evenhand, key, run, tmp_path):
    header = "image_id,annotator_id,attribute,label"
    image = key["image_id"][0]
    for text, message in {
        "": "the file is empty",
        f"{header}\n": "no annotations found",
        f"{header}\n{image},ann,gender,alien\n": "line 2: unknown label of gender 'alien'",
        f"{header}\n{image},ann,race,White\n": "line 2: unknown attribute 'race'",
        f"{header}\n{image},ann,gender,man\nnowhere,ann,gender,man\n": "line 3: image 'nowhere' is not in",
        f"{header}\n{image},ann,gender,man\n": "the checks leave out every annotator",
        f"{header}\n{image},ann,flag,minor\n": "no annotations of gender, tone, age",
        f"{header},batch_id\n{image},ann,gender,man,b0\n": "are of batch 'b0', which is not of run",
    }.items():
        (tmp_path / "bad.csv").write_text(text)
        one_line(evenhand("annotate", "import", tmp_path / "bad.csv", "--run", run[0]), message)
    assert not (run[0] / "tables" / "anchors.csv").exists()
    one_line(
        evenhand("annotate", "import", "x.csv", "--run", run[0], "--rule", "vote"), "unknown rule 'vote'"
    )
    one_line(evenhand("annotate", "import", "x.csv", "--run", run[0]), "x.csv: cannot read the file")
    one_line(evenhand("annotate", "import", "x.csv", "--run", tmp_path), "is not a run folder")


def test_an_annotator_with_a_single_annotation_is_reported_and_excluded(evenhand, key, run, tmp_path):
    paths = answers(tmp_path, run, key, ann=0.03, bo=0.03, cy=0.03)
    (tmp_path / "typo.csv").write_text(
        f"image_id,annotator_id,attribute,label\n{key['image_id'][0]},anm,gender,man\n"
    )
    outcome = evenhand("annotate", "import", *paths, tmp_path / "typo.csv", "--run", run[0])
    assert outcome.code == 0
    (line,) = [line for line in outcome.out.splitlines() if line.startswith("anm")]
    assert line.endswith("1 images annotated, 10 needed for a check")


def test_the_plan_of_a_verification_is_the_sample_that_an_export_draws(evenhand, run, tmp_path):
    size = ("--per-method", 50, "--min-per-group", 3)
    plan = json.loads(evenhand("annotate", "plan", run[0], *size, "--json").out)
    assert plan["needed"] == 300
    methods = [{"method": name, "images": 120, "labelled": 0, "to_label": 50} for name in ("base", "uce")]
    assert plan["methods"] == methods
    assert not (run[0] / "annotation").exists()
    assert evenhand("annotate", "export", run[0], "--out", tmp_path / "out", *size).code == 0
    key = read_key(run[0])
    drawn = key.groupby("stratum").size().to_dict()
    names = ("method", "kind", "vote")
    assert drawn == {"/".join(row[name] for name in names): row["to_label"] for row in plan["groups"]}
    for method, rows in key.groupby(key["stratum"].str.split("/").str[0]):
        assert (1 / rows["probability"].astype(float)).sum() == pytest.approx(120), method


def test_a_plan_counts_imported_labels_and_names_the_export_of_one_method(evenhand, key, run, tmp_path):
    people = answers(tmp_path, run, key, ann=0.0, bo=0.0, cy=0.0)
    assert evenhand("annotate", "import", *people, "--run", run[0]).code == 0
    size = ("--per-method", 40, "--min-per-group", 2)
    said = evenhand("annotate", "plan", run[0], "--method", "uce", *size)
    assert "--per-method 40 --method uce" in said.out
    plan = json.loads(evenhand("annotate", "plan", run[0], "--method", "uce", *size, "--json").out)
    anchors = RunFolder(run[0]).imported_anchors()
    known = anchors[anchors["label"] != ""].merge(RunFolder(run[0]).image_table.read(), on="key")
    counts = known.groupby(["method", "attribute"]).size().unstack().min(axis=1)
    assert {row["method"]: row["labelled"] for row in plan["methods"]} == counts.to_dict()
    assert counts.min() > 40
    one_line(evenhand("annotate", "plan", run[0], "--method", "uec"), "did you mean 'uce'")
    one_line(
        evenhand("annotate", "export", run[0], "--out", tmp_path / "o", "--method", "uce"), "--per-method"
    )


def test_invalid_exports_are_a_one_line_error(evenhand, run, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").touch()
    one_line(evenhand("annotate", "export", run[0], "--out", tmp_path / "full"), "is not empty")
    one_line(evenhand("annotate", "export", tmp_path, "--out", tmp_path / "o"), "is not a run folder")
    one_line(evenhand("annotate", "export", run[0], "--out", tmp_path / "o", "--n", 5), "images are too few")
    (tmp_path / "gold.csv").write_text("key,attribute,label\nnone,gender,man\n")
    gold = ("--gold", tmp_path / "gold.csv")
    one_line(
        evenhand("annotate", "export", run[0], "--out", tmp_path / "o", *EXPORT, *gold),
        "gold.csv:2: key 'none' is not an image of people that was judged",
    )
    assert not (tmp_path / "o").exists()
