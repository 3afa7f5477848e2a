"""A toy run that trains as the loop does: batches seeded by step, accumulation, schedule, saves and states."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trainer_core.lora.adapters import ParameterGroup
from trainer_core.training.batches import stream_seed
from trainer_core.training.optimizer import make_optimizer, optimizer_for_saving, set_rates
from trainer_core.training.plan import OptimizerPlan, SchedulePlan
from trainer_core.training.schedule import rate_factor
from trainer_core.training.state import load_state, save_state

RATES = {"AdamW": 1e-2, "AdamW8bit": 1e-2, "Lion": 3e-3, "Lion8bit": 3e-3, "Prodigy": 1.0, "Adafactor": 1e-2,
         "AdamWScheduleFree": 2e-2, "CAME": 5e-4}  # fmt: skip
PACKAGES = {"AdamW8bit": "bitsandbytes", "Lion8bit": "bitsandbytes", "Lion": "pytorch_optimizer",
            "Prodigy": "pytorch_optimizer", "AdamWScheduleFree": "pytorch_optimizer",
            "CAME": "pytorch_optimizer"}  # fmt: skip
STEPS, STEPS_PER_EPOCH, ACCUMULATION = 12, 4, 3
SIDE, RANK = 128, 32  # 4096 elements: as few as bitsandbytes keeps in 8 bits


class Interrupted(Exception):
    """Stands for whatever ends a run in the middle of a step."""


class ToyAdapters:
    """A low-rank adapter of a linear layer, and a bias: weights of two, and of one dimension."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.down = nn.Parameter(torch.randn(RANK, SIDE, generator=generator) / SIDE**0.5)
        self.up = nn.Parameter(torch.zeros(SIDE, RANK))
        self.bias = nn.Parameter(torch.randn(SIDE, generator=generator) / 10)
        self.name = f"toy{seed}"

    def __call__(self, x_BC: Tensor) -> Tensor:
        return x_BC @ self.down.T @ self.up.T + self.bias

    def parameters(self) -> list[nn.Parameter]:
        return [self.down, self.up, self.bias]

    def parameter_groups(self) -> list[ParameterGroup]:
        return [ParameterGroup([self.down, self.bias], False, 1.0), ParameterGroup([self.up], True, 1.0)]

    def tensors(self) -> dict[str, Tensor]:
        return {f"{self.name}.{i}": weight.detach().clone() for i, weight in enumerate(self.parameters())}

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        for i, weight in enumerate(self.parameters()):
            weight.copy_(tensors[f"{self.name}.{i}"])


def toy_parts() -> list[ToyAdapters]:
    """What stands for the UNet's adapters, and for the text encoder's."""
    return [ToyAdapters(1), ToyAdapters(2)]


def toy_loss(parts: list[ToyAdapters], step: int, turn: int) -> Tensor:
    """The error of one batch, which follows from `step` and `turn` alone."""
    generator = torch.Generator().manual_seed(stream_seed(0, "toy", step, turn))
    x_BC = torch.randn(8, SIDE, generator=generator)
    target_BC = 2 * x_BC.mean(1, keepdim=True)
    return (parts[1](parts[0](x_BC) + x_BC) - target_BC).square().mean()


def plan_of(name: str, **changes) -> OptimizerPlan:
    """A plan on which the toy learns; skips the test where the optimizer's package is missing."""
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name])
    rates = {"learning_rate": RATES[name], "text_encoder_rate": RATES[name] / (1 if name == "Prodigy" else 2)}
    return OptimizerPlan(**{"name": name, "prodigy_d0": 5e-3} | rates | changes)


class ToyRun:
    """A run in `folder`. Each `train` builds everything anew and goes on from the newest state, as after a restart."""

    def __init__(self, folder: Path, plan: OptimizerPlan, schedule: SchedulePlan) -> None:
        self.folder, self.plan, self.schedule = folder, plan, schedule
        self.losses: dict[int, float] = {}
        self.kept: dict[int, list[Tensor]] = {}

    def train(self, *, until: int = STEPS, interrupt_at: tuple[int, int] | None = None) -> list[Tensor]:
        """Train to step `until`, or up to an interrupt at (step, turn of its accumulation); returns the weights."""
        parts = toy_parts()
        optimizer = make_optimizer(self.plan, parts[0].parameter_groups(), parts[1].parameter_groups())
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        step = load_state(self.folder, parts, optimizer, scaler)
        try:
            while step < until:
                set_rates(optimizer, rate_factor(self.schedule, step, STEPS))
                for turn in range(ACCUMULATION):
                    if interrupt_at == (step, turn):
                        raise Interrupted
                    loss = toy_loss(parts, step, turn)
                    (loss / ACCUMULATION).backward()
                weights = [weight for part in parts for weight in part.parameters()]
                nn.utils.clip_grad_norm_(weights, self.plan.max_grad_norm)
                optimizer.step()
                optimizer.zero_grad()
                self.losses[step] = loss.item()
                step += 1
                if step % STEPS_PER_EPOCH == 0:
                    with optimizer_for_saving(optimizer):
                        self.kept[step] = [weight.detach().clone() for weight in weights]
        except Interrupted:
            pass
        save_state(self.folder, step, parts, optimizer, scaler)
        return [weight.detach() for part in parts for weight in part.parameters()]
