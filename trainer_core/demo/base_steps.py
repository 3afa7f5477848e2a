"""What both stages of the demo base's training share: steps that can be stopped, and their log."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch


def count_steps(state_file: Path, steps: int, learning_rate: float, model, average, optimizer) -> Iterator[int]:
    """Count steps on a warm-up + cosine schedule, saving the state every 200 so that a stage can be resumed."""
    start = 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        start = state["step"]
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
    for step in range(start, steps):
        factor = min(1.0, (step + 1) / 100) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * factor
        yield step
        if (step + 1) % 200 == 0 or step + 1 == steps:
            parts = dict(model=model.state_dict(), average=average.state_dict(), optimizer=optimizer.state_dict())
            torch.save({"step": step + 1, **parts}, state_file.with_suffix(".tmp"))
            state_file.with_suffix(".tmp").replace(state_file)


def log_loss(stage: str, step: int, loss: torch.Tensor) -> None:
    """A line for every fiftieth step."""
    if step % 50 == 0:
        print(f"{time.strftime('%H:%M:%S')} {stage} step {step} loss {loss.item():.4f}", flush=True)
