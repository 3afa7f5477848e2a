"""What a training step needs of memory, and of what shape its batches are."""

from __future__ import annotations

from dataclasses import dataclass, fields

GB = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class StepShape:
    """The largest batch of a run."""

    pictures: int
    width: int
    """Pixels."""
    height: int
    chunks: int
    """Of 75 tokens, in the longest caption that may come."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepMemory:
    """Bytes in use when a training step needs most."""

    base: int
    """The frozen weights of the UNet, and of the text encoders where they are trained."""
    lora: int
    """The LoRA in fp32, its optimizer's state and its average."""
    step: int
    """Activations kept for the backward pass, gradients, and what is needed for a moment."""
    overhead: int
    """What no tensor shows."""

    @property
    def total(self) -> int:
        return sum(getattr(self, field.name) for field in fields(self))

    def line(self) -> str:
        """ "a step needs about 13.9 GB of memory (base model 4.8, LoRA 0.5, activations and gradients 8.0, ...)"."""
        digits = 1 if self.total >= GB else 2
        base, lora, step, overhead, total = (
            f"{value / GB:.{digits}f}" for value in (self.base, self.lora, self.step, self.overhead, self.total)
        )
        parts = f"base model {base}, LoRA and optimizer {lora}, activations and gradients {step}, overhead {overhead}"
        return f"a step needs about {total} GB of memory ({parts})"
