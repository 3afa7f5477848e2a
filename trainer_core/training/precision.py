"""Number formats on a device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from ..devices import is_gpu

FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_precision(precision: str, device: str) -> str:
    """ "auto" as the format that suits the device: fp32 on a CPU; on a GPU bf16, or fp16 where it is older."""
    if precision != "auto":
        return precision
    if not is_gpu(device):
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


@contextlib.contextmanager
def tf32(device: str) -> Iterator[None]:
    """fp32 matrices are multiplied in TF32 on a GPU, as PyTorch's convolutions are anyway: 10 bits of mantissa, three
    more than bf16, several times as fast as fp32. Everything is as it was once the context ends."""
    before = torch.get_float32_matmul_precision()
    if is_gpu(device):
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def autocast(precision: str, device: str) -> torch.autocast:
    """Arithmetic in `precision` while the context lasts; a no-op for fp32."""
    kind = torch.device(device).type
    return torch.autocast(kind, FORMATS[precision], enabled=precision != "fp32")
