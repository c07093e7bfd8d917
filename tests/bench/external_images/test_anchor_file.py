"""Anchors of external images: by file or by key, and errors."""

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.external_images.anchor_file import read_anchors

TAXONOMY = {"gender": ("woman", "man"), "tone": ("light", "medium", "dark")}

KEYS = {"a.png": "aa", "b.png": "bb"}


@pytest.fixture
def anchors(tmp_path):
    def call(text: str):
        path = tmp_path / "labels.csv"
        path.write_text(text, encoding="utf-8")
        return read_anchors(path, keys=KEYS, taxonomy=TAXONOMY)

    return call


def test_anchors_name_images_by_file_or_by_key(anchors):
    by_file = anchors("file,attribute,label\na.png,gender,woman\nb.png,gender,\n")
    by_key = anchors("key,attribute,label\naa,gender,woman\nbb,gender,\n")
    assert by_file.table.to_dict("list") == {
        "key": ["aa", "bb"],
        "attribute": ["gender", "gender"],
        "label": ["woman", ""],
    }
    assert by_file.table.equals(by_key.table)
    assert by_file.digest == by_key.digest
    semicolons = anchors("key;attribute;label\naa;gender;woman\nbb;gender;\n")
    assert semicolons.table.equals(by_key.table)


def test_a_comment_may_precede_the_header_of_either_form(anchors):
    for header in ("key,attribute,label", '"key","attribute","label"', "key;attribute;label"):
        row = "aa;gender;woman" if ";" in header else "aa,gender,woman"
        found = anchors(f"# agreed by two people, and a third\n{header}\n{row}\n")
        assert found.table["key"].tolist() == ["aa"]


def test_the_note_on_anchors_counts_labels(anchors):
    found = anchors(
        "file,attribute,label,probability\na.png,gender,woman,0.5\na.png,tone,dark,0.5\nb.png,tone,,1\n"
    )
    assert "1 of these images (1 of gender, 1 of tone), weighted by the probability" in found.remark()
    assert found.table["probability"].tolist() == [0.5, 0.5, 1.0]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("attribute,label\n", 1, "column 'file' is missing"),
        ("file,attribute,label\n", 2, "no rows after"),
        ("file,attribute,label\nc.png,gender,woman\n", 2, "file 'c.png' is not an image of people"),
        ("key,attribute,label\na.png,gender,woman\n", 2, "key 'a.png' is not an image of people"),
        ("file,attribute,label\na.png,gendre,woman\n", 2, "did you mean 'gender'?"),
        ("file,attribute,label\na.png,gender,women\n", 2, "did you mean 'woman'?"),
        ("file,attribute,label\na.png,gender,man\na.png,gender,woman\n", 3, "already on line 2"),
        (
            "file,attribute,label,probability\na.png,gender,man,0\n",
            2,
            "must be above 0 and at most 1, got '0'",
        ),
        ("file,attribute,label,probability\na.png,gender,man,nan\n", 2, "got 'nan'"),
    ],
)
def test_an_error_in_anchors_is_one_line_with_file_and_line(anchors, text, line, words):
    with pytest.raises(EvenhandError) as caught:
        anchors(text)
    message = str(caught.value)
    assert f"labels.csv:{line}: " in message
    assert words in message
