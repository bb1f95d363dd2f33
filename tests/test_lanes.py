from __future__ import annotations

import threading

import pytest
import torch

from vidscan.lanes import Lane, shared_threads


def test_a_lane_keeps_the_order_and_works_in_one_other_thread():
    done, threads = [], set()

    def work(item: int) -> None:
        done.append(item)
        threads.add(threading.get_ident())

    with Lane(work, 1) as lane:
        for item in range(20):
            lane.add(item)
        lane.wait()
        assert done == list(range(20))
    assert len(threads) == 1 and threading.get_ident() not in threads


def test_a_lane_holds_back_who_is_too_fast():
    go, started = threading.Event(), []

    def work(item: int) -> None:
        started.append(item)
        go.wait(10)

    with Lane(work, 1) as lane:
        lane.add(0)
        lane.add(1)
        third = threading.Thread(target=lane.add, args=(2,))
        third.start()
        third.join(0.2)
        assert third.is_alive() and 1 not in started
        go.set()
        third.join(10)
        lane.wait()
    assert started == [0, 1, 2]


def test_a_lanes_error_reaches_who_feeds_it_and_ends_the_lane():
    done = []

    def work(item: int) -> None:
        if item == 1:
            raise OSError("disk full")
        done.append(item)

    with pytest.raises(OSError, match="disk full"), Lane(work, 1) as lane:
        for item in range(10):
            lane.add(item)
        lane.wait()
    assert 0 in done and 9 not in done


def test_threads_are_shared_and_given_back():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        with shared_threads(2) as each:
            assert each == torch.get_num_threads() == 2
            with shared_threads(8) as least:
                assert least == 1
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
