"""The registry finds what installed packages declare, and reports what is wrong with them."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from evenhand.bench.catalog import find
from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry.entry_points import JUDGES, METHODS, METRICS, PROMPTS, SUITES, Registry
from evenhand.bench.registry.judge_spec import judge_recipe

GROUP = "evenhand.test_things"
THINGS = Registry("thing", GROUP)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a package on the path that declares entry points, as an installer would."""

    def call(name: str, **entries: str) -> None:
        site = tmp_path / name
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"{key} = {value}" for key, value in entries.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))
        monkeypatch.syspath_prepend(site)

    return call


def test_names_of_all_packages_are_sorted_and_loading_gives_the_object(install):
    install("first", zebra="json:dumps")
    install("second", ant="json:loads")
    assert THINGS.names() == ["ant", "zebra"]
    import json

    assert THINGS.get("ant") is json.loads


def test_a_package_that_is_installed_or_removed_while_the_process_runs_is_noticed(install):
    install("first", zebra="json:dumps")
    site = Path(sys.path[0])
    # Long ago, so that the next change has another time however coarse the clock of the file system is.
    os.utime(site, (1, 1))
    assert THINGS.names() == ["zebra"]
    info = site / "later-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: later\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nant = json:loads\n")
    assert THINGS.names() == ["ant", "zebra"]
    os.utime(site, (2, 2))
    assert THINGS.names() == ["ant", "zebra"]
    shutil.rmtree(info)
    assert THINGS.names() == ["zebra"]


def test_listing_names_loads_no_package(install):
    install("broken", thing="no_such_module_at_all:thing")
    assert THINGS.names() == ["thing"]


def test_unknown_name_suggests_the_nearest(install):
    install("first", nurse="json:dumps", doctor="json:loads")
    with pytest.raises(EvenhandError, match=r"^unknown thing 'nurze'; did you mean 'nurse'\?$"):
        THINGS.get("nurze")


def test_unknown_name_without_a_near_match_lists_the_known_names(install):
    install("first", nurse="json:dumps", doctor="json:loads")
    with pytest.raises(EvenhandError, match=r"^unknown thing 'xyzzy'; known: doctor, nurse$"):
        THINGS.get("xyzzy")


@pytest.mark.parametrize(
    ("target", "reason"),
    [("no_such_module_at_all:thing", "ModuleNotFoundError"), ("json:no_such_function", "AttributeError")],
)
def test_a_package_that_fails_to_load_is_named_with_the_reason(install, target, reason):
    install("broken", thing=target)
    with pytest.raises(EvenhandError, match=rf"^thing 'thing' of package broken fails to load .*{reason}"):
        THINGS.get("thing")


def test_two_packages_that_claim_one_name_are_both_named(install):
    install("first", thing="json:dumps")
    install("second", thing="json:loads")
    with pytest.raises(EvenhandError, match=r"registered twice, as json:dumps and json:loads; uninstall"):
        THINGS.names()


def test_the_same_registration_found_twice_is_not_a_conflict(install):
    install("first", thing="json:dumps")
    install("again", thing="json:dumps")
    assert THINGS.names() == ["thing"]


@pytest.mark.parametrize(
    "registry", [METHODS, JUDGES, METRICS, SUITES, PROMPTS], ids=lambda registry: registry.kind
)
def test_every_built_in_loads(registry):
    assert registry.names()
    for name in registry.names():
        assert registry.get(name) is not None


@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_is_registered_under_its_own_name(name):
    assert METHODS.get(name).info.name == name


@pytest.mark.parametrize("name", [name for name in JUDGES.names() if judge_recipe(name) is None])
def test_a_judge_is_registered_under_its_own_name(name):
    assert JUDGES.get(name)().info.name == name


@pytest.mark.parametrize("name", [name for name in JUDGES.names() if judge_recipe(name) is not None])
def test_a_judge_with_parameters_describes_itself_without_its_weights(name):
    card = find(name)[0]
    assert card["kind"] == "judge"
    assert card["attributes"]
    assert all(parameter["meaning"] for parameter in card["parameters"])


@pytest.mark.parametrize("name", METRICS.names())
def test_a_metric_is_registered_under_its_own_name(name):
    assert METRICS.get(name).name == name
