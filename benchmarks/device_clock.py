"""All that a clock must know of the device: when it got where, and how much memory it gave.

A CPU is where the program is. A GPU comes after it, and tells when it has passed a mark among what it was given.
torch is imported only where it is needed: some trainers set things up before.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    Mark = float | torch.cuda.Event


def mark(device: str) -> Mark:
    """Behind all that the device was given so far."""
    if device != "cuda":
        return time.perf_counter()
    import torch

    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def seconds_between(earlier: Mark, later: Mark) -> float:
    """What the device took from one mark to the other, both of which it has passed (`synchronise`)."""
    return later - earlier if isinstance(earlier, float) else earlier.elapsed_time(later) / 1000


def synchronise(device: str) -> None:
    """Wait until the device has computed all that it was given."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def forget_peaks(device: str) -> None:
    """Let the device's peaks of memory begin anew."""
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()


def peaks(device: str) -> tuple[int, int] | None:
    """Bytes of this process on the device at the highest: in tensors, and taken from the driver for them. None on a
    CPU."""
    if device != "cuda":
        return None
    import torch

    return torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()


def give_back(device: str) -> None:
    """Give what is taken and not used back to the driver, for whoever has the next turn."""
    if device == "cuda":
        import torch

        torch.cuda.empty_cache()
