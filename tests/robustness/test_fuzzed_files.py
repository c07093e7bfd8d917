"""Thousands of damaged files: every reader gives a result or a one-line error."""

import json

import pytest
from helpers.fuzz import json_mutants, mutants, value_or_one_line
from helpers.paths import ROOT, TINY

from evenhand.bench import mini
from evenhand.bench.errors import EvenhandError
from evenhand.bench.external_images.anchor_file import read_anchors
from evenhand.bench.external_images.image_list import read_list
from evenhand.bench.fetching.planned_images import plan
from evenhand.bench.leaderboard.entries import load_entry
from evenhand.bench.prompts.prompt_set import load_prompt_set
from evenhand.bench.results.result import Result
from evenhand.bench.stages.resources import load_confusion
from evenhand.bench.suites.audit_config import read_audit
from evenhand.bench.suites.suite import read_suite
from evenhand.bench.suites.targets import check_table, read_table
from evenhand.bench.suites.toml_text import to_toml
from evenhand.metrics.annotation.answers import check_answers
from evenhand.metrics.annotation.readers import read_answers

TAXONOMY = {"gender": ("woman", "man"), "tone": ("light", "medium", "dark")}
KEYS = {f"p{number}.png": f"k{number}" for number in range(6)}
ENTRY = ROOT / "reports" / "entries" / "uce@mini-v1"

SUITE = TINY.read_text()

AUDIT = """name = "a"
suite = "mini 1"
images = "ab"
panel = ["vit"]
primary = ["gender"]
report = [["gender"]]
[attributes]
gender = ["woman", "man"]
"""

PROMPTS = """# ours
prompt,concept,template,kind,cell,seeds
a photo of a nurse,nurse,photo,neutral,,1;2
"a female nurse, smiling",nurse,plain,explicit,gender=woman;tone=dark,3
a queen,queen,plain,over_correction,gender=woman,
"""

IMAGES = """file,prompt,concept,template,kind,cell,seed,model
p0.png,a photo of a nurse,nurse,photo,neutral,,0,base
p1.png,a photo of a nurse,nurse,photo,neutral,,1,base
p2.png,a female nurse,nurse,photo,explicit,gender=woman,9,base
"""

ANCHORS = "file,attribute,label,probability\n" + "".join(f"{file},gender,woman,0.5\n" for file in KEYS)

TARGET = """# ours
concept,attribute,group,share
*,gender,woman,0.5
*,gender,man,0.5
nurse,gender,woman,0.9
nurse,gender,man,0.1
"""

ANSWERS = "image_id,annotator_id,attribute,label,confidence,n_people,seconds,is_repeat\n" + "".join(
    f"{key},ann,gender,woman,2,one,3.5,0\n" for key in KEYS.values()
)

SHEET = "image_id,annotator,gender,tone\n" + "".join(f"{key},ann,woman,dark\n" for key in KEYS.values())

MARKS = ",gender,,tone,,\nimage_id,woman,man,light,medium,dark\nk0,1,,,,1\nk1,,1,1,,\n"

TASKS = [
    {
        "id": number,
        "data": {"image": f"http://x/abc/{key}.png"},
        "annotations": [
            {
                "completed_by": {"id": 3},
                "lead_time": 2.5,
                "created_at": "2024-01-01",
                "result": [
                    {"from_name": "gender", "value": {"choices": ["woman"]}},
                    {"from_name": "n_people", "value": {"choices": ["one"]}},
                ],
            }
        ],
    }
    for number, key in enumerate(KEYS.values())
]


def checked_target(path):
    table = read_table(path)
    check_table(table, TAXONOMY)
    return table


def checked_answers(path):
    known = {key: key for key in KEYS.values()}
    return check_answers(read_answers(path), known=known, taxonomy=TAXONOMY)


def entry_of(path):
    """The entry with this file as ``entry.json``; its tables exist but are not read."""
    folder = path.parent / ENTRY.name
    folder.mkdir(exist_ok=True)
    for table in ENTRY.glob("*.parquet"):
        (folder / table.name).touch()
    (folder / "entry.json").write_bytes(path.read_bytes())
    return load_entry(folder)


