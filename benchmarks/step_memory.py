"""Is the memory of a training step estimated right? Estimates against what a process takes, on a CPU under Linux.

    python -m benchmarks.step_memory [sd15 | sdxl]

Models of the real size with random weights; each case runs two steps in a process of its own, whose resident memory is
read at its highest. GPUs differ in what no tensor shows, which is a constant of the estimate.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from tests.full_size_models import full_size
from trainer_core.families.base_model import BaseModel, Conditioning, PictureSize
from trainer_core.families.quantised import quantise
from trainer_core.lora.adapters import Adapters
from trainer_core.lora.names import targets_of
from trainer_core.training.checkpointing import checkpoint_blocks
from trainer_core.training.device_layers import has_cpu_layers, transform_for_cpu, use_layers_of_cpu
from trainer_core.training.memory import step_memory
from trainer_core.training.memory_choice import MemoryChoice
from trainer_core.training.plan import OptimizerPlan, TrainingPlan
from trainer_core.training.precision import FORMATS
from trainer_core.training.step_memory import GB, StepShape

PLAN = TrainingPlan(optimizer=OptimizerPlan(text_encoder_rate=0.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One configuration that is estimated and run."""

    family: str
    side: int
    """Pixels."""
    pictures: int
    precision: str
    checkpoint_every: int
    base: str

    @property
    def choice(self) -> MemoryChoice:
        return MemoryChoice(checkpoint_every=self.checkpoint_every, parts=1, base=self.base)

    @property
    def shape(self) -> StepShape:
        return StepShape(pictures=self.pictures, width=self.side, height=self.side, chunks=1)


_PIXELS_PER_LATENT = 8
CASES = (
    Case(family="sd15", side=512, pictures=1, precision="fp32", checkpoint_every=0, base="full"),
    Case(family="sd15", side=512, pictures=2, precision="fp32", checkpoint_every=0, base="full"),
    Case(family="sd15", side=512, pictures=2, precision="fp32", checkpoint_every=2, base="full"),
    Case(family="sd15", side=512, pictures=2, precision="fp32", checkpoint_every=1, base="full"),
    Case(family="sd15", side=512, pictures=2, precision="bf16", checkpoint_every=0, base="full"),
    Case(family="sd15", side=512, pictures=1, precision="fp32", checkpoint_every=0, base="fp8"),
    Case(family="sd15", side=512, pictures=1, precision="fp32", checkpoint_every=1, base="nf4"),
    Case(family="sdxl", side=512, pictures=1, precision="bf16", checkpoint_every=0, base="full"),
    Case(family="sdxl", side=512, pictures=1, precision="bf16", checkpoint_every=1, base="full"),
)


def estimated(case: Case) -> int:
    shape, usual = case.shape, case.pictures * case.side**2
    model = full_size(case.family)
    memory = step_memory(model, PLAN, shape, case.choice, precision=case.precision, device="cpu", usual_pixels=usual)
    return memory.total


def measured(case: Case) -> int:
    """Bytes by which this process grows at its highest: base model, adapters, two steps."""
    before = psutil.Process().memory_info().rss
    model = _random_weights(full_size(case.family), FORMATS[case.precision])
    if case.base != "full":
        quantise(model.unet, case.base)
    has_own_layers = has_cpu_layers("cpu", case.precision)
    if has_own_layers:
        use_layers_of_cpu(model, in_parts=True)
    unet, *_ = targets_of(model, PLAN.adapter.targets, PLAN.adapter.blocks)
    adapters = Adapters(*unet, PLAN.network.rank, PLAN.network.alpha)
    adapters.initialise(0)
    if has_own_layers:
        transform_for_cpu(model.unet, case.pictures * (case.side // _PIXELS_PER_LATENT) ** 2)
    if case.checkpoint_every:
        checkpoint_blocks(model, case.checkpoint_every)
    optimizer = torch.optim.AdamW(adapters.parameters())
    _forget_highest()
    for _ in range(2):
        _step(model, case)
        optimizer.step()
        optimizer.zero_grad()
    return _highest() - before


def _forget_highest() -> None:
    """Let the highest resident memory of this process count from now: loading is not a step."""
    Path("/proc/self/clear_refs").write_text("5")


def _highest() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _random_weights(model: BaseModel, dtype: torch.dtype) -> BaseModel:
    model.vae, model.text_encoders = None, []
    model.unet.to(dtype).to_empty(device="cpu").requires_grad_(False).eval()
    for parameter in model.unet.parameters():
        parameter.uniform_(-0.02, 0.02)
    return model


def _step(model: BaseModel, case: Case) -> None:
    config, dtype = model.unet.config, FORMATS[case.precision]
    pooled = torch.zeros(case.pictures, 1280, dtype=dtype) if case.family == "sdxl" else None
    states = torch.zeros(case.pictures, 77, config.cross_attention_dim, dtype=dtype)
    noisy = torch.randn(case.pictures, 4, *[case.side // _PIXELS_PER_LATENT] * 2)
    sizes = [PictureSize((case.side, case.side), (0, 0), (case.side, case.side))] * case.pictures
    predicted = model.predict(noisy, torch.full((case.pictures,), 500), Conditioning(states, pooled), sizes)
    (predicted.float() - noisy).square().mean().backward()


def main(family: str) -> None:
    print("| case | estimated GB | measured GB | off |\n| --- | --- | --- | --- |")
    for place, case in enumerate(CASES):
        if family not in (case.family, ""):
            continue
        command = [sys.executable, "-m", "benchmarks.step_memory", "--measure", str(place)]
        real = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
        guess = estimated(case)
        name = f"{case.family} {case.side} x{case.pictures} {case.precision} every {case.checkpoint_every} {case.base}"
        print(f"| {name} | {guess / GB:.2f} | {real / GB:.2f} | {guess / real - 1:+.0%} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(measured(CASES[int(sys.argv[2])]))
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else "")
