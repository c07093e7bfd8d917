"""Sources of weights: local files and folders, and no file that can run code."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.vision.weights import first_line, hub_folder, tensors, weight_file

STATE = {"weight": torch.arange(4.0)}


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_tensors_are_read_from_both_formats(tmp_path, name):
    path = tmp_path / name
    save_file(STATE, path) if path.suffix == ".safetensors" else torch.save(STATE, path)
    found = tensors(weight_file(path))
    assert list(found) == ["weight"] and torch.equal(found["weight"], STATE["weight"])


class Command:
    """An object whose unpickling would call a function."""

    def __reduce__(self):
        return (print, ("ran",))


def test_a_file_that_could_run_code_is_refused_and_does_not_run(tmp_path, capsys):
    path = tmp_path / "w.pt"
    torch.save({"weight": Command()}, path)
    with pytest.raises(EvenhandError, match="contains more than tensors and could run code"):
        tensors(path)
    path.write_bytes(pickle.dumps(Command(), protocol=2))
    with pytest.raises(EvenhandError, match="contains more than tensors and could run code"):
        tensors(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}])
def test_a_checkpoint_must_be_a_dictionary_of_tensors(tmp_path, content):
    path = tmp_path / "w.pt"
    torch.save(content, path)
    with pytest.raises(EvenhandError, match="must contain a dictionary of tensors"):
        tensors(path)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_a_truncated_file_is_an_error_of_one_line(tmp_path, name):
    path = tmp_path / name
    save_file(STATE, path) if path.suffix == ".safetensors" else torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(EvenhandError, match=r"weights file .* cannot be read") as fault:
        tensors(path)
    assert "\n" not in str(fault.value)


def test_missing_files_and_names_that_are_no_model_are_errors(tmp_path):
    assert hub_folder(str(tmp_path)) == tmp_path
    with pytest.raises(EvenhandError, match="must be an existing folder or a hub id 'org/name'"):
        hub_folder(f"{tmp_path}/nowhere")
    with pytest.raises(EvenhandError, match=r"w\.pt' does not exist; give a \.safetensors or \.pt file"):
        weight_file(tmp_path / "w.pt")


def test_the_first_line_of_an_error_is_short_and_never_empty():
    assert first_line(ValueError("  one\ntwo")) == "one"
    assert first_line(KeyError()) == "KeyError"
    assert len(first_line(ValueError("x" * 500))) == 200
