"""Do the modes that save memory learn what bf16 learns? Their losses, step by step, beside those of another seed.

    python -m benchmarks.loss_curves [--device cuda] [--steps 60] [--out FILE]

The demo base, which is trained, and its drawn pictures. All runs but one have the same seed, and so the same start,
pictures, noise and timesteps: what is left between their smoothed losses is what the mode does. The run with another
seed says how far chance moves the same curve. A mode is within the noise where it moves it less.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch

from trainer_core.demo import DEMO_BASE
from trainer_core.demo.__main__ import prepare_demo_dataset
from trainer_core.job import Job
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.precision import resolve_precision
from trainer_core.training.reports import StepReport
from trainer_core.training.trainer import Trainer

WINDOW = 15
"""Steps that are averaged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mode:
    """How a run keeps its base model, and from which seed it draws."""

    name: str
    base: str
    offload: bool
    seed: int


WHOLE = Mode(name="whole", base="full", offload=False, seed=0)
OTHER_SEED = Mode(name="whole, another seed", base="full", offload=False, seed=1)
MODES = (
    Mode(name="fp8", base="fp8", offload=False, seed=0),
    Mode(name="int8", base="int8", offload=False, seed=0),
    Mode(name="nf4", base="nf4", offload=False, seed=0),
    Mode(name="offloaded", base="full", offload=True, seed=0),
)


def losses_of(mode: Mode, device: str, steps: int) -> list[float]:
    """The loss of every step."""
    plan = TrainingPlan.from_json(
        {
            "steps": steps,
            "batch_size": 8,
            "seed": mode.seed,
            "network": {"rank": 16, "alpha": 16},
            "optimizer": {"learning_rate": 2e-3, "text_encoder_rate": 0},
            "precision": {"base": mode.base, "offload": mode.offload},
            "validation": {"every_epochs": 0},
        }
    )
    with tempfile.TemporaryDirectory() as runs:
        job = Job(base_model=DEMO_BASE, dataset=prepare_demo_dataset(), plan=plan, name="curve")
        reports = Trainer(job, Path(runs), device=device).steps()
        return [report.loss for report in reports if isinstance(report, StepReport)]


def smoothed(losses: Sequence[float]) -> list[float]:
    """Means of every `WINDOW` steps that follow each other."""
    return [fmean(losses[start : start + WINDOW]) for start in range(len(losses) - WINDOW + 1)]


def largest_distance(losses: Sequence[float], others: Sequence[float]) -> float:
    """Between two smoothed curves, as a share of the mean of the first."""
    apart = (abs(one - other) for one, other in zip(smoothed(losses), smoothed(others), strict=True))
    return max(apart) / fmean(losses)


def markdown(curves: dict[str, list[float]], precision: str) -> str:
    """A line for each run; the first curve is what the others are compared with, the second one the noise."""
    whole, noise, *_ = curves.values()
    limit = largest_distance(whole, noise)
    lines = [
        f"Losses of {len(whole)} steps on the demo base in {precision}, smoothed over {WINDOW}:",
        "",
        "| base model | first | last | largest distance from the first row | within the noise |",
        "|---|---|---|---|---|",
    ]
    for place, (name, losses) in enumerate(curves.items()):
        first, *_, last = smoothed(losses)
        distance = largest_distance(whole, losses)
        verdict = "" if place < 2 else "yes" if distance < limit else "no"
        lines.append(f"| {name} | {first:.4f} | {last:.4f} | {distance:.2%} | {verdict} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--out", type=Path, help="a file for all losses as JSON")
    options = parser.parse_args(arguments)
    if options.steps <= WINDOW:
        parser.error(f"{WINDOW} steps are averaged. Give --steps more.")
    curves = {mode.name: losses_of(mode, options.device, options.steps) for mode in (WHOLE, OTHER_SEED, *MODES)}
    print(markdown(curves, resolve_precision("auto", options.device)))
    if options.out:
        options.out.write_text(json.dumps(curves, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
