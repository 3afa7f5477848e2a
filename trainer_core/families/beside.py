"""Work that a GPU does beside other work: what nobody waits for fills the multiprocessors that the ends of large
multiplications leave idle.

Only while a CUDA graph is recorded, which repeats it as it was recorded: without one, asking for it takes Python longer
than it gains.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

import torch
from torch import Tensor


@contextmanager
def beside(*given: Tensor) -> Iterator[None]:
    """What is asked for within may be computed at the same time as what is asked for behind, until somebody meets it.
    `given`: all that it is computed from, which is held until then."""
    if not _is_recorded(given[0]):
        yield
        return
    meet(given[0])
    lane = _lane(given[0].device)
    lane.stream.wait_stream(torch.cuda.current_stream(given[0].device))
    lane.held = given
    with torch.cuda.stream(lane.stream):
        yield


def meet(found: Tensor) -> None:
    """Go on when all is done that was asked for beside, on the device of `found`."""
    if _is_recorded(found):
        _lane(found.device).end()


@contextmanager
def ends_beside() -> Iterator[None]:
    """What is recorded within, on the current device, ends with all that was asked for beside, also where it fails: a
    recording that has not met all of it cannot be ended."""
    try:
        yield
    finally:
        with suppress(RuntimeError):  # what has failed in CUDA itself waits for nothing any more
            _lane(torch.device("cuda", torch.cuda.current_device())).end()


class _Lane:
    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.stream = torch.cuda.Stream(device)
        self.held: tuple[Tensor, ...] = ()
        """Their memory must not become another's yet."""

    def end(self) -> None:
        """The current stream waits for this one, unless the graph that is recorded has not come by here: it must not
        wait for what is none of its own."""
        self.held = ()
        with torch.cuda.stream(self.stream):
            is_recorded = torch.cuda.is_current_stream_capturing()
        if is_recorded:
            torch.cuda.current_stream(self._device).wait_stream(self.stream)


@cache
def _lane(device: torch.device) -> _Lane:
    return _Lane(device)


def _is_recorded(tensor: Tensor) -> bool:
    return tensor.is_cuda and torch.cuda.is_current_stream_capturing()
