"""Batches are drawn by threads that share one tokenizer, whose padding is set by its last call."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from evenhand.bench.models.loading import load_model

pytestmark = pytest.mark.slow

TEXTS = ["a photo of a nurse", "a cat", "a photo of a cat and a dog"]


class Watched:
    """A slow tokenizer that records whether two calls overlap."""

    def __init__(self, tokenizer):
        self.tokenizer, self.model_max_length = tokenizer, tokenizer.model_max_length
        self.inside, self.overlapped = threading.Semaphore(1), False

    def __call__(self, *args, **more):
        alone = self.inside.acquire(blocking=False)
        self.overlapped |= not alone
        time.sleep(0.02)
        tokens = self.tokenizer(*args, **more)
        if alone:
            self.inside.release()
        return tokens


def test_concurrent_threads_do_not_use_the_tokenizer_at_the_same_time():
    model, alone = load_model("mini"), load_model("mini")
    [(tokenizer, encoder)] = model.text_encoders
    watched = Watched(tokenizer)
    model.text_encoders = [(watched, encoder)]
    with ThreadPoolExecutor(len(TEXTS)) as pool:
        together = list(pool.map(lambda text: model.encode([text]), TEXTS))
    assert not watched.overlapped
    for text, encoded in zip(TEXTS, together, strict=True):
        torch.testing.assert_close(encoded.states, alone.encode([text]).states)
