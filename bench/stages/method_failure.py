"""Tells failures of a method with its parameters from faults of the machine.

A search records the former as the result of a trial and ends with the latter, which say nothing about the
parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from evenhand.bench.errors import EvenhandError, MachineError, MethodError
from evenhand.bench.models.memory import is_out_of_memory

T = TypeVar("T")


@contextmanager
def method_at_work() -> Iterator[None]:
    """A context in which a method's own code runs.

    Raises:
        MethodError: The method failed.
        EvenhandError: The machine did, as a missing package, a file or too little memory show.
    """
    try:
        yield
    except MethodError:
        raise
    except EvenhandError as fault:
        if _of_machine(fault):
            raise
        raise MethodError(str(fault)) from fault


def network_of_machine(load: Callable[[str], T]) -> Callable[[str], T]:
    """The function that loads a network for a method; what it cannot load is a fault of the machine."""

    def loaded(name: str) -> T:
        try:
            return load(name)
        except EvenhandError as fault:
            raise MachineError(str(fault)) from fault

    return loaded


def _of_machine(fault: EvenhandError) -> bool:
    cause = fault.__cause__
    if isinstance(fault, MachineError) or isinstance(cause, OSError | ImportError):
        return True
    return cause is not None and is_out_of_memory(cause)
