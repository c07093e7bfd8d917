"""Reading the folder of entries: strict, and one line per error."""

import json

import pytest
from helpers.report import a_result

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.entries import read_entries
from evenhand.bench.results.entry import ENTRY_FILE, Entry, entry_name
from evenhand.bench.results.result import Timing

BASE = a_result("base", concepts=["nurse"])


def load_entries(folder):
    """The entries; raises the first fault."""
    loaded, faults = read_entries(folder)
    for fault in faults:
        raise fault
    return list(loaded.values())


def write(folder, result, name=None):
    entry = Entry(result=result, timing=Timing(method=result.spec.method.label, fit_seconds=1.5))
    path = folder / (name or entry_name(result)) / ENTRY_FILE
    path.parent.mkdir()
    path.write_text(entry.to_json(), encoding="utf-8")
    return path


def test_entry_round_trips(tmp_path):
    (tmp_path / "README.md").write_text("# Entries")
    for label in ("uce", "mist:step_size=0.5,rounds=3"):
        write(tmp_path, a_result(label, concepts=["nurse"]))
    entries = load_entries(tmp_path)
    assert [e.result.spec.method.label for e in entries] == ["mist:step_size=0.5,rounds=3", "uce"]
    assert [e.timing.fit_seconds for e in entries] == [1.5, 1.5]
    assert sorted(p.name for p in tmp_path.glob("*@*")) == [
        "mist-step-size-0.5-rounds-3@mini-quick-v1",
        "uce@mini-quick-v1",
    ]


def test_settings_that_differ_in_a_sign_have_two_entries(tmp_path):
    for label in ("uce:x=0.5", "uce:x=-0.5", "uce:x=[1.0,-0.5]", "uce:x=[1.0,0.5]"):
        write(tmp_path, a_result(label, concepts=["nurse"]))
    assert len(load_entries(tmp_path)) == 4


def test_misnamed_entry_is_refused_with_its_correct_name(tmp_path):
    write(tmp_path, BASE, "mine")
    with pytest.raises(EvenhandError, match=r"misnamed; rename it to base@mini-quick-v1"):
        load_entries(tmp_path)


def test_code_in_the_entries_folder_is_refused(tmp_path):
    (tmp_path / "entry.py").write_text("print(1)")
    with pytest.raises(EvenhandError, match=r"entry\.py is not an entry"):
        load_entries(tmp_path)
    (tmp_path / "entry.py").unlink()
    (write(tmp_path, BASE).parent / "conftest.py").write_text("print(1)")
    with pytest.raises(EvenhandError, match=r"contains 'conftest\.py'"):
        load_entries(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"[]", "schema version must be 2, got None"),
        (b'{"result": {"schema_version": 99}}', "schema version must be 2, got 99"),
        (b'{"result": {"schema_version": 2}}', "is not valid"),
    ],
)
def test_invalid_entry_is_a_one_line_error_with_the_file(tmp_path, content, message):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / ENTRY_FILE).write_bytes(content)
    with pytest.raises(EvenhandError, match=message) as fault:
        load_entries(tmp_path)
    assert "x" in str(fault.value) and "\n" not in str(fault.value)


def test_unknown_fields_are_refused(tmp_path):
    path = write(tmp_path, BASE)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"code": "import os"}))
    with pytest.raises(EvenhandError, match="code"):
        load_entries(tmp_path)


def test_missing_folder_is_an_error(tmp_path):
    with pytest.raises(EvenhandError, match="does not exist"):
        load_entries(tmp_path / "none")


def test_errors_of_some_entries_leave_the_others_readable(tmp_path):
    write(tmp_path, BASE)
    write(tmp_path, a_result("mist", concepts=["nurse"]), "mine")
    loaded, faults = read_entries(tmp_path)
    assert [path.name for path in loaded] == ["base@mini-quick-v1"]
    assert len(faults) == 1 and "misnamed" in str(faults[0])


def test_file_that_an_entry_lists_must_be_there(tmp_path):
    path = write(tmp_path, BASE)
    data = json.loads(path.read_text()) | {"files": {"images.parquet": "00" * 32}}
    path.write_text(json.dumps(data))
    with pytest.raises(EvenhandError, match=r"lacks its file images\.parquet"):
        load_entries(tmp_path)
