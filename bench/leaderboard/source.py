"""Where the code of a method comes from: package, version, digest of its source, and address.

An entry states it so that others can install the method. The board checks that it is stated; only a
verification checks it, against the installed package.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path

from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry.entry_points import METHODS
from evenhand.bench.registry.method_spec import method_class
from evenhand.bench.results.entry import Entry, MethodSource
from evenhand.bench.results.result import MethodCard
from evenhand.bench.storage.fits import COST_FILE
from evenhand.methods.source_code import code_digest, is_bundled

ADDRESSES = ("source", "repository", "homepage", "documentation")
"""Labels of the addresses in a package's metadata, the most useful first."""


def method_source(card: MethodCard, *, fit: Path, address: str = "") -> MethodSource:
    """The source of the installed method of an entry.

    Args:
        card: The method of the entry.
        fit: Folder of its fit in the run, which states the digest of the code that made it.
        address: Where the package can be found; from the package's metadata if empty.

    Raises:
        EvenhandError: The method is not registered by an installed package, its code has changed since the
            fit, or no address is known.
    """
    name = card.name
    found = METHODS.entries().get(name)
    if found is None or found.dist is None:
        raise EvenhandError(
            f"method {name!r} is not registered by an installed package, so nobody could repeat the entry; "
            "package it (docs/add-a-method.md), install the package and submit again"
        )
    cls = method_class(name)
    digest, used = code_digest(cls), _fitted_with(fit)
    if used not in ("", digest) and not is_bundled(cls):
        raise EvenhandError(
            f"the code of method {name!r} ({digest[:12]}) is not that of the run ({used[:12]}); "
            "run the suite again"
        )
    address = address or _address(found.dist)
    if not address and not is_bundled(cls):
        raise EvenhandError(
            f"package {found.dist.name!r} states no address; give --address, or add [project.urls] to it"
        )
    return MethodSource(package=found.dist.name, version=found.dist.version, digest=digest, address=address)


def source_faults(entry: Entry) -> Iterator[str]:
    """What is wrong with what an entry says about the code of its method, with what to do."""
    source, card = entry.source, entry.result.spec.method
    known = METHODS.entries().get(card.name)
    if source is None:
        if known is None or not known.value.startswith("evenhand."):
            yield (
                f"it does not state package, version and source of method {card.name!r:.80}; "
                "submit the run again with this version of Evenhand"
            )
    elif known is not None and known.dist is not None and known.dist.name != source.package:
        yield (
            f"it states package {source.package!r:.80}, but method {card.name!r:.80} is one of package "
            f"{known.dist.name!r}; rename the method"
        )
    elif source.address and not source.address.startswith(("https://", "http://")):
        yield f"the address of its method must begin with https://, got {source.address!r:.80}; correct it"


def check_installed(entry: Entry) -> None:
    """Check that the installed code of a method is that of its entry; bundled methods have versions for this.

    Raises:
        EvenhandError: It differs.
    """
    source = entry.source
    cls = method_class(entry.result.spec.method.name)
    if source is None or is_bundled(cls) or code_digest(cls) == source.digest:
        return
    raise EvenhandError(
        f"the installed code of method {entry.result.spec.method.name!r} is not that of the entry; install "
        f"{source.package} {source.version} from {source.address}"
    )


def _fitted_with(fit: Path) -> str:
    """Digest of the code that made a fit; empty where the fit does not state it."""
    try:
        stated = json.loads((fit / COST_FILE).read_text(encoding="utf-8")).get("code", "")
    except (OSError, ValueError, AttributeError):
        return ""
    return stated if isinstance(stated, str) else ""


def _address(dist: Distribution) -> str:
    """The address that the metadata of a package states; empty without one."""
    stated = [line.partition(", ") for line in dist.metadata.get_all("Project-URL") or []]
    labels = {label.strip().lower(): url.strip() for label, _, url in stated}
    homes = dist.metadata.get_all("Home-page") or [""]
    found: str = next((labels[name] for name in ADDRESSES if name in labels), homes[0])
    return found
