"""The benchmark from Python: the verbs that the command line is made of.

>>> from evenhand.bench import load_suite
>>> load_suite("mini-quick").model
'mini'

Nothing is imported until it is used, so ``import evenhand.bench`` is cheap and loads no torch.
"""

from __future__ import annotations

import os
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evenhand.bench.cache.pull import pull_cache
    from evenhand.bench.cache.push import push_cache
    from evenhand.bench.comparison.compare import compare
    from evenhand.bench.models.loading import load_model
    from evenhand.bench.registry.method_spec import load_method
    from evenhand.bench.results.result import Result
    from evenhand.bench.run import evaluate
    from evenhand.bench.storage.stored_run import load_run
    from evenhand.bench.suites.suite import load_suite

    load_result = Result.load

__all__ = [
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

_HOMES = {
    "compare": "evenhand.bench.comparison.compare:compare",
    "evaluate": "evenhand.bench.run:evaluate",
    "load_method": "evenhand.bench.registry.method_spec:load_method",
    "load_model": "evenhand.bench.models.loading:load_model",
    "load_result": "evenhand.bench.results.result:Result.load",
    "load_run": "evenhand.bench.storage.stored_run:load_run",
    "load_suite": "evenhand.bench.suites.suite:load_suite",
    "pull_cache": "evenhand.bench.cache.pull:pull_cache",
    "push_cache": "evenhand.bench.cache.push:push_cache",
}


# ONNX Runtime, which diffusers imports where it is installed, else keeps an id of the device in the user's
# home and reports to its maker; the hub's library reports too. They look when they are imported, and every
# part of Evenhand imports this module before. Variables that are already set keep their values.
for _variable in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"):
    os.environ.setdefault(_variable, "1")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return EntryPoint(name, _HOMES[name], "").load()


def __dir__() -> list[str]:
    return __all__
