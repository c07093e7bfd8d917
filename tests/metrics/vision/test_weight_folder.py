"""Model folders: complete, versioned by their files, and run in batches of one size."""

import pytest
import torch

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.vision.weight_folder import BATCH, in_batches, loading, require, version


@pytest.fixture
def folder(tmp_path):
    for name in ("config.json", "model.safetensors", "readme.md"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_missing_files_and_folders_are_named(folder):
    require(folder, ["config.json", "model.safetensors"])
    with pytest.raises(EvenhandError, match=r"lacks vocab\.txt, merges\.txt; download the complete folder"):
        require(folder, ["config.json", "vocab.txt", "merges.txt"])
    with pytest.raises(EvenhandError, match=r"nowhere' does not exist; give a folder with config\.json"):
        require(folder / "nowhere", ["config.json"])


def test_the_version_changes_with_weights_names_and_settings_only(folder):
    before = version([folder], {"size": 8})
    assert len(before) == 12 and version([folder], {"size": 9}) != before
    (folder / "readme.md").write_text("other")
    assert version([folder], {"size": 8}) == before
    (folder / "config.json").rename(folder / "settings.json")
    renamed = version([folder], {"size": 8})
    assert renamed != before
    (folder / "model.safetensors").write_text("other")
    assert version([folder], {"size": 8}) != renamed


def test_any_failure_of_a_library_becomes_one_line_and_our_errors_stay(folder):
    with (
        pytest.raises(EvenhandError, match=r"cannot be loaded \(first\); give a complete folder"),
        loading(folder),
    ):
        raise OSError("first\nsecond") from None
    with pytest.raises(EvenhandError, match=r"^mine$"), loading(folder):
        raise EvenhandError("mine")


@pytest.mark.parametrize("count", [1, BATCH, BATCH + 3])
def test_every_batch_has_the_same_size_and_no_output_of_padding_is_kept(count):
    sizes = []

    def network(batch):
        sizes.append(len(batch))
        return 2 * batch + 1

    inputs = torch.arange(1.0, count + 1)[:, None]
    assert (in_batches(network, inputs) == 2 * inputs + 1).all()
    assert sizes == [BATCH] * -(-count // BATCH)
