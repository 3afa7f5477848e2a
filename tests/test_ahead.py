"""What comes next is prepared by threads, in order: batches at most two ahead, steps one."""

from __future__ import annotations

import threading
import time

import pytest

from trainer_core.ahead import one_ahead, prepare_ahead

BATCHES = [[10 * batch + place for place in range(3)] for batch in range(8)]


def test_batches_come_in_order_however_long_each_takes():
    def slowest_first(number):
        time.sleep(0.002 * (number % 3 == 0))
        return -number

    found = list(prepare_ahead(BATCHES, slowest_first))
    assert found == [(batch, [-number for number in batch]) for batch in BATCHES]


def test_the_next_batches_are_prepared_while_one_is_worked_on_and_no_more():
    prepared, there = [], threading.Event()

    def prepare(number):
        prepared.append(number)
        if number == BATCHES[2][-1]:
            there.set()

    batches = prepare_ahead(BATCHES, prepare)
    next(batches)
    assert there.wait(10), "the third batch is prepared before it is asked for"
    time.sleep(0.05)
    assert sorted(prepared) == [number for batch in BATCHES[:3] for number in batch]
    batches.close()


def test_what_fails_is_told_with_its_batch():
    def prepare(number):
        if number == 21:
            raise ValueError("no picture")
        return number

    batches = prepare_ahead(BATCHES, prepare)
    assert next(batches)[0] == BATCHES[0] and next(batches)[0] == BATCHES[1]
    with pytest.raises(ValueError, match="no picture"):
        next(batches)


def test_nothing_to_prepare_gives_nothing():
    assert list(prepare_ahead([], str)) == []


def test_one_step_is_prepared_while_another_is_worked_on_and_no_more():
    prepared, there = [], threading.Event()

    def prepare(number):
        prepared.append(number)
        if number == 1:
            there.set()
        return -number

    steps = one_ahead(range(5), prepare)
    assert next(steps) == (0, 0)
    assert there.wait(10), "the second one is prepared before it is asked for"
    time.sleep(0.05)
    assert prepared == [0, 1]
    assert list(steps) == [(number, -number) for number in range(1, 5)] and prepared == [0, 1, 2, 3, 4]


def test_a_step_that_fails_is_told_when_it_is_due_and_the_ones_before_are_given():
    def prepare(number):
        if number == 2:
            raise ValueError("gone")
        return number

    steps = one_ahead(range(5), prepare)
    assert [next(steps), next(steps)] == [(0, 0), (1, 1)]
    with pytest.raises(ValueError, match="gone"):
        next(steps)
    assert not any(thread.name.startswith("preparing steps") for thread in threading.enumerate())


def test_closing_ends_the_thread_and_no_step_gives_nothing():
    steps = one_ahead(range(5), str)
    next(steps)
    steps.close()
    assert not any(thread.name.startswith("preparing steps") for thread in threading.enumerate())
    assert list(one_ahead([], str)) == []
