"""A user's prompt CSV: what is read, and errors that name file, line and fix."""

import io
import tempfile
from dataclasses import astuple
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.strict_csv import MAX_BYTES, MAX_LENGTH
from evenhand.bench.prompts.prompt_set import PromptSet, format_seeds, load_prompt_set, parse_seeds
from evenhand.metrics.terms import format_cell, parse_cell

HEADER = "prompt,concept,template,kind,cell\n"
ROW = "a photo of a nurse,nurse,photo,neutral,\n"
CELL = "a photo of a female nurse,nurse,photo,explicit,gender=woman;tone=dark\n"
WITH_SEEDS = "prompt,concept,template,kind,cell,seeds\n"


@pytest.fixture
def load(tmp_path):
    def load(content, name="mine.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_prompt_set(path)

    return load


def test_rows_are_read_in_file_order(load):
    prompt_set = load(f"# from our archive\n{HEADER}{ROW}{CELL}")
    assert prompt_set.name == prompt_set.title == "mine"
    assert prompt_set.source == "from our archive"
    assert [prompt.text for prompt in prompt_set.prompts] == [
        "a photo of a nurse",
        "a photo of a female nurse",
    ]
    _, *values = astuple(prompt_set.prompts[1])
    assert values == [
        "a photo of a female nurse",
        "nurse",
        "photo",
        "explicit",
        {"gender": "woman", "tone": "dark"},
        (),
    ]


@pytest.mark.parametrize(
    "content",
    [
        (HEADER + ROW).replace("\n", "\r\n"),
        (HEADER + ROW).replace("\n", "\r"),
        "\ufeff" + HEADER + ROW,
        "\ufeff# a comment, with a comma\r\n" + HEADER + ROW,
        HEADER + ROW.rstrip(),
        (HEADER + ROW).replace(",", ";"),
        (HEADER + ROW).replace(",", "\t"),
        HEADER + ROW.replace("a photo of a nurse", '"a photo of a nurse"'),
    ],
)
def test_line_endings_byte_order_marks_separators_and_quotes_do_not_change_the_set(load, content):
    assert load(content).digest == load(HEADER + ROW).digest


def test_quoted_commas_quotes_and_other_scripts_are_kept(load):
    prompt_set = load(HEADER + '"a ""nurse"", smiling",nurse,photo,neutral,\nक्‍ष नर्स,nurse,photo,neutral,\n')
    assert [prompt.text for prompt in prompt_set.prompts] == ['a "nurse", smiling', "क्‍ष नर्स"]


@pytest.mark.parametrize(
    ("content", "line", "what"),
    [
        ("", 1, "the header is missing"),
        ("# only a comment", 2, "the header is missing"),
        ("prompt,concept\n" + ROW, 1, "the header is 'prompt,concept'"),
        ("Prompt,concept,template,kind,cell\n" + ROW, 1, "the header is"),
        (HEADER, 2, "no prompt follows"),
        ("# c\n" + HEADER, 3, "no prompt follows"),
        (HEADER + ROW + "a,b,photo,neutral\n", 3, "got 4"),
        (HEADER + "a, an apple,b,photo,neutral,\n", 2, "got 6"),
        (HEADER + ROW + "\n", 3, "got 0"),
        ("# c\n" + HEADER + ROW + ",nurse,photo,neutral,\n", 4, "column prompt must not be empty"),
        (HEADER + "a nurse,,photo,neutral,\n", 2, "column concept must not be empty"),
        (HEADER + "a nurse,nurse,,neutral,\n", 2, "column template must not be empty"),
        (HEADER + "a nurse,nurse,photo,,\n", 2, "column kind must not be empty"),
        (HEADER + " a nurse,nurse,photo,neutral,\n", 2, "leading or trailing spaces"),
        (HEADER + "a\tnurse,nurse,photo,neutral,\n", 2, "control character"),
        (HEADER + ROW + '"a\nnurse",nurse,photo,neutral,\n', 3, "line break"),
        (HEADER + "a\u2028nurse,nurse,photo,neutral,\n", 2, "line break"),
        (HEADER + "a nurse,nurse,photo,neutrl,\n", 2, "unknown kind 'neutrl'; did you mean 'neutral'"),
        (HEADER + "a nurse,nurse,photo,explicit,\n", 2, "explicit prompt must have a cell"),
        (HEADER + "a nurse,nurse,photo,neutral,gender=woman\n", 2, "must have an empty cell"),
        (HEADER + ROW + ROW, 3, "is already on line 2"),
        (HEADER + ROW + '"a nurse,nurse,photo,neutral,\n', 3, "not valid CSV"),
        (HEADER + '"a" nurse,nurse,photo,neutral,\n', 2, "not valid CSV"),
        ((HEADER + ROW).encode() + b"a n\xfcrse,nurse,photo,neutral,\n", 3, "not valid UTF-8"),
        (b"\xef\xbb\xbf" + HEADER.encode() + b"\xff,nurse,photo,neutral,\n", 2, "not valid UTF-8"),
        (HEADER + ROW + "a\0nurse,nurse,photo,neutral,\n", 3, "NUL"),
        (HEADER + "a" * (MAX_LENGTH + 1) + ",nurse,photo,neutral,\n", 2, "characters"),
        (HEADER + "a" * 200_000 + ",nurse,photo,neutral,\n", 2, "not valid CSV"),
    ],
)
def test_an_error_names_file_line_and_fix_in_one_short_line(load, content, line, what):
    with pytest.raises(EvenhandError) as fault:
        load(content)
    message = str(fault.value)
    assert f"mine.csv:{line}: " in message and what in message
    assert message.count("; ") == 1, "what is wrong, then the fix"
    assert "\n" not in message and len(message) < 500


@pytest.mark.parametrize(
    "cell",
    [
        "woman",
        "gender",
        "gender=",
        "=woman",
        "gender=woman;",
        "gender=a;gender=b",
        "Gender=woman",
        "gender=a=b",
        "gender =woman",
        "gender= woman",
        "gender=wo*man",
        "gender=woman,tone=dark",
        "gender=a  b",
    ],
)
def test_a_malformed_cell_is_rejected(load, cell):
    with pytest.raises(EvenhandError, match=r"mine\.csv:2: (cell|column cell|expected 5 columns)"):
        load(HEADER + f"a female nurse,nurse,photo,explicit,{cell}\n")


def test_the_row_limit_is_exact(load):
    assert len(load(HEADER + "a" * MAX_LENGTH + ",nurse,photo,neutral,\n").prompts[0].text) == MAX_LENGTH
    with pytest.raises(EvenhandError, match="must be at most 16 MiB"):
        load(b"#" * (MAX_BYTES + 1))


def test_a_missing_file_or_a_folder_is_an_error_that_names_it(tmp_path):
    for path in (tmp_path / "absent.csv", tmp_path, str(tmp_path / "absent.csv"), "a\0.csv"):
        with pytest.raises(EvenhandError, match="cannot be read"):
            load_prompt_set(path)


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(EvenhandError, match="unknown prompt set 'winobias36'; did you mean 'winobias-36'"):
        load_prompt_set("winobias36")


def test_the_digest_covers_name_version_and_every_field(load):
    base = load(HEADER + CELL)
    assert len(base.digest) == 64 and base.version == load(HEADER + CELL).version
    changed = [
        CELL.replace("a photo", "a photograph"),
        CELL.replace(",nurse,", ",nurses,"),
        CELL.replace(",photo,", ",image,"),
        CELL.replace("explicit", "over_correction"),
        CELL.replace("tone=dark", "tone=light"),
        CELL + ROW,
    ]
    digests = {load(HEADER + row).digest for row in changed}
    assert len(digests) == len(changed) and base.digest not in digests
    renamed = load(HEADER + CELL, "other.csv")
    assert renamed.digest != base.digest and renamed.prompts[0].id != base.prompts[0].id


def test_neither_the_comment_nor_the_order_within_a_cell_is_part_of_the_digest(load):
    swapped = CELL.replace("gender=woman;tone=dark", "tone=dark;gender=woman")
    assert load("# another comment\n" + HEADER + swapped).digest == load(HEADER + CELL).digest


def test_an_id_depends_on_set_and_text_alone(load):
    prompt = load(HEADER + ROW).prompts[0]
    assert load(HEADER + CELL + ROW.replace(",photo,", ",face,")).prompts[1].id == prompt.id
    assert len(prompt.id) == 16 and hash(prompt) == hash(load(HEADER + ROW).prompts[0])


def test_listed_seeds_are_read_and_are_part_of_the_digest(load):
    listed = load(f"{WITH_SEEDS}a nurse,nurse,bare,neutral,,4442;0;{2**63 - 1}\na cook,cook,bare,neutral,,\n")
    assert [prompt.seeds for prompt in listed.prompts] == [(4442, 0, 2**63 - 1), ()]
    assert listed.digest != load(f"{WITH_SEEDS}a nurse,nurse,bare,neutral,,4442\n").digest


def test_an_empty_seeds_column_does_not_change_the_digest(load):
    assert load(WITH_SEEDS + ROW.replace("\n", ",\n")).digest == load(HEADER + ROW).digest


@pytest.mark.parametrize(
    "seeds", ["x", "-1", "1.5", "1;", ";1", "1,2", "1; 2", "7;7", "٣", str(2**63), "9" * 5000]
)
def test_malformed_seeds_are_rejected(load, seeds):
    with pytest.raises(EvenhandError, match=r"mine\.csv:2: (seeds|expected 6 columns|column seeds)"):
        load(f"{WITH_SEEDS}a nurse,nurse,bare,neutral,,{seeds}\n")


@pytest.mark.slow
@given(st.lists(st.integers(0, 2**63 - 1), max_size=4, unique=True))
def test_seeds_round_trip(seeds):
    assert parse_seeds(format_seeds(seeds)) == tuple(seeds)


names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
groups = st.from_regex(r"[A-Za-z-]{1,6}( [A-Za-z-]{1,6})?", fullmatch=True)


@pytest.mark.slow
@given(st.dictionaries(names, groups, max_size=4))
def test_a_cell_survives_writing_and_reading(cell):
    assert parse_cell(format_cell(cell)) == cell


pieces = st.sampled_from(
    [HEADER.encode(), ROW.encode(), CELL.encode(), b"# c\n", b'"', b",", b"\n", b"\r", b"\0", b"\xff"]
)


@pytest.mark.slow
@given(
    st.one_of(
        st.binary(max_size=200), st.lists(st.one_of(pieces, st.binary(max_size=6)), max_size=8).map(b"".join)
    )
)
def test_any_bytes_give_a_prompt_set_or_an_evenhand_error(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fuzz.csv"
        path.write_bytes(data)
        try:
            prompt_set = load_prompt_set(path)
        except EvenhandError as fault:
            assert len(str(fault).splitlines()) == 1
        else:
            assert isinstance(prompt_set, PromptSet) and prompt_set.prompts


@pytest.mark.slow
@given(st.binary(min_size=1, max_size=3), st.integers(0, 10_000))
def test_any_damage_to_a_valid_file_gives_a_prompt_set_or_an_evenhand_error(noise, place):
    data = io.BytesIO((HEADER + ROW + CELL).encode())
    data.seek(place % len(data.getvalue()))
    data.write(noise)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fuzz.csv"
        path.write_bytes(data.getvalue())
        try:
            assert load_prompt_set(path).prompts
        except EvenhandError as fault:
            assert "fuzz.csv" in str(fault)
