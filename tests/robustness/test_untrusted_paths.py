"""Files named by an untrusted run, list or annotation are never read, shown or written outside its folder."""

import csv
import io

import pandas as pd
import pytest
from helpers.humans import a_run, an_annotator
from helpers.report import a_result
from helpers.stored_run import of_suite
from PIL import Image

from evenhand.bench.errors import EvenhandError
from evenhand.bench.report import render_report
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.storage.stored_run import load_run
from evenhand.metrics.annotation.answers import check_answers
from evenhand.metrics.annotation.readers import read_answers
from evenhand.reports.components.downloads import write_csv
from evenhand.reports.components.image_file import read_image


def cells(table_text):
    return list(csv.reader(io.StringIO(table_text)))


FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0")


@pytest.mark.parametrize("key", ["../../secret", "/etc/passwd", "a/b", "..", "", "a.b", "a\\b", "a\0b"])
def test_a_key_that_leads_outside_the_store_is_rejected(tmp_path, key):
    with pytest.raises(EvenhandError, match="image keys must be"):
        ImageStore(tmp_path).path(key)


@pytest.fixture
def secret(tmp_path):
    """An image that no page may show, next to a run."""
    path = tmp_path / "secret.png"
    Image.new("RGB", (64, 64), "red").save(path)
    (tmp_path / "run").mkdir()
    return path


@pytest.mark.parametrize("way", ["up", "absolute", "link"])
def test_an_image_outside_the_run_is_not_shown(tmp_path, secret, way):
    run = tmp_path / "run"
    (run / "link.png").symlink_to(secret)
    path = {"up": run / ".." / "secret.png", "absolute": run / str(secret), "link": run / "link.png"}[way]
    with pytest.raises(EvenhandError, match="is outside the run folder"):
        read_image(path, folder=run)


@pytest.mark.parametrize(
    "data", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"GIF89a", b"", b"\x89PNG\r\n\x1a\n"]
)
def test_a_file_that_is_not_a_complete_png_is_not_opened(tmp_path, data):
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(EvenhandError, match="cannot be read"):
        read_image(tmp_path / "a.png", folder=tmp_path)


def test_a_run_with_keys_outside_its_store_exports_nothing_for_annotation(evenhand, tmp_path):
    a_run(tmp_path / "there")
    work = RunFolder(tmp_path / "there")
    images, labels = work.image_table.read(), work.labels.read()
    names = {key: f"../../../secret-{key}" for key in images["key"]}
    work.image_table.finish(images.assign(key=images["key"].map(names)))
    work.labels.finish(labels.assign(key=labels["key"].map(names)))
    outcome = evenhand(
        "annotate",
        "export",
        work.root,
        "--out",
        tmp_path / "out",
        "--n",
        80,
        "--explicit",
        0,
        "--min-per-group",
        3,
    )
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "image keys must be" in outcome.err


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"path": "../secret.png"}, {"path": "secret.png", "folder": "."}])
def test_a_run_whose_table_names_an_image_outside_it_gets_no_report(tmp_path, secret, monkeypatch, changes):
    a_run(tmp_path / "there")
    work = RunFolder(tmp_path / "there")
    work.image_table.finish(work.image_table.read().assign(**changes))
    publish_results(work)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EvenhandError, match=r"is outside the run folder|cannot be read"):
        render_report(load_run(work.root))


def publish_results(work):
    """Results of the run's methods, as a finished run has them."""
    work.write_results(of_suite([a_result(label) for label in ("base", "uce")], work.spec()))


@pytest.mark.parametrize("column", ["annotator_id", "batch_id", "form_version", "timestamp"])
@pytest.mark.parametrize("formula", FORMULAS)
def test_an_annotation_that_a_spreadsheet_would_execute_is_rejected(tmp_path, column, formula):
    row = {"image_id": "p0", "annotator_id": "ann", "attribute": "gender", "label": "woman", column: formula}
    pd.DataFrame([row]).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(EvenhandError, match="line 2"):
        check_answers(
            read_answers(tmp_path / "a.csv"), known={"p0": "k"}, taxonomy={"gender": ("woman", "man")}
        )


@pytest.mark.slow
def test_csv_files_written_by_an_import_are_harmless_in_a_spreadsheet(evenhand, tmp_path):
    truth = a_run(tmp_path / "run")
    assert (
        evenhand(
            "annotate",
            "export",
            tmp_path / "run",
            "--out",
            tmp_path / "out",
            "--n",
            80,
            "--explicit",
            0,
            "--min-per-group",
            3,
        ).code
        == 0
    )
    (key,) = (tmp_path / "run" / "annotation").glob("*.csv")
    drawn = pd.read_csv(key, dtype=str, keep_default_na=False)
    for number, name in enumerate(("ann", "bo", "cy")):
        an_annotator(name, drawn, truth, seed=number).to_csv(tmp_path / f"{name}.csv", index=False)
    files = [tmp_path / f"{name}.csv" for name in ("ann", "bo", "cy")]
    assert evenhand("annotate", "import", *files, "--run", tmp_path / "run").code == 0
    written = [*(tmp_path / "run").rglob("*.csv"), *(tmp_path / "out").rglob("*.csv")]
    assert len(written) >= 5
    for path in written:
        rows = cells(path.read_text())
        texts = [[cell for cell in row if not is_number(cell)] for row in rows]
        # Text that the report's CSV writer would leave unchanged is harmless.
        assert cells(write_csv(texts)) == texts, path


def is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True
