"""Number formats and memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class PrecisionPlan:
    """Number formats. The LoRA itself is always trained in fp32."""

    training: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Format of the base model and of the arithmetic. auto: fp32 on a CPU; on a GPU bf16, or fp16 where it is older.
    fp32 on a GPU multiplies in TF32."""
    saving: Literal["fp16", "bf16", "fp32"] = "fp16"
    """Format of the saved LoRA."""
    base: Literal["full", "fp8", "int8", "nf4"] = "full"
    """How the frozen weights of the UNet are kept. full: as `training` says; fp8, int8: in 8 bits; nf4: in 4.5
    (arXiv:2305.14314). Arithmetic and LoRA are the same; each layer's weight is made anew when it is used."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: much less memory, about a third slower."""
    checkpoint_every: int = 1
    """With gradient checkpointing: every how many blocks are recomputed. 2 saves half as much in half the time."""
    offload: bool = False
    """Keep the UNet's blocks in the CPU's memory and send each to the GPU as it is used: the same result, slower. On a
    CPU it has no effect."""
    compile: bool = False
    """Compile the UNet's transformer blocks on a GPU: where their gradients, compared with fp64, are as near as
    without, and where the run is long enough to make up for the wait."""
    cuda_graphs: bool = True
    """Record the passes of a step as CUDA graphs on a GPU, one for each shape of batches: where they are faster and
    their gradients the same. Not with module dropout or offloading."""
    short_memory: Literal["refuse", "reduce", "try"] = "refuse"
    """Where a step would not fit into the memory that is free. refuse: no run, but what would help. reduce:
    checkpointing, then batches in parts, then offloading, then the base model in fewer bits, as far as needed; the run
    keeps to what it began with. try: as set."""

    def __post_init__(self) -> None:
        require(self.checkpoint_every >= 1, "checkpoint every", self.checkpoint_every, "at least 1", "1 saves most")
