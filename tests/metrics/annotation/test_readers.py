"""Annotation files in four formats; errors are one line with the place in the file."""

import json

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.annotation.answers import check_answers
from evenhand.metrics.annotation.readers import LAYOUTS, read_answers

TAXONOMY = {
    "gender": ("woman", "man"),
    "race4": ("WMELH", "Black", "Indian", "Asian"),
    "age": ("adult", "older"),
}
KNOWN = {f"p{number}": f"key{number}" for number in range(40)}
HEADER = "image_id,annotator_id,attribute,label"


@pytest.fixture
def read(tmp_path):
    """Reads and checks a file of that text."""

    def call(text, *, name="ann.csv", layout=None, **rules):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return check_answers(read_answers(path, layout=layout), known=KNOWN, taxonomy=TAXONOMY, **rules)

    return call


def labels(found):
    """(image, annotator, attribute, label) of every row."""
    columns = ["key", "annotator_id", "attribute", "label"]
    return [tuple(row) for row in found.table[columns].itertuples(index=False)]


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


def test_label_studio_reads_urls_and_ignores_skipped_tasks(read):
    tasks = json.loads(STUDIO)
    tasks[0] = tasks[0] | {"data": {"image": "https://example.org/up/p0.png?d=1"}}
    del tasks[0]["file_upload"]
    tasks[1]["annotations"][0]["was_cancelled"] = True
    found = read(json.dumps(tasks), name="export.json")
    assert labels(found) == SAID[:2]
    assert set(found.table["seconds"]) == {3.5}


def test_an_image_without_people_is_undetermined_for_every_attribute_of_a_sheet(read):
    found = read("image_id,n_people,gender,age\np0,none,,\n")
    assert [row[2:] for row in labels(found)] == [("gender", "cannot_tell"), ("age", "cannot_tell")]


def test_a_unique_prefix_names_an_attribute(read):
    found = read(f"{HEADER}\np0,ann,race,black\np0,ann,race_multi,Black|Asian\np0,ann,flag,minor\n")
    assert [row[2:] for row in labels(found)] == [
        ("race4", "Black"),
        ("race4_multi", "Black|Asian"),
        ("flag", "minor"),
    ]


def test_of_duplicate_annotations_the_last_counts_and_they_are_reported(read):
    found = read(f"{HEADER}\np0,ann,gender,man\np1,ann,gender,man\np0,ann,gender,woman\n")
    assert labels(found) == [("key1", "ann", "gender", "man"), ("key0", "ann", "gender", "woman")]
    (remark,) = found.remarks
    assert remark.startswith("1 annotations are duplicates") and remark.endswith("line 2)")


def test_the_second_row_of_an_image_shown_twice_is_a_repeat(read):
    text = f"{HEADER}\np0,ann,gender,man\np0,ann,gender,woman\n"
    found = read(text, repeats={"key0"})
    assert list(found.table["is_repeat"]) == [False, True]
    assert found.remarks == ()
    said = read(f"{HEADER},is_repeat\np0,ann,gender,man,1\np0,ann,gender,woman,0\n", repeats={"key0"})
    assert list(said.table["is_repeat"]) == [True, False]


def test_gold_images_come_from_the_batch_and_not_from_the_file(read):
    found = read(f"{HEADER},is_gold\np0,ann,gender,man,1\np1,ann,gender,man,0\n", gold={"key1"})
    assert list(found.table["is_gold"]) == [False, True]


def many(label, n=30):
    return "".join(f"p{number},ann,gender,{label(number)},2.5\n" for number in range(n))


def test_uniform_and_fast_annotators_are_reported_and_kept(read):
    header = f"{HEADER},seconds\n"
    found = read(header + many(lambda number: "woman"))
    assert found.remarks == ("annotator 'ann' gives the gender label 'woman' to 100% of 30 images",)
    assert len(found.table) == 30
    assert read(header + many(lambda number: "woman" if number % 2 else "man")).remarks == ()
    fast = read(header + many(lambda number: "woman" if number % 2 else "man").replace("2.5", "1.9"))
    assert fast.remarks == ("annotator 'ann' took under 2 seconds for 30 of 30 images",)


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
