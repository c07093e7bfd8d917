"""The pool of judged images that audits are simulated from."""

import numpy as np
import pytest
from helpers.studies import synthetic_pool

from evenhand.bench.errors import EvenhandError
from evenhand.bench.studies.pool import Pool


@pytest.fixture(scope="module")
def pool():
    return synthetic_pool()


@pytest.mark.slow
def test_a_pool_with_missing_cells_is_rejected(pool):
    torn = Pool(pool.table[pool.table["occupation"] + pool.table["gender"] > 0].reset_index(drop=True))
    with pytest.raises(EvenhandError, match="no images of 6 pairs of occupation and cell"):
        torn.pick(np.zeros(3, int), np.zeros(3, int), rng=np.random.default_rng(0))
