"""``evenhand audit``: external images are judged and measured like those of a run."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.audit import CONCEPTS, WOMEN
from helpers.paths import TINY
from helpers.tiny import tiny_run
from PIL import Image

from evenhand.bench import evaluate
from evenhand.bench.audit import audit
from evenhand.bench.errors import EvenhandError, IncompleteRunError
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.results.result import Result
from evenhand.bench.stages.label import alignment
from evenhand.bench.stages.resources import load_scorer
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.storage.stored_run import load_run
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics import catalog
from evenhand.metrics.estimation.anchors import confusion_from_anchors
from evenhand.metrics.estimation.measure import MeasurePlan, measure
from evenhand.metrics.table import label_rows

pytestmark = pytest.mark.slow


def rows_of(result: Result) -> list[dict[str, object]]:
    return [row.model_dump(mode="json") for row in result.estimates]


def measured_directly(world, confusion_from=None) -> dict[str, list[dict[str, object]]]:
    """The numbers computed without the benchmark, from judges, vote and bootstrap alone."""
    folder, prompts, _ = world
    suite = load_suite(str(TINY))
    table = pd.read_csv(prompts).rename(columns={"file": "key", "model": "method"})
    table["template"] = table["cell"] = ""
    table["kind"], table["status"] = "neutral", "ok"
    table["prompt_id"] = table["prompt"]
    table["seed_index"] = table.groupby(["method", "prompt"]).cumcount()
    images = np.stack([np.asarray(Image.open(folder / file)) for file in table["key"]])
    scorer = load_scorer("mini")
    vectors = dict(zip(table["key"], scorer.embed(images), strict=True))
    table["alignment"] = alignment(table, vectors, scorer.embed_texts)
    labels = []
    for judge in map(load_judge, suite.panel):
        answer = judge.label(images)["gender"]
        card = {"judge": judge.info.name, "version": judge.info.version, "family": judge.info.family}
        labels.append(
            label_rows(
                keys=list(table["key"]),
                **card,
                attribute="gender",
                groups=suite.taxonomy["gender"],
                probabilities=answer.probabilities,
                status=answer.status,
            )
        )
    labels = pd.concat(labels, ignore_index=True)
    known = {}
    if confusion_from is not None:
        known["confusion"] = confusion_from_anchors(
            labels, confusion_from, taxonomy=suite.taxonomy, members=suite.panel
        )
    boot = suite.bootstrap
    plan = MeasurePlan(
        attributes=suite.taxonomy,
        panel=suite.panel,
        base="biased",
        metrics=catalog.DEFAULT,
        draws=boot.draws,
        seed=boot.seed,
        resample_concepts=boot.resample_concepts,
        **known,
    )
    found = measure(table, labels, plan=plan)
    return {method: [dict(row.__dict__) for row in rows] for method, rows in found.estimates.items()}


def assert_same_rows(found, expected) -> None:
    assert len(found) == len(expected)
    numbers = ("value", "low", "high", "floor")
    for ours, theirs in zip(found, expected, strict=True):
        assert {k: v for k, v in ours.items() if k not in numbers} == {
            k: v for k, v in theirs.items() if k not in numbers
        }
        pair = [[float(row[name]) for name in numbers] for row in (ours, theirs)]
        np.testing.assert_allclose(*pair, rtol=1e-8, err_msg=str(theirs))


def test_audit_numbers_equal_those_computed_with_the_metrics_directly(world, audited):
    expected = measured_directly(world)
    for result in audited.results:
        assert_same_rows(rows_of(result), expected[result.spec.method.label])


def test_error_free_judges_give_the_true_shares(audited):
    for result in audited.results:
        for concept, women in zip(CONCEPTS, WOMEN[result.spec.method.label], strict=True):
            row = result.estimate("share", attributes="gender", concept=concept, group="woman")
            assert row is not None and row.n == 6
            assert row.value == pytest.approx(women / 6)


def test_a_result_has_no_protocol_fit_or_cost(audited):
    for result in audited.results:
        assert result.spec.external
        assert result.spec.protocol == {}
        assert result.spec.model == result.spec.method.label
        assert result.spec.method.intervention == ""
        assert not any(result.cost.model_dump().values())
        assert result.coverage.planned == result.coverage.made == 12
    assert {row.against for r in audited.results for row in r.comparisons} == {"biased"}
    page = (Path(audited.folder) / "report.html").read_text()
    absent = ("same noise", "Method cards", "the baseline", "Images generated for fitting", "intervention of")
    for word in absent:
        assert word not in page
    assert "external images" in page and "cannot be told apart" in page


def test_anchors_correct_the_judges_and_are_counted_in_the_result(world, audited, tmp_path):
    images, prompts, labels = world
    folder = shutil.copytree(audited.folder, tmp_path / "run")
    anchors = tmp_path / "anchors.csv"
    truth = pd.read_csv(labels)
    truth[truth["attribute"] == "gender"].to_csv(anchors, index=False)
    parts = sorted((folder / "tables").glob("labels.parquet"))[0].read_bytes()
    run = audit(
        images,
        prompts=prompts,
        suite=str(TINY),
        base="biased",
        anchors=anchors,
        out=folder,
        name="images",
    )
    assert (folder / "tables" / "labels.parquet").read_bytes() == parts, "an image was judged again"
    said = "corrected with anchors, human labels of 24 of these images (24 of gender)"
    expected = measured_directly(world, truth[truth["attribute"] == "gender"].rename(columns={"file": "key"}))
    for result in run.results:
        assert any(said in note for note in result.notes)
        assert any("correction not verified: too few images" in note for note in result.notes)
        assert result.correction_check is not None and result.correction_check.tests
        assert result.estimate("rms_delta", attributes="gender", corrected=True) is not None
        assert_same_rows(rows_of(result), expected[result.spec.method.label])
    assert {r.spec.suite_digest for r in run.results}.isdisjoint(
        {r.spec.suite_digest for r in audited.results}
    )


def test_a_calibration_from_other_images_is_reported_as_unverified(world, audited, tmp_path):
    images, prompts, _ = world
    folder = shutil.copytree(audited.folder, tmp_path / "run")
    run = audit(images, prompts=prompts, suite=str(TINY), calibration="mini", out=folder, name="images")
    notes = run.results[0].notes
    assert any("with the table 'mini', measured on other images" in note for note in notes)
    assert any("correction not verified: no image has labels of people" in note for note in notes)
    assert all(result.correction_check is None for result in run.results)
    assert run.results[0].estimate("rms_delta", attributes="gender", corrected=True) is not None
    assert [row for result in run.results for row in result.comparisons] == [], "no base was named"


def test_auditing_the_images_of_a_run_reproduces_its_numbers(tmp_path):
    whole = tiny_run("base")
    run, table = load_run(whole), RunFolder(whole).image_table.read()
    folder = tmp_path / "images"
    folder.mkdir()
    for row in table.itertuples():
        shutil.copy(whole / row.path, folder / f"{row.key}.png")
    listed = table.assign(file=table["key"] + ".png", model="base", seed=table["seed_index"])
    columns = ["file", "prompt", "concept", "template", "kind", "cell", "seed", "model"]
    listed[columns].to_csv(tmp_path / "winobias-40.csv", index=False)
    again = audit(folder, prompts=tmp_path / "winobias-40.csv", suite=str(TINY), out=tmp_path / "audit")
    (ours,), (theirs,) = again.results, run.results
    assert rows_of(ours) == rows_of(theirs)
    assert ours.coverage == theirs.coverage
    assert (ours.spec.judges, ours.spec.target) == (theirs.spec.judges, theirs.spec.target)
    values = [[(r.judges, r.attribute, r.value, r.n) for r in result.agreement] for result in (ours, theirs)]
    assert values[0] == values[1]


def test_unreadable_files_count_as_undetermined_and_are_listed(world, tmp_path):
    folder, listed = tmp_path / "images", pd.read_csv(world[1])
    shutil.copytree(world[0] / "even", folder / "even")
    whole = folder / "even" / "nurse-0.png"
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    (folder / "even" / "nurse-1.png").write_text("dear")
    (folder / "unlisted.JPG").write_bytes(content)
    listed[listed["model"] == "even"].to_csv(tmp_path / "prompts.csv", index=False)
    arguments = {"prompts": tmp_path / "prompts.csv", "suite": str(TINY), "out": tmp_path / "run"}
    with pytest.raises(
        IncompleteRunError, match=r"2 of 12 images are not usable: 'even/nurse-0.png' is truncated"
    ):
        audit(folder, **arguments)
    result = Result.load(tmp_path / "run" / "results" / "even.json")
    assert result.coverage.failed == {"damaged": 1, "no_image": 1}
    assert (result.coverage.planned, result.coverage.made) == (12, 10)
    panel = next(row for row in result.coverage.rows if row.judge == "panel")
    assert panel.undetermined == {"damaged": 1, "no_image": 1}
    assert any(
        "1 image in the folder but not in the list, ignored: 'unlisted.JPG'" in n for n in result.notes
    )
    assert any("'even/nurse-1.png' is not a PNG, JPEG or WebP image" in note for note in result.notes)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Failed: damaged file" in page and "Undetermined: not an image file" in page
    labels = tmp_path / "run" / "tables" / "labels.parquet"
    before = len(pd.read_parquet(labels))
    whole.write_bytes(content)
    (folder / "even" / "nurse-1.png").write_bytes((world[0] / "biased" / "nurse-1.png").read_bytes())
    repaired = audit(folder, **arguments)
    assert repaired.results[0].coverage.failed == {}
    assert len(pd.read_parquet(labels)) == before + 2 * 3, "two images, two judges and the vote"


@pytest.mark.parametrize("damaged", ["even", "even biased"])
def test_models_whose_images_of_people_are_all_damaged(world, tmp_path, damaged):
    folder, listed = tmp_path / "images", pd.read_csv(world[1])
    shutil.copytree(world[0], folder)
    cats = []
    for model in ("even", "biased"):
        shutil.copy(folder / model / "nurse-0.png", folder / model / "cat.png")
        cats.append({"file": f"{model}/cat.png", "model": model, "prompt": "a cat", "concept": "cat"})
    for model in damaged.split():
        for name in listed.loc[listed["model"] == model, "file"]:
            (folder / name).write_text("dear")
    cats = pd.DataFrame(cats).assign(kind="unrelated")
    pd.concat([listed, cats]).to_csv(tmp_path / "prompts.csv", index=False)
    arguments = {"prompts": tmp_path / "prompts.csv", "suite": str(TINY), "out": tmp_path / "run"}
    if damaged == "even":
        with pytest.raises(IncompleteRunError, match="12 of 26 images are not usable"):
            audit(folder, **arguments)
    else:
        with pytest.raises(
            EvenhandError, match=r"no image of people in the list is usable: '.*' is not a PNG"
        ):
            audit(folder, **arguments)


def test_images_of_different_sizes_are_judged_together(world, tmp_path):
    folder, listed = tmp_path / "images", pd.read_csv(world[1])
    shutil.copytree(world[0], folder)
    for number in range(3):
        path = folder / "even" / f"CEO-{number}.png"
        Image.open(path).resize((60, 50 + number % 2), Image.Resampling.NEAREST).save(path)
    listed[listed["model"] == "even"].to_csv(tmp_path / "prompts.csv", index=False)
    run = audit(folder, prompts=tmp_path / "prompts.csv", judges=["vit"], out=tmp_path / "run")
    assert run.results[0].coverage.made == 12
    assert run.results[0].estimate("alignment") is None
    assert list(run.results[0].spec.attributes) == ["gender", "tone", "age"]
    assert any("alignment is not measured" in note for note in run.results[0].notes)


def test_missing_weights_of_a_judge_are_a_one_line_error(evenhand, world, tmp_path, monkeypatch):
    from evenhand.bench.mini import judges

    judges.clip_xs.cache_clear()
    monkeypatch.setattr(judges, "ROOT", tmp_path / "gone")
    outcome = evenhand(
        "audit", world[0], "--prompts", world[1], "--judge", "clip-xs", "--out", tmp_path / "run"
    )
    judges.clip_xs.cache_clear()
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert str(tmp_path / "gone") in outcome.err


def test_an_audit_does_not_replace_that_of_another_folder_of_the_same_name(world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place, model in (("first", "even"), ("second", "biased")):
        shutil.copytree(world[0] / model, tmp_path / place / "images")
    first, second = Path("first", "images"), Path("second", "images")
    kept = audit(first, judges=["vit"])
    before = (tmp_path / "runs" / "images" / "results" / "images.json").read_bytes()
    message = (
        r"^runs/images: has the audit of another folder, first/images; give this one another --name or "
        r"--out, or replace that one with --out runs/images$"
    )
    with pytest.raises(EvenhandError, match=message):
        audit(second, judges=["vit"])
    assert Path(kept.folder, "results", "images.json").read_bytes() == before
    assert rows_of(audit(first, judges=["vit"]).results[0]) == rows_of(kept.results[0])
    assert audit(second, judges=["vit"], name="second").folder == "runs/second"
    with pytest.raises(EvenhandError, match="--name 'a/b' contains a slash; name the run folder with --out"):
        audit(second, judges=["vit"], name="a/b")
    replaced = audit(second, judges=["vit"], out=Path("runs/images"))
    assert rows_of(replaced.results[0]) != rows_of(kept.results[0])


def test_an_audit_resumes_where_images_and_runs_were_moved_together(world, tmp_path, monkeypatch):
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
    shutil.copytree(world[0] / "even", tmp_path / "here" / "images")
    monkeypatch.chdir(tmp_path / "here")
    audit(Path("images"), judges=["vit"])
    for name in ("images", "runs"):
        shutil.move(tmp_path / "here" / name, tmp_path / "there" / name)
    monkeypatch.chdir(tmp_path / "there")
    assert audit(Path("images"), judges=["vit"]).results[0].coverage.made == 12


def test_the_folder_of_another_run_is_rejected(world, audited, tmp_path):
    images, prompts, _ = world
    folder = shutil.copytree(audited.folder, tmp_path / "run")
    with pytest.raises(EvenhandError, match="belongs to audit 'images', not 'other'; choose another --out"):
        audit(images, prompts=prompts, suite=str(TINY), name="other", out=folder)
    with pytest.raises(EvenhandError, match=r"but no suite\.toml; choose an empty or new --out"):
        evaluate(str(TINY), out=folder)


def test_an_audit_cannot_be_submitted_to_the_leaderboard(evenhand, audited, tmp_path):
    outcome = evenhand("board", "submit", audited.folder, "--entries", tmp_path)
    assert outcome.code == 2
    assert "is an audit of external images; only runs of suites can be submitted" in outcome.err
    assert list(tmp_path.iterdir()) == []
