"""CPU threads that torch takes for one operation.

By OpenMP all of them wait for the next one afterwards, spinning for some milliseconds. Where a GPU does the arithmetic,
that is most of what they do: beside an H200, steps of 15 ms took 167 ms of CPU time each, of 16 cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from .devices import is_gpu


@contextmanager
def spared(device: str) -> Iterator[None]:
    """Where `device` is a GPU, this thread's operations on the CPU take no other thread while the context lasts."""
    if not is_gpu(device):
        yield
        return
    usual = torch.get_num_threads()
    _take(1)
    try:
        yield
    finally:
        _take(usual)


def spare(device: str) -> None:
    """The same from now on."""
    if is_gpu(device):
        _take(1)


def _take(count: int) -> None:
    """By this thread's operations; those of every other thread take as many as before."""
    torch.get_num_threads()  # which would set how many it takes, were it asked first behind this
    with ThreadPoolExecutor(1) as other:
        usual = other.submit(torch.get_num_threads).result()
        torch.set_num_threads(count)  # also what threads take that begin later
        other.submit(torch.set_num_threads, usual).result()
