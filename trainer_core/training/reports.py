"""What the training loop tells: a StepReport after each step, a TrainedLora at the end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .plan import TrainingPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class StepReport:
    """One optimizer step, just taken."""

    step: int
    """1-based."""
    total_steps: int
    epoch: int
    """1-based."""
    loss: float
    """Mean loss of the step's batch."""
    learning_rate: float
    """Rate of the UNet's adapters in this step (the text encoders' where the UNet is not trained)."""
    saved: Path | None = None
    """The LoRA that was kept after this step, if one was."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedEpoch:
    """A LoRA kept on the way."""

    epoch: int
    step: int
    path: Path


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class TrainedLora:
    """A finished run: where it is and what it kept. Never tensors."""

    run_folder: Path
    name: str
    base_model: Path
    plan: TrainingPlan
    trigger_words: tuple[str, ...]
    epochs: tuple[SavedEpoch, ...]
    """Kept LoRAs in order; the last one is the end of training."""
    losses: tuple[float, ...]
    """Loss of every step."""

    @property
    def file(self) -> Path:
        """The LoRA of the last epoch."""
        return self.epochs[-1].path

    def __repr__(self) -> str:
        """Short, and without paths: hosts put it into error reports that people share."""
        return f"TrainedLora({self.name!r}, {len(self.epochs)} epochs kept, {len(self.losses)} steps)"
