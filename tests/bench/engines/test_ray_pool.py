"""Workers of a Ray cluster: devices, placement and loss, with a cluster that is simulated."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from evenhand.bench.engines.ray_pool import RayPool
from evenhand.bench.engines.worker import Assignment, Done, JudgeBlock
from evenhand.bench.engines.worker_pool import WorkerLostError
from evenhand.bench.errors import EvenhandError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
BLOCK = JudgeBlock("base", {})


class RayActorError(Exception):
    """What the library raises for the answer of a lost actor."""


class Cluster(ModuleType):
    """The part of the library that the pool uses."""

    def __init__(self, resources, *, running=False):
        super().__init__("ray")
        self.resources, self.running = resources, running
        self.exceptions = SimpleNamespace(RayActorError=RayActorError)
        self.options, self.killed, self.answers = [], [], {}

    def is_initialized(self):
        return self.running

    def init(self, **options):
        if self.resources is None:
            raise ConnectionError
        self.running = True

    def shutdown(self):
        self.running = False

    def cluster_resources(self):
        return self.resources

    def put(self, thing):
        return thing

    def remote(self, worker):
        return SimpleNamespace(options=lambda **options: self.options.append(options) or self._actor())

    def _actor(self):
        actor = SimpleNamespace(answer=SimpleNamespace(remote=lambda block: (id(actor), block)))
        return SimpleNamespace(remote=lambda assignment, cores: actor)

    def wait(self, references, *, num_returns):
        return references[-1:], references[:-1]

    def get(self, reference):
        found = self.answers.get(reference[0], Done(1.0))
        if isinstance(found, RayActorError):
            raise found
        return found

    def kill(self, actor):
        self.killed.append(actor)


@pytest.fixture
def pool(monkeypatch, tmp_path):
    """Makes a pool on a cluster with these devices."""

    def make(resources, *, workers=0, device=CPU, running=False):
        cluster = Cluster(resources, running=running)
        monkeypatch.setitem(sys.modules, "ray", cluster)
        monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
        return RayPool(Assignment(tmp_path, packages={}), workers=workers, device=device), cluster

    return make


@pytest.mark.parametrize(("workers", "size"), [(0, 8), (3, 3)])
def test_the_size_is_that_of_the_cluster_or_what_is_asked_for(pool, workers, size):
    own, cluster = pool({"CPU": 8.0}, workers=workers)
    assert own.size() == size
    cluster.resources = {"CPU": 2.0}  # machines may leave
    assert own.size() == 2


def test_roles_share_a_device(pool, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    own, cluster = pool({"GPU": 1.0, "CPU": 4.0}, device=CUDA)
    for role in ("draw", "judge"):
        own.start(role)
    assert [(each["num_gpus"], each["num_cpus"]) for each in cluster.options] == [(0.75, 0), (0.25, 0)]
    assert cluster.options[0]["runtime_env"] == {"env_vars": {"HF_HUB_OFFLINE": "1"}}


def test_the_worker_whose_answer_is_ready_is_returned_and_a_lost_one_raises(pool):
    own, cluster = pool({"CPU": 2.0})
    first, second = own.start("draw"), own.start("judge")
    for worker in (first, second):
        worker.submit(BLOCK)
    assert own.first([first, second]) is second
    assert second.answer() == Done(1.0)
    cluster.answers[id(first.actor)] = RayActorError("node died\nlong trace")
    with pytest.raises(WorkerLostError, match=r"^node died$"):
        first.answer()


@pytest.mark.parametrize("running", [True, False])
def test_actors_are_killed_and_only_an_own_cluster_is_shut_down(pool, running):
    own, cluster = pool({"CPU": 2.0}, running=running)
    worker = own.start("draw")
    own.close()
    assert cluster.killed == [worker.actor] and cluster.running is running


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"resources": None},
            "no Ray cluster found at RAY_ADDRESS='10.0.0.1:6379'; start one with ray start",
        ),
        (
            {"resources": {"CPU": 2.0}, "workers": 3},
            "for 2 workers, not for 3; add machines or use fewer --workers",
        ),
        ({"resources": {}}, "for 0 workers, not for 1"),
        (
            {"resources": {"CPU": 4.0, "GPU": 1.0}},
            "has accelerators, but this machine, which fits the methods, has none",
        ),
    ],
)
def test_a_cluster_that_does_not_fit_is_an_error_of_one_line(pool, options, message):
    with pytest.raises(EvenhandError) as fault:
        pool(**options)
    assert message in str(fault.value) and "\n" not in str(fault.value)
