"""Images for a page: PNG files of the run and nothing else."""

import os

import pytest
from PIL import Image

from evenhand.bench.errors import EvenhandError
from evenhand.reports.components.image_file import read_image


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "I;16"])
def test_every_kind_of_png_is_read_in_rgb(tmp_path, mode):
    path = tmp_path / "image.png"
    Image.new(mode, (5, 3)).save(path)
    found = read_image(path, folder=tmp_path)
    assert (found.mode, found.size) == ("RGB", (5, 3))


@pytest.mark.parametrize("kind", ["GIF", "JPEG", "EPS"])
def test_other_formats_are_refused_whatever_their_name(tmp_path, kind):
    path = tmp_path / "image.png"
    Image.new("RGB", (5, 3)).save(path, kind)
    with pytest.raises(EvenhandError, match=r"image\.png cannot be read .*; run the suite again"):
        read_image(path, folder=tmp_path)


def test_truncated_file_is_refused(tmp_path):
    path = tmp_path / "image.png"
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(EvenhandError, match="cannot be read"):
        read_image(path, folder=tmp_path)


@pytest.mark.parametrize("way", ["parent", "link"])
def test_file_outside_the_folder_is_refused(tmp_path, way):
    run = tmp_path / "run"
    run.mkdir()
    Image.new("RGB", (5, 3)).save(tmp_path / "secret.png")
    (run / "link.png").symlink_to(tmp_path / "secret.png")
    path = run / "link.png" if way == "link" else run / ".." / "secret.png"
    with pytest.raises(EvenhandError, match=r"is outside the run folder .*; replace links"):
        read_image(path, folder=run)
    assert read_image(path, folder=tmp_path).size == (5, 3)


def test_pipe_is_refused_and_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "image.png")
    with pytest.raises(EvenhandError, match="is not a regular file"):
        read_image(tmp_path / "image.png", folder=tmp_path)
