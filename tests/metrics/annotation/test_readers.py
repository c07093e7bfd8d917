"""Annotation files in four formats; errors are one line with the place in the file."""

import json

import pytest
from helpers.answers import HEADER, labels, reader

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.annotation.readers import LAYOUTS, read_answers


@pytest.fixture
def read(tmp_path):
    return reader(tmp_path)


SAID = [
    ("key0", "ann", "gender", "woman"),
    ("key0", "ann", "age", "older"),
    ("key1", "ann", "gender", "cannot_tell"),
    ("key1", "ann", "age", "adult"),
]

LONG = f"{HEADER}\np0,ann,gender,Female\np0,ann,age,older\np1,ann,gender,Pass\np1,ann,age,adult\n"
WIDE = "image_id,thumbnail,gender,age\np0,x.png,woman,older\np1,y.png,cannot_tell,adult\np2,z.png,,\n"
TWO_ROW = ",Gender,,,Age,\nimage,Male,Female,Unknown,adult,older\np0,,1,,,x\np1,,,1,1,\n"


def studio(*tasks):
    return json.dumps(
        [
            {
                "file_upload": f"1a2b3c4d-{image}.png",
                "annotations": [
                    {
                        "completed_by": {"id": "ann"},
                        "lead_time": 3.5,
                        "result": [
                            {"from_name": name, "type": "choices", "value": {"choices": [choice]}}
                            for name, choice in said.items()
                        ],
                    }
                ],
            }
            for image, said in tasks
        ]
    )


STUDIO = studio(("p0", {"gender": "Female", "age": "older"}), ("p1", {"gender": "Pass", "age": "adult"}))


@pytest.mark.parametrize(
    ("layout", "text", "name"),
    [
        ("csv", LONG, "any.csv"),
        ("wide", WIDE, "ann.csv"),
        ("two-row", TWO_ROW, "ann.csv"),
        ("label-studio", STUDIO, "export.json"),
    ],
)
def test_four_formats_give_the_same_annotations(read, layout, text, name):
    assert labels(read(text, name=name)) == SAID
    assert labels(read(text, name=name, layout=layout)) == SAID
    assert labels(read("\ufeff" + text.replace("\n", "\r\n"), name=name)) == SAID


def test_semicolons_are_detected_as_the_delimiter(read):
    assert labels(read(LONG.replace(",", ";"))) == SAID


@pytest.mark.parametrize("column", ["annotator_id,", ""], ids=["blank", "missing"])
def test_a_sheet_without_annotators_belongs_to_the_one_in_its_name(read, column):
    sheet = f"image_id,{column}gender\np0,{',' if column else ''}man\n"
    found = read(sheet, name="ann.csv", layout="wide")
    assert list(found.table["annotator_id"]) == ["ann"]


def test_label_studio_reads_urls_and_ignores_skipped_tasks(read):
    tasks = json.loads(STUDIO)
    tasks[0] = tasks[0] | {"data": {"image": "https://example.org/up/p0.png?d=1"}}
    del tasks[0]["file_upload"]
    tasks[1]["annotations"][0]["was_cancelled"] = True
    found = read(json.dumps(tasks), name="export.json")
    assert labels(found) == SAID[:2]
    assert set(found.table["seconds"]) == {3.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("  \n\n", "the file is empty"),
        (f"{HEADER}\n", "no annotations found"),
        ("a,b\n1,2\n", "line 1: unknown header 'a,b'"),
        ("image_id,attribute,label\np0,gender,man\n", "line 1: column 'annotator_id' is missing"),
        (f"{HEADER},mood\np0,ann,gender,man,sad\n", "line 1: column 'mood' is unknown"),
        (f"{HEADER}\np0,ann,gender\n", "line 2: 3 columns; the header has 4"),
        (f'{HEADER}\np0,ann,gender,"man\n', "line 2: invalid CSV"),
        (f"{HEADER}\np0,ann,gender,man\np99,ann,gender,man\n", "line 3: image 'p99' is not in the run"),
        (
            f"{HEADER}\np0,ann,gender,womam\n",
            "line 2: unknown label of gender 'womam'; did you mean 'woman'?",
        ),
        (f"{HEADER}\np0,ann,gender,\n", "line 2: unknown label of gender ''"),
        (f"{HEADER}\np0,ann,agee,adult\n", "line 2: unknown attribute 'agee'; did you mean 'age'?"),
        (f"{HEADER}\np0,,gender,man\n", "line 2: annotator_id must have"),
        (f"{HEADER}\np0,aggregate,gender,man\n", "and differ from 'aggregate', got 'aggregate'"),
        (
            f"{HEADER},seconds\np0,ann,gender,man,soon\n",
            "line 2: seconds must be a number",
        ),
        (
            f"{HEADER},seconds\np0,ann,gender,man,-1\n",
            "line 2: seconds must be finite and not negative",
        ),
        (f"{HEADER},n_people\np0,ann,gender,man,two\n", "line 2: unknown n_people 'two'"),
        (f"{HEADER},confidence\np0,ann,gender,man,4\n", "line 2: unknown confidence '4'"),
        (f"{HEADER},is_repeat\np0,ann,gender,man,maybe\n", "line 2: is_repeat must be 1 or 0, got 'maybe'"),
        ("image_id,gender,mood\np0,woman,sad\n", "line 2: unknown attribute 'mood'"),
        (",Gender,\nimage,Male,Female\np0,1,1\n", "line 3: Gender has 2 marks; keep one"),
        (",Gender,\nimage,Male,Female\np0,maybe,\n", "line 3: a mark must be 1 or empty, got 'maybe'"),
        ("[{]", "line 1: invalid JSON"),
        ('[{"annotations": []}]', "task 1: not a Label Studio task"),
    ],
)
def test_errors_are_one_line_with_their_place(read, text, message):
    with pytest.raises(EvenhandError) as fault:
        read(text)
    assert message in str(fault.value)
    assert "ann.csv" in str(fault.value)
    assert "\n" not in str(fault.value)


def test_unreadable_files_are_one_line_errors(tmp_path):
    (tmp_path / "latin.csv").write_bytes(HEADER.encode() + b"\np0,\xe9,gender,man\n")
    with pytest.raises(EvenhandError, match=r"latin\.csv: the file is not UTF-8"):
        read_answers(tmp_path / "latin.csv")
    with pytest.raises(EvenhandError, match=r"none\.csv: cannot read the file"):
        read_answers(tmp_path / "none.csv")
    (tmp_path / "some.csv").write_text(LONG)
    with pytest.raises(EvenhandError, match="unknown annotation format 'cvs'; did you mean 'csv'"):
        read_answers(tmp_path / "some.csv", layout="cvs")


def test_the_formats_have_these_names():
    assert list(LAYOUTS) == ["csv", "wide", "two-row", "label-studio"]
