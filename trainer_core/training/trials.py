"""What a faster way is tried by: its seconds, and how far its gradients are off."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..devices import is_gpu

_TIMES, _FEWEST_TIMES = 7, 2
_LONG = 2.0
"""Seconds after which a trial of slow work has seen enough."""


def seconds(work: Callable[[], object], device: str) -> float:
    """The median of a few times, each until the device has done it. It is to be warm."""
    times: list[float] = []
    while len(times) < _FEWEST_TIMES or (len(times) < _TIMES and sum(times) < _LONG):
        began = time.perf_counter()
        work()
        if is_gpu(device):
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def distance(found: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
    """Of gradients from those that they should be, relative to the norm of the latter."""
    off = sum((one.double() - other.double()).square().sum() for one, other in zip(found, exact, strict=True))
    return float((off / sum(one.double().square().sum() for one in exact)).sqrt())
