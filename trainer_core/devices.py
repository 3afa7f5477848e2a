"""Devices by what torch calls them: "cpu", "cuda", "cuda:1"."""

from __future__ import annotations

import torch


def is_gpu(device: torch.device | str) -> bool:
    """Whether it is one that torch calls by CUDA's name, which AMD's are as well."""
    return torch.device(device).type == "cuda"


def device_name(device: str) -> str:
    """What a device is called: "cpu", or a GPU's name."""
    return torch.cuda.get_device_name(device) if is_gpu(device) else device


def half_on_gpu(device: torch.device | str) -> torch.dtype:
    """The number format of models that only answer: half precision, which CPUs are slow at."""
    return torch.float16 if is_gpu(device) else torch.float32
