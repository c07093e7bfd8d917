"""Fits in a cache: what can be checked of one, and how a run takes it.

Only fitting again would prove an intervention. Its identity, digests and class are checked, a sample of its
images is drawn with it, and the run then says where it came from.
"""

from __future__ import annotations

import json
from pathlib import Path

from evenhand.bench.cache.layout import Contents, check_size, fit_names
from evenhand.bench.cache.places import Cache
from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.strict_json import load_json
from evenhand.bench.registry.method_spec import MethodUse
from evenhand.bench.storage.files import copy_atomically
from evenhand.bench.storage.fits import MAX_COST_BYTES, FitIdentity, Fitted, read_fit, write_cost
from evenhand.methods.saving import FILES, load

MAX_BYTES = (2**34, 2**26, MAX_COST_BYTES)
"""Maximum sizes of tensors, document and cost; a finetuned copy of SDXL has 10 GB."""


def find_fit(
    use: MethodUse, identity: FitIdentity, *, cache: Cache, contents: Contents
) -> tuple[Path, Fitted] | None:
    """The folder and the content of a fit in a cache; ``None`` if it has none of this identity.

    Raises:
        EvenhandError: The fit is damaged, too large, or not what its name says.
    """
    if identity.key not in contents.fits:
        return None
    names = fit_names(identity.key)
    for name, max_bytes in zip(names, MAX_BYTES, strict=True):
        check_size(contents, name, max_bytes=max_bytes)
    folder = (cache.fetch(names) / names[0]).parent
    try:
        _check_document(folder)
        fitted = read_fit(folder, use, identity)
    # Forged files can make libraries raise anything.
    except Exception as fault:
        raise EvenhandError(f"the fit of {use.label} cannot be used ({fault})") from fault
    if fitted is None or fitted.cache:
        raise EvenhandError(f"the fit of {use.label} in {folder} is not the one that its name says")
    return folder, fitted


def take_fit(
    folder: Path, fitted: Fitted, *, use: MethodUse, identity: FitIdentity, to: Path, origin: str
) -> None:
    """Copy a checked fit into a run, marked with its origin.

    Args:
        folder: Its folder in the cache.
        fitted: Its content as it was checked.
        use: The method.
        identity: Its identity.
        to: Its folder in the run.
        origin: Address of the cache.

    Raises:
        EvenhandError: It has changed since it was checked.
    """
    for name, max_bytes in zip(FILES, MAX_BYTES, strict=False):
        copy_atomically(folder / name, to / name, max_bytes=max_bytes)
    intervention = load(to, type(use.method))
    if intervention.digest() != fitted.intervention.digest():
        raise EvenhandError(f"{folder}: the fit has changed while it was read; pull again")
    write_cost(to, fitted.cost, identity, intervention, cache=origin)


def _check_document(folder: Path) -> None:
    """Reject JSON that is nested too deeply, or that a result cannot state.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is rejected.
        RecursionError: It is nested too deeply.
    """
    _, document = FILES
    json.dumps(load_json(folder / document, max_bytes=MAX_BYTES[1]), allow_nan=False)
