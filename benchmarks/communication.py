"""What processes that train together say to each other in a step, and how long that takes here.

    python -m torch.distributed.run --standalone --nproc-per-node 2 -m benchmarks.communication

LoRAs have the tensors of real ones; nothing is computed between the exchanges. docs/scale.md has the figures.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn

from tests.full_size_models import full_size
from trainer_core.lora.names import targets_of
from trainer_core.lora.networks import fresh_shapes
from trainer_core.training.plan import AdapterPlan
from trainer_core.training.strip import Strip
from trainer_core.training.team import Team, joined


@dataclass(frozen=True, slots=True)
class Case:
    """A LoRA whose gradients are added up."""

    family: str
    rank: int
    with_text_encoders: bool

    def words(self) -> str:
        return f"{self.family} rank {self.rank}, UNet{' and text encoders' if self.with_text_encoders else ''}"


CASES = [
    Case("sd15", 8, False),
    Case("sd15", 32, False),
    Case("sd15", 128, False),
    Case("sdxl", 16, False),
    Case("sdxl", 32, True),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--times", type=int, default=20, help="of which the median is taken")
    options = parser.parse_args()
    with joined(options.device) as team:
        tell(team, f"{team.size} processes on {options.device}, median of {options.times}")
        agreeing = timed(lambda: team.add_up(1.0), team, options)
        tell(team, f"agreeing on a few numbers: {agreeing * 1000:.2f} ms")
        tell(
            team, f"{'LoRA':<38} {'tensors':>8} {'parameters':>12} {'MB':>8} {'ms':>8} {'MB/s':>8} {'in one piece':>12}"
        )
        for case in CASES:
            parameters = parameters_of(case, options.device)
            count = sum(parameter.numel() for parameter in parameters)
            seconds = exchanging(parameters, None, team, options)
            strip = Strip(parameters)
            strip.place_gradients()
            in_one_piece = exchanging(parameters, strip, team, options)
            size = 4 * count / 1e6
            tell(
                team,
                f"{case.words():<38} {len(parameters):>8} {count:>12,} {size:>8.1f} {seconds * 1000:>8.1f} "
                f"{size / seconds:>8.0f} {in_one_piece * 1000:>9.1f} ms",
            )


def parameters_of(case: Case, device: str) -> list[nn.Parameter]:
    """Parameters of the LoRA's shapes, with gradients."""
    plan = AdapterPlan()
    unet, *encoders = targets_of(full_size(case.family), plan.targets, plan.blocks)
    shapes = [
        shape
        for module, targets in ([unet, *encoders] if case.with_text_encoders else [unet])
        for target in targets
        for shape in fresh_shapes(module.get_submodule(target.module), case.rank, plan).values()
    ]
    parameters = [nn.Parameter(torch.empty(shape, device=device)) for shape in shapes]
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, 1 / math.pi)
    return parameters


def exchanging(parameters: list[nn.Parameter], strip: Strip | None, team: Team, options: argparse.Namespace) -> float:
    """Seconds of adding up their gradients, one by one or as they lie in the strip."""
    return timed(lambda: team.add_up_gradients(parameters, strip), team, options)


def timed(exchange: Callable[[], object], team: Team, options: argparse.Namespace) -> float:
    """Seconds, from when all processes are there until this one goes on."""
    seconds = []
    for _ in range(options.times + 2):
        team.add_up()
        start = time.perf_counter()
        exchange()
        if options.device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return median(seconds[2:])  # the first ones make connections


def tell(team: Team, line: str) -> None:
    if team.is_first:
        print(line, flush=True)


if __name__ == "__main__":
    main()
