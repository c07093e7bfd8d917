"""Untrusted input is data: the source cannot execute it, and model folders with code are rejected."""

import ast
import json
import re
import shutil

import numpy as np
import pytest
import torch
from helpers.families import saved
from helpers.paths import ROOT
from helpers.vit import classifier
from helpers.vlm import save_vlm
from safetensors.torch import load_file, save_file

from evenhand.bench.errors import EvenhandError
from evenhand.bench.mini import ROOT as MINI
from evenhand.bench.models.loading import load_model
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.stages.resources import load_scorer

MODULES = sorted(
    path for room in ("bench", "methods", "metrics", "reports") for path in (ROOT / room).rglob("*.py")
)

FORBIDDEN = {
    *("eval", "exec", "compile", "__import__", "globals", "breakpoint", "input"),
    *("os.system", "os.popen", "os.execv", "os.spawnl", "runpy.run_path"),
    *("importlib.import_module", "import_module"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "shelve.open", "dill.load"),
    *("joblib.load", "pd.read_pickle", "pandas.read_pickle", "cloudpickle.load", "torch.jit.load"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "torch.hub.load", "subprocess.call"),
}
"""Calls that execute their argument or build arbitrary objects from it."""

RUNS_PROGRAMS = {"subprocess.run", "subprocess.Popen", "subprocess.check_output"}
UNPACKS = {"tarfile.open", "shutil.unpack_archive", "zipfile.ZipFile.extractall"}

EXCEPT = {
    "bench/parsing/isolated.py": {"subprocess.Popen", "import_module"},
    "bench/pdf.py": {"subprocess.run"},
}
"""Module to the calls it may make: untrusted files are parsed in a separate process, and the process
that starts it names the function to call; the installed browser prints our own page."""


def name_of(node):
    """The dotted name of the called object; empty if it is not a plain name."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (
        ".".join(reversed([*parts, node.id]))
        if isinstance(node, ast.Name)
        else f".{parts[0]}"
        if parts
        else ""
    )


def calls(path):
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


def keyword(call, name):
    """The constant passed for a keyword; ``...`` if the call does not pass it."""
    found = [k.value for k in call.keywords if k.arg == name]
    return found[0].value if found and isinstance(found[0], ast.Constant) else ...


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_source_has_no_call_that_executes_file_contents(path):
    allowed = EXCEPT.get(path.relative_to(ROOT).as_posix(), set())
    for call in calls(path):
        name, line = name_of(call.func), f"line {call.lineno}"
        assert name not in (FORBIDDEN | RUNS_PROGRAMS | UNPACKS) - allowed, f"{line}: {name}"
        assert not name.endswith((".extractall", ".extract")), f"{line}: {name} unpacks an archive"
        assert keyword(call, "shell") is ..., f"{line}: a shell"
        assert keyword(call, "trust_remote_code") in (False, ...), f"{line}: code from a model's folder"
        assert keyword(call, "allow_pickle") in (False, ...), f"{line}: pickles"
        if name == "torch.load":
            assert keyword(call, "weights_only") is True, f"{line}: pickles"
        if name == "open_clip.create_model_and_transforms":
            assert keyword(call, "weights_only") is True, f"{line}: pickles"
        if re.fullmatch(r"Auto[A-Z]\w*\.from_pretrained", name):
            assert keyword(call, "trust_remote_code") is False, f"{line}: code from a model's folder"


def leaves_a_mark(folder):
    """Code that leaves a trace when it runs, wherever it is copied."""
    return f"open({str(folder / 'ran')!r}, 'w').close()\n"


def refused(load, folder):
    """The one-line error for a rejected folder; none of its code may have run."""
    with pytest.raises(EvenhandError) as caught:
        load()
    assert not list(folder.rglob("ran")), "code of the folder ran"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return saved("sd1", tmp_path_factory)


def test_a_model_folder_with_code_is_rejected(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "model")
    (folder / "unet" / "my_unet.py").write_text(leaves_a_mark(folder) + "class Net: pass\n")
    edit(folder / "model_index.json", unet=["my_unet", "Net"])
    assert "contains code (my_unet.py)" in refused(lambda: load_model(str(folder)), folder)


@pytest.mark.parametrize(
    "entry", [["os", "system"], ["my_unet", "Net"], ["subprocess", "Popen"], [], ["diffusers.utils", "x"]]
)
def test_a_model_with_classes_of_other_libraries_is_rejected(whole, tmp_path, entry):
    folder = shutil.copytree(whole, tmp_path / "model")
    edit(folder / "model_index.json", unet=entry)
    assert "only classes of diffusers and transformers" in refused(lambda: load_model(str(folder)), folder)


def test_a_custom_pipeline_class_is_rejected(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "model")
    edit(folder / "model_index.json", _class_name=["pipeline", "Mine"])
    assert "only classes of diffusers and transformers" in refused(lambda: load_model(str(folder)), folder)


OWN_CODE = {
    "AutoConfig": "mine.Config",
    "AutoModelForImageClassification": "mine.Net",
    "AutoModel": "mine.Net",
}


def with_code(folder):
    """The folder, changed so that it requires custom code."""
    (folder / "mine.py").write_text(leaves_a_mark(folder))
    edit(folder / "config.json", model_type="mine", architectures=["Net"], auto_map=OWN_CODE)
    return folder


def test_an_image_classifier_that_needs_custom_code_is_rejected(tmp_path):
    folder = with_code(classifier(tmp_path / "judge", ["Female", "Male"]))
    refused(
        lambda: load_judge(f"image-classifier:gender={folder}").label(np.zeros((1, 64, 64, 3), np.uint8)),
        folder,
    )


def test_a_vision_language_model_that_needs_custom_code_is_rejected(tmp_path):
    save_vlm(tmp_path / "judge", texts=["a"])
    folder = with_code(tmp_path / "judge")
    refused(
        lambda: load_judge(f"vlm:model={folder},crop=image").label(np.zeros((1, 64, 64, 3), np.uint8)),
        folder,
    )


def test_a_scorer_with_pickled_weights_is_rejected(tmp_path):
    folder = shutil.copytree(MINI / "clip", tmp_path / "clip")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").write_bytes(b"")
    refused(lambda: load_scorer(str(folder)).embed(np.zeros((1, 64, 64, 3), np.uint8)), folder)


@pytest.mark.parametrize("damage", ["torn", "other shapes"])
def test_a_scorer_with_damaged_weights_is_rejected_in_one_line(tmp_path, damage):
    folder = shutil.copytree(MINI / "clip", tmp_path / "clip")
    path = folder / "model.safetensors"
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:1000])
    else:
        save_file(
            {name: value[..., :1].clone() for name, value in load_file(path).items() if value.ndim}, path
        )
    refused(lambda: load_scorer(str(folder)).embed(np.zeros((1, 64, 64, 3), np.uint8)), folder)
