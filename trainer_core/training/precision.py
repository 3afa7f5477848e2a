"""Number formats on a device."""

from __future__ import annotations

import torch

FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_precision(precision: str, device: str) -> str:
    """ "auto" as the format that suits the device: fp32 on a CPU; on a GPU bf16, or fp16 where it is older."""
    if precision != "auto":
        return precision
    if not device.startswith("cuda"):
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def device_name(device: str) -> str:
    """What a device is called: "cpu", or a GPU's name."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def autocast(precision: str, device: str) -> torch.autocast:
    """Arithmetic in `precision` while the context lasts; a no-op for fp32."""
    kind = torch.device(device).type
    return torch.autocast(kind, FORMATS[precision], enabled=precision != "fp32")
