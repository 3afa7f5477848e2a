"""All that a clock must know of the device: when it is done, and how much memory it gave. A CPU is always done.

torch is imported only where it is needed: some trainers set things up before.
"""

from __future__ import annotations


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
