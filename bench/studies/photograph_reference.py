"""Makes the reference set of judges of photographs, and measures how well it separates drawings.

Run ``python -m evenhand.bench.studies.photograph_reference PHOTOGRAPHS [OTHERS ...]``; a hundred images take
about ten seconds. It writes the statistics of the largest face of every photograph to
``photograph_faces.npz`` and prints how far photographs and the images of the other folders are. Photographs
are measured against statistics of nine tenths of the set, without their own tenth.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.model_selection import KFold

from evenhand.bench.errors import EvenhandError
from evenhand.bench.external_images.drafted_list import images_in
from evenhand.bench.external_images.image_files import UnusableImageError, decode
from evenhand.bench.external_images.near_duplicates import difference_hash, near_duplicates
from evenhand.metrics.vision.faces import finder
from evenhand.metrics.vision.photographs import FILE, LIMIT, texture, unlikeness

OUT = Path(__file__).parents[2] / "metrics" / "data" / FILE
FOLDS = 10
QUANTILES = (0.5, 0.9, 0.95, 0.99, 1)

Floats = NDArray[np.float64]


def statistics(features: Floats) -> dict[str, Floats]:
    """Mean and whitening of features ``(n, d)``, with the covariance of Ledoit and Wolf (2004).

    Features are standardized first, because shrinkage assumes comparable scales.
    """
    mean, scale = features.mean(axis=0), features.std(axis=0)
    precision = LedoitWolf().fit((features - mean) / scale).precision_
    return {"mean": mean, "whitening": np.linalg.cholesky(precision) / scale[:, None]}


def held_out(features: Floats) -> Floats:
    """The distance of each of ``(n, d)`` from the others, ``(n,)``."""
    distances = np.zeros(len(features))
    for rest, some in KFold(FOLDS, shuffle=True, random_state=0).split(features):
        distances[some] = unlikeness(features[some], **statistics(features[rest]))
    return distances


def textures(folder: Path) -> Floats:
    """The features of the largest face of every image, ``(n, d)``; copies and images without one left out."""
    found, hashes = {}, {}
    for file in images_in(folder, without=folder / "runs"):
        try:
            image = decode((folder / file).read_bytes())
        except UnusableImageError as fault:
            raise EvenhandError(f"{folder / file} {fault}; remove it from the reference set") from fault
        faces = finder().look(image).faces
        if faces:
            found[file] = texture(finder().cut(image, faces[0], "tight")[None])[0]
            hashes[file] = difference_hash(image)
    copies = {file for group in near_duplicates(hashes) for file in group[1:]}
    return np.array([features for file, features in found.items() if file not in copies])


def main(
    photographs: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    others: Annotated[list[Path] | None, typer.Argument(exists=True, file_okay=False)] = None,
) -> None:
    """Write the reference set, and print the distances of photographs and of other images."""
    features = textures(photographs)
    known = {name: values.round(6) for name, values in statistics(features).items()}
    np.savez(OUT, mean=known["mean"], whitening=known["whitening"])
    _show(str(photographs), held_out(features))
    for folder in others or []:
        _show(str(folder), unlikeness(textures(folder), **known))


def _show(name: str, distances: Floats) -> None:
    quantiles = "  ".join(f"{share:.0%} {np.quantile(distances, share):.2f}" for share in QUANTILES)
    far = int((distances > LIMIT).sum())
    typer.echo(f"{name}: {len(distances)} faces, {far} farther than {LIMIT}; quantiles {quantiles}")


if __name__ == "__main__":
    typer.run(main)
