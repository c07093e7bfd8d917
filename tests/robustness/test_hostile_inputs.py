"""Inputs made to hang, flood or crash Evenhand end in a result or in one line, in bounded time and memory."""

import json
import random
import shutil

import pandas as pd
import pytest
from helpers.families import saved
from helpers.fuzz import value_or_one_line
from helpers.hostile import NOT_FILES, replace, watched
from helpers.hostile_cases import CASES, ENTRY, FAMILIES, READERS, used
from helpers.humans import a_run
from helpers.paths import ROOT, TINY
from helpers.report import a_result
from helpers.stored_run import of_suite

from evenhand.bench.errors import EvenhandError
from evenhand.bench.fetching.planned_images import plan
from evenhand.bench.leaderboard.entries import load_entry
from evenhand.bench.results.result import Result
from evenhand.bench.stages.resources import load_confusion
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.storage.stored_run import load_run
from evenhand.bench.storage.tables import Table
from evenhand.bench.suites.suite import read_suite


@pytest.mark.parametrize("kind", NOT_FILES)
@pytest.mark.parametrize("name", READERS)
def test_what_is_not_a_file_is_refused_by_every_reader(tmp_path, name, kind):
    replace(tmp_path / name, NOT_FILES[kind])
    with watched():
        assert isinstance(value_or_one_line(lambda: READERS[name](tmp_path / name)), EvenhandError)


@pytest.mark.parametrize("kind", NOT_FILES)
@pytest.mark.parametrize("name", ["entry.json", "images.parquet", "labels.parquet"])
def test_what_is_not_a_file_is_refused_in_an_entry(tmp_path, name, kind):
    entry = shutil.copytree(ENTRY, tmp_path / ENTRY.name)
    replace(entry / name, NOT_FILES[kind])
    with watched():
        value_or_one_line(lambda: load_entry(entry))


@pytest.mark.parametrize("kind", NOT_FILES)
def test_what_is_not_a_file_is_a_missing_table_or_image(tmp_path, kind):
    table = Table(tmp_path, "labels", keys=("key",))
    store = ImageStore(tmp_path / "images")
    replace(table.path, NOT_FILES[kind])
    replace(table.parts / "part-1.parquet", NOT_FILES[kind])
    replace(store.path("ab12"), NOT_FILES[kind])
    with watched():
        assert table.read().empty
        assert store.get("ab12") is None


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small run folder with results and tables; every test gets a copy."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    a_run(folder, concepts=("nurse",))
    # Two concepts, so that the reports of the tests are short.
    results = [a_result(label, concepts=("nurse", "CEO")) for label in ("base", "uce")]
    RunFolder(folder).write_results(of_suite(results, read_suite(folder / "suite.toml")))
    rows = [{"method": "base", "machine": "a", "generate_seconds": 2.5}]
    (folder / "timing.json").write_text(json.dumps(rows))
    # Nothing reads these two, so damage to them is harmless.
    for name in ("run.log", "report.html"):
        (folder / name).write_text("written by a run\n")
    load_run(folder)
    return folder


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


FILES = (
    "suite.toml",
    "timing.json",
    "run.log",
    "results/base.json",
    "tables/labels.parquet",
    "tables/images.parquet",
    "tables/anchors.csv",
    "images/index.txt",
    ".lock",
    "report.html",
)


@pytest.mark.parametrize("kind", NOT_FILES)
@pytest.mark.parametrize("name", FILES)
def test_what_is_not_a_file_in_a_run_folder_is_refused_or_ignored(run, name, kind):
    replace(run / name, NOT_FILES[kind])
    with watched():
        try:
            value_or_one_line(lambda: used(run))
        except OSError as fault:
            assert fault.filename, "the command line names the file"
        value_or_one_line(lambda: load_run(run))


@pytest.mark.parametrize("seconds", ["Infinity", "1e999", "NaN", "-1.0", '"many"', "9" * 5000])
def test_a_time_that_is_no_number_of_seconds_is_refused(run, seconds):
    path = run / "timing.json"
    path.write_text(path.read_text().replace("2.5", seconds))
    with pytest.raises(EvenhandError, match=r"timing\.json: file is damaged; remove it"):
        load_run(run)


