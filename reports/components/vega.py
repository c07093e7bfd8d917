"""Vega-Lite specifications as SVG."""

from __future__ import annotations

import sys
from typing import Any

import vl_convert

from evenhand.bench.errors import EvenhandError

ADDRESS_SPACE = 80 * 2**30
"""Bytes of address space to start V8, the engine of vl-convert. It reserves them and uses few."""


def svg_of(specification: dict[str, Any]) -> str:
    """A Vega-Lite specification drawn as SVG.

    Args:
        specification: The specification, with its data.

    Raises:
        EvenhandError: The process may not reserve the address space that V8 needs, which would end the
            process without a message.
    """
    limit = _address_space()
    if limit is not None and limit < ADDRESS_SPACE:
        raise EvenhandError(
            f"charts need {ADDRESS_SPACE // 2**30} GiB of address space (not of memory), and this process "
            f"may have {limit / 2**30:.0f}; run `ulimit -v unlimited` first"
        )
    svg: str = vl_convert.vegalite_to_svg(specification)
    return svg


def _address_space() -> int | None:
    """Bytes of address space that this process may have; None if nothing limits them."""
    if sys.platform == "win32":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft
