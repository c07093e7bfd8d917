"""Images of fits are deleted when no fit needs them; those of the plan stay."""

import numpy as np
import pytest

from evenhand.bench.stages.loop_images import LoopImages
from evenhand.bench.storage.fit_images import FitImages
from evenhand.bench.storage.fits import Fitted
from evenhand.bench.storage.images import ImageStore
from evenhand.methods.base import Intervention

IMAGE = np.zeros((8, 8, 3), np.uint8)


class Jobs:
    """A drawing whose planned images have these keys."""

    def __init__(self, *keys):
        self.keys = keys

    def jobs(self, items):
        return [type("Job", (), {"key": key}) for key in self.keys]


@pytest.fixture
def store(tmp_path):
    store = ImageStore(tmp_path / "images")
    for key in ("edited", "planned", "shared", "base"):
        store.put(key, IMAGE)
    return store


def present(store):
    return {path.stem for path in store.root.rglob("*.png")}


@pytest.mark.parametrize("interrupted", [False, True])
def test_images_of_edits_go_after_their_fit_and_those_of_the_baseline_after_all(store, tmp_path, interrupted):
    images = FitImages(tmp_path / "fit")
    images.add(["edited", "planned"], edited=True)
    images.add(["shared", "base"], edited=False)
    if interrupted:
        images = FitImages(tmp_path / "fit")
    fitted = Fitted(Intervention(), images=0, judgements=0, evaluations=0, bytes=0)
    loop = LoopImages(store, lambda _: Jobs("planned", "base"), ())
    loop.done(fitted, images)
    assert present(store) == {"planned", "shared", "base"}
    loop.all_done([fitted])
    assert present(store) == {"planned", "base"}
    assert not list((tmp_path / "fit").iterdir()), "the list of them is deleted too"


def test_without_fits_nothing_is_deleted(store):
    LoopImages(store, lambda _: pytest.fail("not needed"), ()).all_done([])
    assert len(present(store)) == 4


def test_missing_images_are_no_error(store):
    store.remove(["edited", "edited", "never"])
    assert "edited" not in present(store)
