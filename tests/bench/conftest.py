"""Rendered images of two models with their audit, and a pair of keys to sign with."""

import minisign
import pytest
from helpers.audit import renders, write_csv
from helpers.paths import TINY

from evenhand.bench.audit import audit


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Folder of the images, list and true labels."""
    home = tmp_path_factory.mktemp("world")
    listed, truth = renders(home / "images")
    return home / "images", write_csv(home / "prompts.csv", listed), write_csv(home / "labels.csv", truth)


@pytest.fixture(scope="module")
def audited(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("audited") / "run"
    images, prompts, _ = world
    return audit(images, prompts=prompts, suite=str(TINY), base="biased", out=folder)


@pytest.fixture
def keys(tmp_path):
    """Paths of the secret and the public key."""
    pair = minisign.KeyPair.generate()
    (tmp_path / "key").write_bytes(bytes(pair.secret_key))
    (tmp_path / "key.pub").write_bytes(bytes(pair.public_key))
    return tmp_path / "key", tmp_path / "key.pub"
