"""``evenhand cache push`` and ``pull``, in a folder and with the true client of the hub."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from helpers.cache import a_cache, a_run, copy_of_run, files, images, repaint
from helpers.paths import TESTS, TINY

pytestmark = pytest.mark.slow


def test_push_and_pull_say_what_they_copied(evenhand, tmp_path):
    cache, run = tmp_path / "cache", copy_of_run(tmp_path)
    pushed = evenhand("cache", "push", cache, "--run", run)
    count = len(images(a_cache()))
    assert pushed.code == 0, pushed.err
    assert pushed.out == (
        f"pushed to {cache}: {count} images, {2 * count} labels, 2 fits (eos-swap, random-attribute-prompt)\n"
    )
    pulled = evenhand("cache", "pull", cache, TINY, "--method", "base", "--run", tmp_path / "mine")
    assert pulled.out == f"pulled into {tmp_path / 'mine'} from {cache}: 8 images, 16 labels, 0 fits\n"
    assert "base: 8 images drawn again with identical pixels, 16 labels agree" in pulled.err


def test_json_has_counts_and_proofs(evenhand, tmp_path):
    outcome = evenhand(
        *("cache", "pull", a_cache(), TINY, "--method", "base", "--run", tmp_path / "run"),
        *("--check", 2, "--json"),
    )
    assert outcome.err == ""
    found = json.loads(outcome.out)
    assert found["proofs"] == [{"method": "base", "images": 2, "identical": 2, "furthest": 0.0}]
    assert (found["images"], found["labels"], found["fits"]) == (8, 16, [])
    pushed = json.loads(
        evenhand("cache", "push", tmp_path / "c", "--run", copy_of_run(tmp_path / "r"), "--json").out
    )
    assert pushed["left_out"] == {} and pushed["fits"] == ["eos-swap", "random-attribute-prompt"]


def test_a_false_image_is_one_line_with_exit_code_2(evenhand, tmp_path):
    cache = shutil.copytree(a_cache(), tmp_path / "cache")
    for path in images(cache):
        repaint(path, 1)
    outcome = evenhand("cache", "pull", cache, TINY, "--run", tmp_path / "run")
    assert outcome.code == 2 and outcome.out == ""
    assert outcome.err.splitlines()[-1].startswith(
        f"evenhand: nothing was taken from {cache}: the image of base"
    )


def test_the_hub_is_not_used_without_online(evenhand, tmp_path):
    for words in (("pull", "hf://datasets/org/cache", TINY), ("push", "hf://datasets/org/cache")):
        outcome = evenhand("cache", *words, "--run", copy_of_run(tmp_path / words[0]))
        assert outcome.code == 2 and "is used only with --online" in outcome.err


@pytest.fixture
def hub(tmp_path):
    """A server with an empty dataset, in another process: its folder, and the environment of its users."""
    root = tmp_path / "dataset"
    root.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-m", "helpers.hub_server", str(root)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        settings = {"HF_ENDPOINT": server.stdout.readline().strip(), "HF_HOME": str(tmp_path / "home")}
        yield root, {**environment, **settings, "HF_TOKEN": "hf_test", "HF_HUB_DISABLE_XET": "1"}
        server.kill()


def in_a_process(environment, *arguments):
    code = "from evenhand.bench.cli.main import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_cache_on_the_hub_is_pushed_and_pulled_by_its_client(hub, tmp_path):
    root, environment = hub
    name = "hf://datasets/org/cache"
    pushed = in_a_process(environment, "cache", "push", name, "--run", copy_of_run(tmp_path), "--online")
    assert pushed.returncode == 0, pushed.stderr
    assert files(root) == files(a_cache())
    log = root.with_suffix(".log")
    log.write_text("")
    words = ("cache", "pull", name, TINY, "--method", "base", "--run", tmp_path / "mine", "--online")
    pulled = in_a_process(environment, *words)
    assert pulled.returncode == 0, pulled.stderr
    assert pulled.stdout.startswith(f"pulled into {tmp_path / 'mine'} from {name}@")
    assert {path.name for path in (tmp_path / "mine" / "images").rglob("*.png")} == {
        path.name for path in images(a_cache(), "baseline") if path.stem in set(baseline_keys())
    }
    downloads = [line for line in log.read_text().splitlines() if "GET" in line and ".png" in line]
    assert len(downloads) == 8, "only the images that the run lacks"
    again = in_a_process(environment, "cache", "push", name, "--run", tmp_path / "run", "--online")
    assert "0 images, 0 labels, 0 fits" in again.stdout and files(root) == files(a_cache())
    other = in_a_process(environment, "cache", "pull", "hf://datasets/org/other", "--online")
    assert other.returncode == 2 and other.stderr.count("\n") == 1
    assert "is not on the hub, or private" in other.stderr


def baseline_keys():
    from evenhand.bench.storage.run_folder import RunFolder

    rows = RunFolder(a_run()).image_table.read()
    return rows.loc[rows["method"] == "base", "key"]
