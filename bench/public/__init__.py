"""Evenhand audits and benchmarks how text-to-image models depict people.

>>> import evenhand
>>> evenhand.load_suite("mini-quick").model
'mini'

These are the names of :mod:`evenhand.bench`, audits of images and of labels, and the base of all errors. This
folder installs as the package ``evenhand`` itself; nothing is imported until it is used.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, version
from typing import TYPE_CHECKING, Any

from evenhand import bench
from evenhand.bench.errors import EvenhandError, IncompleteRunError

if TYPE_CHECKING:
    from evenhand.bench.audit import audit
    from evenhand.bench.cache.pull import pull_cache
    from evenhand.bench.cache.push import push_cache
    from evenhand.bench.comparison.compare import compare
    from evenhand.bench.models.loading import load_model
    from evenhand.bench.registry.method_spec import load_method
    from evenhand.bench.results.result import Result
    from evenhand.bench.run import evaluate
    from evenhand.bench.storage.stored_run import load_run
    from evenhand.bench.suites.suite import load_suite
    from evenhand.metrics.label_audit.audit import audit_labels

    load_result = Result.load

__all__ = [
    "EvenhandError",
    "IncompleteRunError",
    "__version__",
    "audit",
    "audit_labels",
    "compare",
    "evaluate",
    "load_method",
    "load_model",
    "load_result",
    "load_run",
    "load_suite",
    "pull_cache",
    "push_cache",
]

__version__ = version("evenhand")

# import-linter reads the four packages as separate ones only below a parent without a location, such as a
# namespace package. Nothing else looks at it: the file of this module is known by ``__file__``.
if __spec__ is not None:
    __spec__.has_location = False

_HOMES = {
    "audit": "evenhand.bench.audit:audit",
    "audit_labels": "evenhand.metrics.label_audit.audit:audit_labels",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return EntryPoint(name, _HOMES[name], "").load()
    if name in bench.__all__:
        return getattr(bench, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
