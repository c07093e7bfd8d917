"""A list is drafted for a folder without one, and says where its prompts come from."""

import csv
import io
import os
import sys

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from evenhand.bench.errors import EvenhandError
from evenhand.bench.external_images.drafted_list import draft_list
from evenhand.bench.external_images.image_list import read_list


def image(folder, file, prompt=""):
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    info = PngInfo()
    if prompt:
        info.add_text("parameters", prompt)
    Image.new("RGB", (32, 32)).save(path, "PNG", pnginfo=info)


def rows(draft):
    return [tuple(row.values()) for row in csv.DictReader(io.StringIO(draft.text))]


@pytest.mark.parametrize(
    ("file", "prompt", "concept"),
    [
        ("1.png", "A photo of the face of a nurse, 35 mm", "nurse"),
        ("1.png", "portrait of a truck driver in a cabin", "truck driver"),
        ("ceo/1.png", "somebody at a desk", "ceo"),
        ("head_cook/1.png", "", "head cook"),
        ("head-cook_017.png", "", "head cook"),
        ("nurse (3).png", "", "nurse"),
        ("0001.png", "", "person"),
    ],
)
def test_the_concept_is_what_the_prompt_depicts_else_a_name(tmp_path, file, prompt, concept):
    image(tmp_path, file, prompt)
    assert rows(draft_list(tmp_path, without=tmp_path / "runs")) == [(file, prompt or concept, concept)]


def test_the_draft_is_a_valid_list_and_leaves_out_the_run(tmp_path):
    image(tmp_path, "a/1.png", "a person at work\nSteps: 20, Model: one")
    image(tmp_path, "b/2.png", "a person at work\nSteps: 20, Model: two")
    image(tmp_path, 'odd, "name".png')
    image(tmp_path, "runs/x/images/3.png")
    (tmp_path / 'odd, "name".txt').write_text("a photo of a cook")
    draft = draft_list(tmp_path, without=tmp_path / "runs")
    assert draft.note == (
        "no image list was given, so one was drafted: 2 prompts from the metadata of the files, 1 prompt "
        "from captions beside them; the metadata name 2 models, which are audited as one"
    )
    path = tmp_path / "prompts.csv"
    path.write_text(draft.text)
    listed = read_list(path, taxonomy={"gender": ("woman", "man")}, model="m")
    assert [(row.file, row.prompt.concept) for row in listed.rows] == [
        ("a/1.png", "a"),
        ("b/2.png", "a"),
        ('odd, "name".png', "cook"),
    ]


def test_a_folder_without_images_is_an_error(tmp_path):
    with pytest.raises(EvenhandError, match="no PNG, JPEG or WebP images found; check the path"):
        draft_list(tmp_path, without=tmp_path / "runs")


def test_hidden_files_are_not_listed(tmp_path):
    for file in ("nurse_1.png", "._nurse_1.png", ".thumbs/t.png"):
        image(tmp_path, file)
    assert rows(draft_list(tmp_path, without=tmp_path / "runs")) == [("nurse_1.png", "nurse", "nurse")]


def test_a_folder_below_a_hidden_one_is_listed(tmp_path):
    image(tmp_path, ".cache/images/nurse_1.png")
    found = rows(draft_list(tmp_path / ".cache" / "images", without=tmp_path / "runs"))
    assert found == [("nurse_1.png", "nurse", "nurse")]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems store names as Unicode")
def test_a_file_name_that_is_not_utf_8_is_a_one_line_error(tmp_path):
    image(tmp_path, os.fsdecode(b"nurse_\xff.png"))
    with pytest.raises(EvenhandError) as fault:
        draft_list(tmp_path, without=tmp_path / "runs")
    assert str(fault.value) == f"{tmp_path}: file name 'nurse_\\udcff.png' is not UTF-8; rename it"


@pytest.mark.parametrize("prompt", ['=HYPERLINK("http://x")', "+1 nurse", "-nurse", "@nurse", " \t= +nurse"])
def test_no_prompt_of_a_draft_starts_a_formula(tmp_path, prompt):
    image(tmp_path, "a.png", prompt)
    image(tmp_path, "b.png")
    (tmp_path / "b.txt").write_text(prompt)
    texts = [text for _, text, _ in rows(draft_list(tmp_path, without=tmp_path / "runs"))]
    assert all(text[0].isalnum() and text in prompt for text in texts) and len(texts) == 2
