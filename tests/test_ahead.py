"""Batches are prepared by threads, in order, and never more than two ahead."""

from __future__ import annotations

import threading
import time

import pytest

from trainer_core.ahead import prepare_ahead

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
