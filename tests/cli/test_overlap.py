"""Three stages at once: in order, really at once, with little in between, and ended by an error in any of them."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from posemask.cli.overlap import overlap, overlap_several
from posemask.errors import InputError


def threads_of_ours():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("posemask ")]


def test_items_come_out_in_order():
    written = []
    overlap(range(100), lambda item: item * item, written.append)
    assert written == [item * item for item in range(100)]
    assert threads_of_ours() == []


def test_nothing_in_nothing_out():
    overlap([], pytest.fail, pytest.fail)


def test_stages_run_at_the_same_time():
    everyone = threading.Barrier(3, timeout=10)  # breaks if one of the three stages does not come

    def source():
        for item in range(8):
            if item == 7:
                everyone.wait()
            yield item

    def work(item):
        if item == 3:
            everyone.wait()
        return item

    def sink(item):
        if item == 0:
            everyone.wait()

    overlap(source(), work, sink)


def test_little_waits_between_the_stages():
    alive = 0
    most = 0
    lock = threading.Lock()

    def count(step):
        nonlocal alive, most
        with lock:
            alive += step
            most = max(most, alive)

    def source():
        for item in range(200):
            count(1)
            yield item

    overlap(source(), lambda item: item, lambda item: count(-1))
    assert alive == 0
    assert most <= 10


class Broken(Exception):
    pass


@pytest.mark.parametrize("where", ["source", "work", "sink"])
@pytest.mark.parametrize("error", [Broken, KeyboardInterrupt])
@pytest.mark.parametrize("at", [0, 5])
def test_an_error_ends_all_stages(where, error, at):
    def fail(stage, item):
        if stage == where and item == at:
            raise error
        return item

    endless = (fail("source", item) for item in itertools.count())
    with pytest.raises(error):
        overlap(endless, lambda item: fail("work", item), lambda item: fail("sink", item))
    assert threads_of_ours() == []


def test_an_error_wakes_stages_that_wait():
    """The reader waits for room, the worker fails: the reader must not wait for ever."""
    waiting = threading.Event()

    def source():
        for item in itertools.count():
            if item == 4:
                waiting.set()
            yield item

    def work(item):
        waiting.wait(10)
        raise Broken

    with pytest.raises(Broken):
        overlap(source(), work, pytest.fail)
    assert threads_of_ours() == []


def test_what_is_written_before_an_error_stays_written():
    written = []

    def work(item):
        if item == 3:
            while len(written) < 3:
                threading.Event().wait(0.001)
            raise Broken
        return item

    with pytest.raises(Broken):
        overlap(range(10), work, written.append)
    assert written == [0, 1, 2]


def test_several_workers_keep_the_order_and_have_one_item_each():
    """More items than workers; the early ones take longest."""
    at_work = [0, 0, 0]
    most = [0, 0, 0]

    def worker(number):
        def work(item):
            at_work[number] += 1
            most[number] = max(most[number], at_work[number])
            time.sleep(0.002 * (item % 4 == 0))
            at_work[number] -= 1
            return item * item

        return work

    done = []
    overlap_several(iter(range(40)), [worker(i) for i in range(3)], done.append)
    assert done == [i * i for i in range(40)]
    assert max(most) == 1
    assert most.count(1) >= 2, "the work is shared"


def test_an_error_of_one_of_several_workers_ends_all():
    def work(item):
        if item == 7:
            raise InputError("seven")
        return item

    with pytest.raises(InputError, match="seven"):
        overlap_several(iter(range(10_000)), [work, work], lambda item: None)