CSV_AND_TOML = {
    "suite": (SUITE, lambda path: plan(str(path)), ".toml"),
    "audit": (AUDIT, read_audit, ".toml"),
    "prompts": (PROMPTS, load_prompt_set, ".csv"),
    "image list": (IMAGES, lambda path: read_list(path, taxonomy=TAXONOMY, model="m"), ".csv"),
    "anchors": (ANCHORS, lambda path: read_anchors(path, keys=KEYS, taxonomy=TAXONOMY), ".csv"),
    "target": (TARGET, checked_target, ".csv"),
    "calibration": (
        "\n".join((mini.ROOT / "confusion.csv").read_text().splitlines()[:30]),
        lambda path: load_confusion(str(path)),
        ".csv",
    ),
    "answers": (ANSWERS, checked_answers, ".csv"),
    "wide sheet": (SHEET, checked_answers, ".csv"),
    "sheet of marks": (MARKS, checked_answers, ".csv"),
    "Label Studio's text": (json.dumps(TASKS), checked_answers, ".json"),
}

JSON = {
    "Label Studio": (TASKS, checked_answers, 300),
    "result": (json.loads((ENTRY / "entry.json").read_text())["result"], Result.load, 60),
    "entry": (json.loads((ENTRY / "entry.json").read_text()), entry_of, 60),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CSV_AND_TOML)
def test_a_damaged_text_is_read_or_rejected_in_one_line(name, tmp_path):
    text, read, suffix = CSV_AND_TOML[name]
    path = tmp_path / f"file{suffix}"
    path.write_text(text)
    read(path)
    refused = 0
    for mutant in mutants(text.encode(), count=300, seed=len(name)):
        path.write_bytes(mutant)
        refused += isinstance(value_or_one_line(lambda: read(path)), EvenhandError)
    assert 100 < refused < 300, "the damage is neither always harmless nor always fatal"


@pytest.mark.slow
@pytest.mark.parametrize("name", JSON)
def test_a_damaged_document_is_read_or_rejected_in_one_line(name, tmp_path):
    value, read, count = JSON[name]
    path = tmp_path / "file.json"
    path.write_text(json.dumps(value))
    read(path)
    refused = 0
    for mutant in json_mutants(value, count=count, seed=len(name)):
        path.write_text(json.dumps(mutant))
        refused += isinstance(value_or_one_line(lambda: read(path)), EvenhandError)
    assert 0 < refused <= count


def test_a_suite_that_is_read_round_trips(tmp_path):
    kept = 0
    for mutant in mutants(SUITE.encode(), count=600, seed=99):
        (tmp_path / "a.toml").write_bytes(mutant)
        suite = value_or_one_line(lambda: read_suite(tmp_path / "a.toml"))
        if isinstance(suite, EvenhandError):
            continue
        (tmp_path / "b.toml").write_text(to_toml(suite.model_dump(mode="json")), encoding="utf-8")
        assert read_suite(tmp_path / "b.toml") == suite
        kept += 1
    assert kept > 10


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"name = {'[' * 50_000}", "not valid TOML"),
        (f"steps = {'9' * 5000}", "not valid TOML"),
        (".".join("a" * 30_000) + " = 1", ":1: more than 250 dots"),
        ("#" * (2**20 + 1), "at most 1 MiB"),
    ],
    ids=["deep", "long number", "long key", "large"],
)
def test_a_suite_that_would_take_minutes_to_parse_is_rejected(tmp_path, text, reason):
    path = tmp_path / "suite.toml"
    path.write_text(text)
    with pytest.raises(EvenhandError, match=reason):
        read_suite(path)


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 100_000, '{"a":' * 100_000, "1e999", "NaN", '"\\ud800"'])
@pytest.mark.parametrize("read", [Result.load, read_answers, entry_of], ids=["result", "answers", "entry"])
def test_json_that_breaks_a_parser_is_rejected_in_one_line(tmp_path, text, read):
    path = tmp_path / "file.json"
    path.write_text(f'[{{"id": {text}')
    assert isinstance(value_or_one_line(lambda: read(path)), EvenhandError)
    path.write_text(text)
    assert isinstance(value_or_one_line(lambda: read(path)), EvenhandError)
