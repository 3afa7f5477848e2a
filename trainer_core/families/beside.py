"""Work that a GPU does beside other work: what nobody waits for fills the multiprocessors that the end of a large
multiplication leaves idle.

Only while a CUDA graph is recorded, which repeats it as it was recorded: without one, asking for it takes Python longer
than it gains.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor


@contextmanager
def beside(given: Tensor) -> Iterator[None]:
    """What is asked for within may be computed at the same time as what is asked for behind, until `meet`.

    Args:
        given: One of the tensors that it is computed from, all of which are to be held until then.
    """
    if not _is_recorded(given):
        yield
        return
    stream = _stream(given.device)
    stream.wait_stream(torch.cuda.current_stream(given.device))
    with torch.cuda.stream(stream):
        yield


def meet(given: Tensor) -> None:
    """Go on when all is done that was asked for beside."""
    if _is_recorded(given):
        torch.cuda.current_stream(given.device).wait_stream(_stream(given.device))


def _is_recorded(given: Tensor) -> bool:
    return given.is_cuda and torch.cuda.is_current_stream_capturing()


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
