"""Number formats and memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class PrecisionPlan:
    """Number formats. The LoRA itself is always trained in fp32."""

    training: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Format of the base model and of the arithmetic. auto: fp32 on a CPU; on a GPU bf16, or fp16 where it is older."""
    saving: Literal["fp16", "bf16", "fp32"] = "fp16"
    """Format of the saved LoRA."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: much less memory, about a third slower."""
