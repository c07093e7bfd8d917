"""The image list of an audit: what is read, and errors with their line."""

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.external_images.image_list import read_list

TAXONOMY = {"gender": ("woman", "man"), "tone": ("light", "medium", "dark")}
HEADER = "file,prompt,concept\n"
FULL = "file,prompt,concept,template,kind,cell,seed,model\n"


@pytest.fixture
def load(tmp_path):
    def call(text: str):
        path = tmp_path / "list.csv"
        path.write_text(text, encoding="utf-8")
        return read_list(path, taxonomy=TAXONOMY, model="service")

    return call


def test_the_minimal_list_has_neutral_prompts_of_one_model_in_list_order(load):
    listed = load(HEADER + "b.png,a nurse,nurse\na.png,a nurse,nurse\nc.png,a cook,cook\n")
    assert [(row.file, row.model, row.seed, row.seed_index) for row in listed.rows] == [
        ("b.png", "service", None, 0),
        ("a.png", "service", None, 1),
        ("c.png", "service", None, 0),
    ]
    assert {row.prompt.kind for row in listed.rows} == {"neutral"}
    assert (listed.concepts, listed.models, listed.has_seeds) == (("nurse", "cook"), ("service",), False)
    assert (listed.card.name, listed.card.prompts) == ("list", 2)


def test_a_concept_in_two_spellings_is_refused(load):
    with pytest.raises(
        EvenhandError, match=r"list\.csv: concepts 'nurse' and 'Nurse' differ only in letter case"
    ):
        load(HEADER + "a.png,a nurse,nurse\nb.png,a kind nurse,Nurse\n")


def test_a_list_without_people_is_refused(load):
    row = "a.png,a cat,cat,photo,unrelated,,1,x\n"
    with pytest.raises(
        EvenhandError, match=r"list\.csv: every image has kind 'unrelated', .* add images of people"
    ):
        load(FULL + row)
    assert len(load(FULL + row + "b.png,a nurse,nurse,photo,explicit,gender=woman,1,x\n").rows) == 2


def test_columns_may_be_in_any_order_and_seeds_number_the_images(load):
    listed = load(
        "model,seed,cell,file,kind,concept,template,prompt\n"
        "x,9,,x/9.png,,nurse,photo,a nurse\n"
        "y,2,,y/2.png,,nurse,photo,a nurse\n"
        "x,2,,x/2.png,,nurse,photo,a nurse\n"
        "y,9,,y/9.png,,nurse,photo,a nurse\n"
        "x,0,gender=woman;tone=dark,x/e.png,explicit,nurse,photo,a dark female nurse\n"
        "y,0,gender=woman;tone=dark,y/e.png,explicit,nurse,photo,a dark female nurse\n"
    )
    places = {row.file: row.seed_index for row in listed.rows}
    assert places == {"x/9.png": 1, "y/2.png": 0, "x/2.png": 0, "y/9.png": 1, "x/e.png": 0, "y/e.png": 0}
    assert listed.rows[4].prompt.cell == {"gender": "woman", "tone": "dark"}
    assert listed.has_seeds
    assert listed.table()["cell"].tolist() == [""] * 4 + ["gender=woman;tone=dark"] * 2