@pytest.mark.parametrize("kind", NOT_FILES)
def test_something_else_in_place_of_the_times_is_damage(run, kind):
    replace(run / "timing.json", NOT_FILES[kind])
    with watched(), pytest.raises(EvenhandError, match=r"timing\.json: file is damaged; remove it"):
        load_run(run)


def test_a_large_file_of_times_is_refused(run):
    row = {"method": "m", "machine": "a", "generate_seconds": 1.0}
    rows = [row | {"method": f"m{number}"} for number in range(50_000)]
    (run / "timing.json").write_text(json.dumps(rows))
    with pytest.raises(EvenhandError, match=r"timing\.json: file is damaged; remove it"):
        load_run(run)


@pytest.mark.parametrize("way", ["link", "copy", "part"])
def test_a_table_with_other_columns_is_regenerated_by_a_run_and_refused_by_a_report(run, tmp_path, way):
    labels, images = run / "tables" / "labels.parquet", run / "tables" / "images.parquet"
    if way == "part":
        part = run / "tables" / "labels" / "part-1.parquet"
        part.parent.mkdir()
        part.symlink_to(images)
        expected = len(pd.read_parquet(labels))
    else:
        labels.unlink()
        labels.symlink_to(images) if way == "link" else shutil.copy(images, labels)
        expected = 0
    assert len(RunFolder(run).labels.read()) == expected
    with pytest.raises(EvenhandError, match="table is truncated or altered; run the same"):
        load_run(run)


@pytest.mark.parametrize(
    "text", ["\ud800", "a" * 10**6, "\u202e\u05d0" * 30_000], ids=["surrogate", "long", "rtl"]
)
@pytest.mark.parametrize(
    "place", [("label",), ("version",), ("family",), ("parameters", "x")], ids=lambda keys: keys[-1]
)
def test_a_result_with_a_text_that_no_page_can_show_is_refused(run, text, place):
    path = run / "results" / "uce.json"
    data = json.loads(path.read_text())
    inner = data["spec"]["method"]
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = text
    path.write_text(json.dumps(data))
    with pytest.raises(EvenhandError, match=r"uce\.json: result cannot be read"):
        Result.load(path)


def assert_refused(outcome):
    """One line on standard error and exit code 2."""
    assert outcome.code == 2, outcome.err
    assert outcome.err.startswith("evenhand: ") and outcome.err.count("\n") == 1, outcome.err
    assert len(outcome.err) < 1500


def suite_with(old: str, new: str) -> str:
    text = TINY.read_text()
    assert old in text
    return text.replace(old, new, 1)


PANEL = 'panel = ["clip-s", "vit"]'
USE = TINY.read_text().partition("[[prompts]]")[2].partition("[bootstrap]")[0]

