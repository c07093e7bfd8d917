"""The benchmark from Python: the verbs that the command line is made of.

>>> from evenhand.bench import load_suite
>>> load_suite("mini-quick").model
'mini'

Nothing is imported until it is used, so ``import evenhand.bench`` is cheap and loads no torch.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evenhand.bench.comparison import compare
    from evenhand.bench.method_spec import load_method
    from evenhand.bench.models import load_model
    from evenhand.bench.result import Result
    from evenhand.bench.run import evaluate
    from evenhand.bench.suite import load_suite
    from evenhand.bench.workspace import load_run

    load_result = Result.load

__all__ = ["compare", "evaluate", "load_method", "load_model", "load_result", "load_run", "load_suite"]

_HOMES = {
    "compare": "evenhand.bench.comparison:compare",
    "evaluate": "evenhand.bench.run:evaluate",
    "load_method": "evenhand.bench.method_spec:load_method",
    "load_model": "evenhand.bench.models:load_model",
    "load_result": "evenhand.bench.result:Result.load",
    "load_run": "evenhand.bench.workspace:load_run",
    "load_suite": "evenhand.bench.suite:load_suite",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return EntryPoint(name, _HOMES[name], "").load()


def __dir__() -> list[str]:
    return __all__
