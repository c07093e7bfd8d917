"""Weights of TensorFlow.js models are read as they were written; other files are errors."""

import json

import numpy as np
import pytest
from helpers.tfjs import write_tfjs

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.vision.tfjs_weights import tfjs_tensors

TENSORS = {"a": np.arange(6.0).reshape(2, 3) / 7, "axes": np.array([1, 2], np.int32), "b": np.array([-1.5])}


@pytest.mark.parametrize("half", [True, False])
def test_tensors_keep_names_shapes_and_values(tmp_path, half):
    found = tfjs_tensors(write_tfjs(tmp_path, TENSORS, half=half))
    assert list(found) == list(TENSORS)
    for name, values in TENSORS.items():
        np.testing.assert_allclose(found[name].numpy(), values, rtol=2**-11 if half else 1e-7)
        assert found[name].numpy().dtype == (np.int32 if name == "axes" else np.float32)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text("not json"),
        lambda path: path.write_text("[]"),
        lambda path: path.write_text("{}"),
        lambda path: path.with_suffix(".bin").write_bytes(b"short"),
        lambda path: path.write_text(path.read_text().replace("float16", "uint8")),
        lambda path: path.write_text(path.read_text().replace('"shape": [1]', '"shape": [-1]')),
    ],
    ids=["no json", "a list", "empty", "truncated", "compressed", "shape"],
)
def test_other_files_are_one_line_errors(tmp_path, change):
    path = write_tfjs(tmp_path, TENSORS)
    change(path)
    with pytest.raises(EvenhandError, match=r"is not a TensorFlow\.js graph model") as fault:
        tfjs_tensors(path)
    assert "\n" not in str(fault.value)


def test_a_model_cannot_name_a_file_elsewhere(tmp_path):
    path = write_tfjs(tmp_path / "model", TENSORS)
    stated = json.loads(path.read_text())
    stated["weightsManifest"][0]["paths"] = ["../secret.bin"]
    path.write_text(json.dumps(stated))
    (tmp_path / "secret.bin").write_bytes(path.with_suffix(".bin").read_bytes())
    with pytest.raises(EvenhandError, match=r"model/secret\.bin' does not exist"):
        tfjs_tensors(path)
