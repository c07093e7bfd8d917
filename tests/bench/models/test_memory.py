"""Parts of a batch, and what is said where memory does not suffice."""

import numpy as np
import pytest
import torch

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.memory import MAX_PIXELS, is_out_of_memory, memory_needed, parts

CUDA = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.99 GiB.\n"
    "If reserved but unallocated memory is large try setting PYTORCH_ALLOC_CONF"
)
CPU = "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory"


@pytest.mark.parametrize(
    ("count", "side", "expected"),
    [
        (1, 64, 1),
        (256, 64, 1),
        (257, 64, 2),
        (8, 512, 2),
        (9, 512, 3),
        (3, 1024, 3),
        (1, 2048, 1),
        (0, 64, 1),
    ],
)
def test_no_part_has_more_pixels_than_the_limit_unless_it_is_one_image(count, side, expected):
    assert parts(count, height=side, width=side) == expected
    for part in np.array_split(np.arange(count), expected):
        assert len(part) * side**2 <= MAX_PIXELS or len(part) == 1


@pytest.mark.parametrize("fault", [torch.OutOfMemoryError(CUDA), MemoryError(), RuntimeError(CPU)])
def test_a_lack_of_memory_is_one_line_with_a_remedy(fault):
    with pytest.raises(EvenhandError) as caught, memory_needed("fit mist", remedy="use a larger device"):
        raise fault
    said = str(caught.value)
    assert said.startswith("not enough memory to fit mist (") and said.endswith("; use a larger device")
    assert "\n" not in said and "PYTORCH" not in said


def test_other_faults_are_not_taken_for_a_lack_of_memory():
    assert not is_out_of_memory(ValueError("out of memory"))
    with pytest.raises(RuntimeError, match="shapes differ"), memory_needed("fit", remedy="x"):
        raise RuntimeError("shapes differ")