SUITES = {
    "dots in a judge": suite_with(PANEL, f'panel = ["vit:{"a." * 100}a=1", "vit:a={"b." * 20_000}"]'),
    "escaped dots in a judge": suite_with(PANEL, 'panel = ["vit:' + "a\\u002e" * 100_000 + 'a=1"]'),
    "escaped dots in a value": suite_with(PANEL, 'panel = ["vit:a=1\\n' + "a\\u002e" * 100_000 + 'a=1"]'),
    "20,000 brackets": suite_with(PANEL, f'panel = ["vit:a={"[" * 20_000}"]'),
    "900,000 brackets": suite_with(PANEL, f'panel = ["vit:a={"[" * 900_000}"]'),
    "brackets in another judge": suite_with(PANEL, f'{PANEL}\nnon_voting_judges = ["vit:a={"[" * 300_000}"]'),
    "300,000 quotes": suite_with(PANEL, "panel = ['vit:a=" + '"' * 300_000 + "']"),
    "single quotes": suite_with(PANEL, 'panel = ["vit:a=' + "'" * 400_000 + '"]'),
    "50,000 judges": suite_with(PANEL, f"panel = {json.dumps([f'v{n}' for n in range(50_000)])}"),
    "30,000 parameters": suite_with(PANEL, f'panel = ["vit:{",".join(f"a{n}=1" for n in range(30_000))}"]'),
    "50,000 defaults": suite_with('defaults = ["base"]', f"defaults = {json.dumps(['mist'] * 50_000)}"),
    "50,000 fits": suite_with(
        'defaults = ["base"]', f"defaults = {json.dumps([f'mist:rounds={n}' for n in range(50_000)])}"
    ),
    "10,000 prompt uses": suite_with("[bootstrap]", f"[[prompts]]{USE}" * 10_000 + "[bootstrap]"),
    "uses in one line": suite_with(f"[[prompts]]{USE}", "").replace(
        'name = "tiny"', 'name = "tiny"\nprompts = [' + '{name="winobias-40",seeds=1},' * 20_000 + "]"
    ),
    "100,000 seeds of every prompt": suite_with(USE, '\nname = "winobias-40"\nseeds = 100000\n'),
    "100,000 seeds in many uses": suite_with(
        "[bootstrap]", f"[[prompts]]{USE}".replace("= 4", "= 100000") * 50 + "[bootstrap]"
    ),
    "50,000 concepts": suite_with('["nurse", "CEO"]', json.dumps([f"n{n}" for n in range(50_000)])),
    "50,000 times one concept": suite_with('["nurse", "CEO"]', json.dumps(["nurse"] * 50_000)),
    "50,000 attribute sets": suite_with('report = [["gender"]]', f"report = {[['gender']] * 50_000}"),
    "5,000 attributes": TINY.read_text()
    + "".join(
        f'\n[attributes.a{n}.groups]\na = {{adjective="a"}}\nb = {{adjective="b"}}' for n in range(5000)
    ),
    "20,000 groups": suite_with(
        "[attributes.gender.groups]",
        "[attributes.gender.groups]\n" + "\n".join(f'g{n} = {{adjective="a"}}' for n in range(20_000)),
    ),
    "a long name": suite_with('model = "mini"', f'model = "{"x" * 500_000}"'),
    "a long path of a target": suite_with(PANEL, f'{PANEL}\ntarget = "{"a/" * 5000}t.csv"'),
    "a long name of a target": suite_with(PANEL, f'{PANEL}\ntarget = "{"x" * 300}.csv"'),
    "a long name of a prompt file": suite_with('"winobias-40"', f'"{"x" * 300}.csv"'),
}


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_that_has_too_much_of_something_is_refused(tmp_path, evenhand, name):
    path = tmp_path / "suite.toml"
    path.write_text(SUITES[name])
    with watched():
        assert_refused(evenhand("run", path, "--dry-run"))


def test_the_message_names_the_list_and_its_limit(tmp_path, evenhand):
    path = tmp_path / "suite.toml"
    path.write_text(SUITES["50,000 judges"])
    assert "panel: must have at most 50 entries; remove some" in evenhand("run", path, "--dry-run").err


@pytest.mark.parametrize("file", ["/proc/self/mem", "/proc/kmsg", "/dev/urandom", "/dev/full", "/etc"])
@pytest.mark.parametrize("key", ["target", "prompts", "calibration"])
def test_a_suite_that_names_a_device_is_refused(tmp_path, file, key):
    text = TINY.read_text()
    if key == "prompts":
        text = text.replace('"winobias-40"', f'"{file}"')
    else:
        text = text.replace('model = "mini"', f'model = "mini"\n{key} = "{file}"')
    path = tmp_path / "suite.toml"
    path.write_text(text)
    with watched():
        read = (lambda: load_confusion(file)) if key == "calibration" else (lambda: plan(str(path)))
        assert isinstance(value_or_one_line(read), EvenhandError)


