"""What counts as a failure of a method with its parameters, and what as a fault of the machine."""

import errno
import pickle

import pytest
import torch

from evenhand.bench.errors import EvenhandError, MachineError, MethodError, NotInstalledError
from evenhand.bench.models.memory import memory_needed
from evenhand.bench.stages.method_failure import method_at_work, network_of_machine


def raised(fault, cause=None):
    """What comes out of a context in which a method raises an error."""
    with pytest.raises(EvenhandError) as found, method_at_work():
        raise fault from cause
    return found.value


def test_an_error_of_the_method_is_its_failure():
    fault = raised(EvenhandError("training diverged; lower the learning rate"))
    assert type(fault) is MethodError and str(fault) == "training diverged; lower the learning rate"


@pytest.mark.parametrize(
    "cause",
    [
        ImportError("No module named 'peft'"),
        OSError(errno.EACCES, "Permission denied"),
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
    ],
)
def test_an_error_that_the_machine_causes_is_passed_on(cause):
    fault = EvenhandError("cannot be used here")
    assert raised(fault, cause) is fault


def test_another_cause_does_not_excuse_the_method():
    assert type(raised(EvenhandError("cannot fill template"), KeyError("a"))) is MethodError


def test_what_is_not_installed_is_passed_on():
    fault = NotInstalledError("weights file 'w.pt' does not exist")
    assert raised(fault) is fault


def test_too_little_memory_around_a_method_is_a_fault_of_the_machine():
    with (
        pytest.raises(EvenhandError, match="not enough memory to fit x") as found,
        memory_needed("fit x", remedy="lower its batch"),
        method_at_work(),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")
    assert not isinstance(found.value, MethodError)


def test_a_network_that_cannot_be_loaded_is_a_fault_of_the_machine():
    def broken(name):
        raise EvenhandError(f"{name} lacks config.json")

    with pytest.raises(MachineError, match="dino lacks config"), method_at_work():
        network_of_machine(broken)("dino")
    assert network_of_machine(str.upper)("dino") == "DINO"


def test_the_kind_of_an_error_survives_the_way_from_a_worker():
    assert type(pickle.loads(pickle.dumps(MethodError("no")))) is MethodError
