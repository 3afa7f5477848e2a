"""CPU threads that torch takes for one operation.

By OpenMP all of them wait for the next one afterwards, spinning for some milliseconds. Where a GPU does the arithmetic,
that is most of what they do: beside an H200, steps of 15 ms took 167 ms of CPU time each, of 16 cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import torch

from .devices import is_gpu


@contextmanager
def spared(device: str) -> Iterator[None]:
    """Where `device` is a GPU, this thread's operations on the CPU take no other thread while the context lasts."""
    usual = torch.get_num_threads()
    spare(device)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def spare(device: str) -> None:
    """The same from now on. Those of every other thread take as many as before."""
    if not is_gpu(device):
        return
    usual = torch.get_num_threads()
    torch.set_num_threads(1)  # also what threads take that begin later
    other = Thread(target=torch.set_num_threads, args=(usual,))
    other.start()
    other.join()
