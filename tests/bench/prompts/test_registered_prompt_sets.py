"""A prompt set of another package is found by its name and must not use the name of a bundled set."""

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.prompts.prompt_set import list_prompt_sets, load_prompt_set

SHEET = """\
name = "care"
version = "3"
title = "Care work"
description = "One prompt."
motivation = "A test."
composition = "1 neutral prompt."
source = "Written here."
licence = "Apache-2.0"
limits = "It is one prompt."
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a package with the set ``care`` on the path, registered under a name."""

    def call(name: str) -> None:
        package, info = tmp_path / "care_prompts", tmp_path / "care_prompts-1.0.dist-info"
        package.mkdir()
        info.mkdir()
        (package / "__init__.py").write_text(
            'from pathlib import Path\n\nCARE = Path(__file__).with_name("care.toml")\n'
        )
        (package / "care.toml").write_text(SHEET)
        (package / "care.csv").write_text(
            "prompt,concept,template,kind,cell\na photo of a nurse,nurse,photo,neutral,\n"
        )
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: care-prompts\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[evenhand.prompts]\n{name} = care_prompts:CARE\n")
        monkeypatch.syspath_prepend(tmp_path)

    yield call
    import sys

    sys.modules.pop("care_prompts", None)


def test_it_is_listed_and_loaded_like_a_bundled_one(install):
    install("care")
    assert "care" in list_prompt_sets()
    care = load_prompt_set("care")
    assert (care.name, care.version, care.licence) == ("care", "3", "Apache-2.0")
    assert [prompt.text for prompt in care.prompts] == ["a photo of a nurse"]


def test_it_is_shown_with_its_datasheet(install, evenhand):
    install("care")
    shown = evenhand("show", "care")
    assert shown.code == 0
    assert "It is one prompt." in shown.out


def test_the_name_of_a_bundled_set_is_rejected(install, evenhand):
    install("controls")
    refused = evenhand("show", "controls")
    assert refused.code == 2
    assert "registered twice, as care_prompts:CARE and evenhand.bench.prompts.bundled:CONTROLS" in refused.err
    assert "uninstall one of the two packages" in refused.err


def test_a_set_registered_under_a_different_name_is_rejected(install):
    install("nurses")
    with pytest.raises(EvenhandError, match="name must be 'nurses' as registered, got 'care'"):
        load_prompt_set("nurses")