BESIDE = {
    "a file": "file/run",
    "a device": "/dev/null/run",
    "a process": "/proc/self/run",
    "a name that is too long": f"{'x' * 300}/run",
    "a path that is too long": "y/" * 3000 + "run",
    "a loop": "loop/run",
    "a NUL byte": "a\0b",
}


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("command", ["run", "report", "method export", "annotate export", "audit"])
def test_a_folder_that_cannot_exist_is_refused(tmp_path, monkeypatch, evenhand, run, command, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "images").mkdir()
    where = BESIDE[name]
    lines = {
        "run": ["run", TINY, "--out", where],
        "report": ["report", where],
        "method export": ["method", "export", "uce", "--run", run, "--out", where],
        "annotate export": ["annotate", "export", run, "--out", where],
        "audit": ["audit", "images", "--suite", "mini-quick", "--out", where],
    }
    with watched():
        assert_refused(evenhand(*lines[command]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", NOT_FILES)
@pytest.mark.parametrize(
    "name", ["results/uce.json", "tables/labels.parquet", "timing.json", "suite.toml", "report.html"]
)
def test_a_report_of_a_run_with_something_else_in_place_of_a_file_ends(run, evenhand, name, kind):
    replace(run / name, NOT_FILES[kind])
    with watched(charts=True):
        outcome = evenhand("report", run)
    if outcome.code:
        assert_refused(outcome)


def test_a_calculation_without_enough_memory_is_one_line(evenhand, monkeypatch):
    def demand(*_arguments, **_settings):
        raise MemoryError("Unable to allocate 7.28 TiB")

    monkeypatch.setattr("evenhand.bench.fetching.planned_images.plan", demand)
    outcome = evenhand("run", TINY, "--dry-run")
    assert_refused(outcome)
    assert "out of memory (Unable to allocate 7.28 TiB)" in outcome.err


@pytest.fixture
def nothing_drawn(monkeypatch):
    """A dry run does not draw the batch by which it estimates the time."""

    def refuse(_suite):
        raise EvenhandError("nothing is drawn here")

    monkeypatch.setattr("evenhand.bench.stages.trial_batch.draw_a_batch", refuse)


def is_refused(make, *, folder, seed, **needs):
    """Make the case of this seed, check that it gives a result or one line, and return which."""
    place = folder / "case"
    place.mkdir()
    try:
        call = make(random.Random(seed), place, **needs)
        with watched():
            outcome = value_or_one_line(call)
    except OSError as fault:
        assert fault.strerror, "the command line reports it in one line"
        return True
    except BaseException as fault:
        fault.add_note(f"seed {seed}")
        raise
    finally:
        shutil.rmtree(place)
    return isinstance(outcome, EvenhandError) or (isinstance(outcome, int) and outcome == 2)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a tiny pipeline."""
    return saved("sd1", tmp_path_factory)


NEEDS = {"run": "finished", "model": "model"}
"""Families to what they make a damaged copy of: a fixture, and the name of their parameter."""


def assert_result_or_one_line(family, *, seeds, folder, request):
    more = {NEEDS[family]: request.getfixturevalue(NEEDS[family])} if family in NEEDS else {}
    refused = [is_refused(FAMILIES[family], folder=folder, seed=seed, **more) for seed in seeds]
    assert 0 < sum(refused) < len(refused), "the damage is neither always harmless nor always fatal"


@pytest.mark.usefixtures("nothing_drawn")
@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in ("model", "command line")])
def test_thirty_random_inputs_give_a_result_or_one_line(family, tmp_path, request, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_result_or_one_line(family, seeds=range(30), folder=tmp_path, request=request)


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_drawn")
@pytest.mark.parametrize("family", FAMILIES)
def test_thousands_of_random_inputs_give_a_result_or_one_line(family, tmp_path, request, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seeds = range(CASES[family])
    assert_result_or_one_line(family, seeds=seeds, folder=tmp_path, request=request)


def test_the_number_of_random_inputs_is_at_least_ten_thousand_and_stated():
    cases = sum(CASES.values())
    assert cases >= 10_000 and CASES.keys() == FAMILIES.keys()
    text = " ".join((ROOT / "docs" / "reliability.md").read_text().split())
    assert f"{cases:,} random suites, CSV files, entries, run folders, images, model folders" in text
