"""Blocks are drawn, then judged; slow judges pause drawing, and a lost worker loses no work."""

from collections import Counter, deque

import pytest
from helpers.workers import Simulated

from evenhand.bench.engines.worker import Done, DrawBlock, JudgeBlock
from evenhand.bench.engines.worker_pool import (
    MAX_LOSSES,
    MAX_QUEUED,
    Scheduler,
    WorkerLostError,
)
from evenhand.bench.errors import EvenhandError


def blocks(count):
    return [DrawBlock(f"m{number}", "", ()) for number in range(count)]


def flow(pool, draw, judge=()):
    """Everything that was done, in order."""
    done = []
    Scheduler(
        pool, following=lambda block: JudgeBlock(block.method, {}), done=lambda block, _: done.append(block)
    ).run(draw=draw, judge=judge)
    return done


def names(done, kind):
    return sorted(block.method for block in done if isinstance(block, kind))


def test_every_block_is_drawn_once_and_then_judged_once():
    done = flow(Simulated(), blocks(20), [JudgeBlock("made before", {})])
    drawn = [f"m{number}" for number in range(20)]
    assert names(done, DrawBlock) == sorted(drawn)
    assert names(done, JudgeBlock) == sorted(["made before", *drawn])
    for method in drawn:
        one, other = (block for block in done if block.method == method)
        assert isinstance(one, DrawBlock) and isinstance(other, JudgeBlock)


def test_no_more_workers_are_started_than_devices_or_blocks():
    pool = Simulated()
    flow(pool, blocks(20))
    assert pool.started == {"draw": 2, "judge": 2}
    pool = Simulated()
    flow(pool, blocks(1))
    assert pool.started == {"draw": 1, "judge": 1}


def test_drawing_waits_for_slow_judges():
    drawn_ahead = []

    def fate(block):
        if isinstance(block, DrawBlock):
            ahead.append(block)
        else:
            drawn_ahead.append(len(ahead))
            ahead.popleft()
        return Done(1.0)

    ahead = deque()
    pool = Simulated(fate)
    flow(pool, blocks(50))
    # Blocks queued for a judge, blocks being judged, and blocks started before drawing paused.
    assert max(drawn_ahead) <= MAX_QUEUED * 2 + 2 + 3
    assert len(drawn_ahead) == 50


def test_blocks_of_a_lost_worker_are_reassigned():
    lost = Counter()

    def fate(block):
        if block.method in {"m2", "m5"} and lost[block] < MAX_LOSSES - 1:
            lost[block] += 1
            raise WorkerLostError("gone")
        return Done(1.0)

    pool = Simulated(fate)
    done = flow(pool, blocks(8))
    assert len(lost) == 4, "two blocks were lost while drawn, and two while judged"
    assert names(done, DrawBlock) == names(done, JudgeBlock) == [f"m{number}" for number in range(8)]
    assert sum(pool.started.values()) > 5


def test_a_block_that_kills_its_workers_stops_the_run_with_a_one_line_error():
    def fate(block):
        raise WorkerLostError("killed by signal 9")

    with pytest.raises(
        EvenhandError, match=r"3 workers ended .* block of m0 \(killed by signal 9\).*--workers"
    ):
        flow(Simulated(fate), blocks(1))


def test_a_worker_error_is_raised_unchanged():
    with pytest.raises(EvenhandError, match="no such thing"):
        flow(Simulated(lambda block: EvenhandError("no such thing")), blocks(3))


def test_the_pool_does_not_wait_for_machines_that_left():
    pool = Simulated()

    def fate(block):
        pool.most = 1
        return Done(1.0)

    pool.fate = fate
    done = flow(pool, blocks(12))
    assert len(done) == 24


def test_a_pool_without_workers_is_an_error():
    with pytest.raises(EvenhandError, match="no worker is left; add machines"):
        flow(Simulated(size=0), blocks(2))
