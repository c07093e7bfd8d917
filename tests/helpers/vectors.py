"""Random unit vectors around a centre."""

import numpy as np


def rng(seed=0):
    return np.random.default_rng(seed)


def unit(values):
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def cloud(centre, n, *, spread=0.3, seed=0):
    return unit(np.asarray(centre, float) + spread * rng(seed).standard_normal((n, len(centre))))
