"""Damaged model folders and image files give a model, an image or a one-line error in bounded memory."""

import json
import random
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers.families import saved
from helpers.fuzz import json_mutants, mutants, value_or_one_line
from helpers.hostile_cases import CONFIGS, images

from evenhand.bench.errors import EvenhandError
from evenhand.bench.external_images.image_files import UnusableImageError, decode
from evenhand.bench.models.loading import load_model


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return saved("sd1", tmp_path_factory)


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


@pytest.mark.slow
@pytest.mark.parametrize("part", CONFIGS)
def test_a_model_with_a_damaged_config_loads_or_is_rejected_in_one_line(folder, part):
    path = folder / part
    data = path.read_bytes()
    refused = 0
    values = [
        json.dumps(value).encode() for value in json_mutants(json.loads(data), count=12, seed=len(part))
    ]
    for mutant in [*values, *mutants(data, count=12, seed=len(part))]:
        path.write_bytes(mutant)
        refused += isinstance(value_or_one_line(lambda: load_model(str(folder))), EvenhandError)
    assert refused > 3


@pytest.mark.slow
@pytest.mark.parametrize("number", [10**9, [2, 10**30]])
def test_a_model_with_a_damaged_number_of_layers_is_rejected_before_it_is_built(folder, number):
    path = folder / "unet/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"layers_per_block": number}))
    with pytest.raises(
        EvenhandError, match=r"config\.json: layers_per_block must be at most 1,000, got 1e\+"
    ):
        load_model(str(folder))


@pytest.mark.slow
@pytest.mark.parametrize(
    "part", ["unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"]
)
def test_a_model_with_damaged_weights_loads_or_is_rejected_in_one_line(folder, part):
    path, rng = folder / part, random.Random(part)
    data = path.read_bytes()
    head = int.from_bytes(data[:8], "little")
    refused = 0
    for _ in range(20):
        damaged = bytearray(data)
        # In the header, which contains lengths, shapes and offsets.
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(8 + head)] = rng.randrange(256)
        path.write_bytes(damaged if rng.random() < 0.7 else damaged[: rng.randrange(len(damaged))])
        refused += isinstance(value_or_one_line(lambda: load_model(str(folder))), EvenhandError)
    assert refused > 10


@pytest.mark.parametrize(
    ("name", "data"), images(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_damaged_image_is_read_or_has_a_status(name, data):
    for mutant in mutants(data, count=200, seed=len(name)):
        try:
            found = decode(mutant)
        except UnusableImageError as fault:
            assert fault.status in ("no_image", "damaged", "bad_size", "animated", "unknown_colours")
            assert "\n" not in str(fault)
        else:
            assert found.dtype == np.uint8 and found.shape[2] == 3 and found.size < 10**7


BOMBS = """
import resource, struct, sys, zlib
from evenhand.bench.external_images.image_files import UnusableImageError, decode

def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

def png(width, height, *more):
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", head) + b"".join(more) + chunk(b"IEND", b"")

zeros = zlib.compress(bytes(2**28), 9)
files = [
    png(50_000, 50_000, chunk(b"IDAT", zeros)),
    png(64, 64, chunk(b"IDAT", zeros)),
    png(64, 64, chunk(b"zTXt", b"a\\0\\0" + zeros), chunk(b"IDAT", zlib.compress(bytes(64 * 193)))),
    png(64, 64, chunk(b"iCCP", b"a\\0\\0" + zeros), chunk(b"IDAT", zlib.compress(bytes(64 * 193)))),
]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for file in files:
    try:
        decode(file)
    except UnusableImageError as fault:
        print(fault.status)
    else:
        print("ok")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(resource, "RUSAGE_SELF"), reason="the system does not report memory use")
def test_an_image_that_unpacks_to_a_quarter_gigabyte_needs_little_memory():
    done = subprocess.run([sys.executable, "-c", BOMBS], capture_output=True, text=True, check=True)
    *statuses, megabytes = done.stdout.split()
    assert statuses[0] == "bad_size" and len(statuses) == 4
    assert int(megabytes) < 150
