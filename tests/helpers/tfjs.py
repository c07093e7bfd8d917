"""Files of a TensorFlow.js graph model, and those of GEAR with given numbers."""

import json

import numpy as np

LAYERS = "StatefulPartitionedCall/model_1/"


def write_tfjs(folder, tensors, *, name="gear", half=True):
    """Write ``NAME.json`` and ``NAME.bin``; returns the path of the former."""
    entries, data = [], b""
    for key, values in tensors.items():
        whole = np.issubdtype(values.dtype, np.integer)
        entry = {"name": key, "shape": list(values.shape), "dtype": "int32" if whole else "float32"}
        if half and not whole:
            entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
        data += values.astype("<i4" if whole else "<f2" if half else "<f4").tobytes()
        entries.append(entry)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.bin").write_bytes(data)
    manifest = {"format": "graph-model", "weightsManifest": [{"paths": [f"{name}.bin"], "weights": entries}]}
    path = folder / f"{name}.json"
    path.write_text(json.dumps(manifest))
    return path


def gear_tensors(random):
    """Random tensors in the shapes of GEAR, without the heads that are not read."""
    widths, found = [3, 32, 64, 96, 128, 160, 192], {}
    for place in range(1, 7):
        before, after = widths[place - 1], widths[place]
        found[f"conv2d_{place}/Conv2D/ReadVariableOp"] = (
            random.normal(size=(3, 3, before, after)) / 3 / before**0.5
        )
        found[f"conv2d_{place}/BiasAdd/ReadVariableOp"] = random.normal(size=after) / 10
        if place > 1:
            norm = f"batch_normalization_{place - 1}/FusedBatchNormV3"
            found[f"{norm}/Scaled"] = random.uniform(0.5, 1.5, after)
            found[f"{norm}/Offset"] = random.normal(size=after) / 10
    for name, shape in (("dense_2", (192, 128)), ("race_output", (128, 5))):
        found[f"{name}/MatMul/ReadVariableOp"] = random.normal(size=shape) / shape[0] ** 0.5
        found[f"{name}/BiasAdd/ReadVariableOp"] = random.normal(size=shape[1]) / 10
    return {LAYERS + name: values for name, values in found.items()}
