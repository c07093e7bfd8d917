"""Layers of dlib's networks equal those that the package onnx makes an output of."""

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers.photo import astronaut

from evenhand.metrics.vision import face_networks
from evenhand.metrics.vision.face_networks import FaceNetwork
from evenhand.metrics.vision.faces import finder
from evenhand.metrics.vision.photographs import LAYER


def face():
    image = astronaut()
    return finder().cut(image, finder().look(image).faces[0], "tight")


@pytest.mark.parametrize("layer", [LAYER, "layer_6_averagepool"])
def test_a_layer_equals_that_of_a_model_edited_by_onnx(layer, monkeypatch):
    network = FaceNetwork("gender", layer=layer)
    model = onnx.load(network._folder / network.card["artifact"]["filename"])
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(layer))
    values = network(face()[None])
    seen = {}

    class Recorder:
        def run(self, names, inputs):
            seen.update(inputs)
            return [np.zeros(1)]

    monkeypatch.setattr(network, "_session", Recorder())
    network(face()[None])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run([layer], seen)
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-4)
    assert values.ndim == 4


def test_a_model_with_another_output_is_still_the_same_model():
    network = FaceNetwork("gender")
    data = (network._folder / network.card["artifact"]["filename"]).read_bytes()
    one = onnx.load_from_string(data)
    other = onnx.load_from_string(data + face_networks._output(LAYER))
    assert [output.name for output in other.graph.output] == [*(o.name for o in one.graph.output), LAYER]
    del other.graph.output[-1]
    assert other == one