def test_the_digest_changes_with_every_column(load):
    row = "a.png,a nurse,nurse,photo,neutral,,1,x\n"
    others = (
        "b.png,a nurse,nurse,photo,neutral,,1,x\n",
        "a.png,the nurse,nurse,photo,neutral,,1,x\n",
        "a.png,a nurse,cook,photo,neutral,,1,x\n",
        "a.png,a nurse,nurse,other,neutral,,1,x\n",
        "a.png,a nurse,nurse,photo,person,,1,x\n",
        "a.png,a nurse,nurse,photo,explicit,gender=woman,1,x\n",
        "a.png,a nurse,nurse,photo,explicit,gender=man,1,x\n",
        "a.png,a nurse,nurse,photo,neutral,,2,x\n",
        "a.png,a nurse,nurse,photo,neutral,,1,y\n",
    )
    digests = {load(FULL + text).card.digest for text in (row, *others)}
    assert len(digests) == 1 + len(others)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "column 'file' is missing"),
        ("file,prompt\na.png,a nurse\n", 1, "column 'concept' is missing"),
        ("file,prompt,concept,sed\n", 1, "unknown column 'sed'; did you mean 'seed'?"),
        ("file,prompt,concept,file\n", 1, "column 'file' appears twice"),
        (HEADER, 2, "no rows after"),
        (HEADER + "a.png,a nurse\n", 2, "got 2"),
        (HEADER + ",a nurse,nurse\n", 2, "column file must not be empty"),
        (HEADER + "a.png,,nurse\n", 2, "column prompt must not be empty"),
        (HEADER + "a.png,a nurse,nurse\na.png,a cook,cook\n", 3, "'a.png' is already on line 2"),
        (HEADER + "a.png,a nurse,nurse\n./a.png,a cook,cook\n", 3, "'a.png' is already on line 2"),
        (
            HEADER + "a.png,a nurse,nurse\nb.png,a nurse,cook\n",
            3,
            "a different concept, template, kind or cell",
        ),
        (HEADER + "../a.png,a nurse,nurse\n", 2, "must be a path inside the image folder"),
        (HEADER + "/a.png,a nurse,nurse\n", 2, "must be a path inside the image folder"),
        (HEADER + "x\\a.png,a nurse,nurse\n", 2, "with '/'"),
        (FULL + "a.png,a nurse,nurse,,nutral,,1,x\n", 2, "'nutral'; did you mean 'neutral'?"),
        (FULL + "a.png,a nurse,nurse,,explicit,,1,x\n", 2, "explicit prompt must have a cell"),
        (FULL + "a.png,a nurse,nurse,,neutral,gender=man,1,x\n", 2, "must have an empty cell"),
        (FULL + "a.png,a nurse,nurse,,explicit,gendre=man,1,x\n", 2, "did you mean 'gender'?"),
        (FULL + "a.png,a nurse,nurse,,explicit,gender=men,1,x\n", 2, "did you mean 'man'?"),
        (FULL + "a.png,a nurse,nurse,,,,one,x\n", 2, "must be an integer from 0 to 2^63 - 1, got 'one'"),
        (FULL + "a.png,a nurse,nurse,,,,-1,x\n", 2, "got '-1'"),
        (FULL + "a.png,a nurse,nurse,,,,,x\n", 2, "column seed must not be empty"),
        (FULL + "a.png,a nurse,nurse,,,,1,\n", 2, "column model must not be empty"),
        (FULL + "a.png,a nurse,nurse,,,,1,x\nb.png,a nurse,nurse,,,,1,x\n", 3, "on line 2; keep one"),
    ],
)
def test_an_error_is_one_line_with_file_and_line(load, text, line, words):
    with pytest.raises(EvenhandError) as caught:
        load(text)
    message = str(caught.value)
    assert f"list.csv:{line}: " in message
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("a.png,a nurse,nurse,x\nb.png,a nurse,nurse,x\nc.png,a nurse,nurse,y\n", "'x' has image 2"),
        ("a.png,a nurse,nurse,x\nb.png,a cook,cook,y\n", "'y' has image 1 of prompt 'a cook', but 'x'"),
    ],
)
def test_models_with_different_prompts_are_rejected(load, rows, words):
    with pytest.raises(EvenhandError, match="give all models the same prompts") as caught:
        load("file,prompt,concept,model\n" + rows)
    assert words in str(caught.value)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_lists_of_spreadsheets_may_have_semicolons_or_tabs(load, delimiter):
    row = 'b.png|a female nurse|nurse|explicit|"gender=woman;tone=dark"\n'.replace("|", delimiter)
    text = delimiter.join(["file", "prompt", "concept", "kind", "cell"]) + f"\n{row}"
    listed = load(text)
    assert [(one.file, one.prompt.text, one.prompt.cell) for one in listed.rows] == [
        ("b.png", "a female nurse", {"gender": "woman", "tone": "dark"})
    ]
