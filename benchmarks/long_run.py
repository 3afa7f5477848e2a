"""Does a step cost the same after 100,000 others? A training of the tiny test model on a CPU, measured as it goes.

    python -m benchmarks.long_run [--minutes 10] [--window 2000] [--folder FOLDER]

First a run from its start, for as many steps as the minutes hold; then one that goes on at step 99,000 of 100,000,
whose earlier steps are made up. What counts is the CPU time of the thread that trains, which waiting does not change;
medians, so that what is done between the steps (states, LoRAs, validation) does not count as a step.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from tests.training_jobs import write_base, write_pictures
from trainer_core.crop.crop import crop_dataset
from trainer_core.crop.rules import CropRules
from trainer_core.dataset.folder import read_folder
from trainer_core.job import Job
from trainer_core.runs.history import run_history
from trainer_core.runs.step_log import StepLog
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.reports import StepReport
from trainer_core.training.run import STEP_LOG
from trainer_core.training.trainer import Trainer

_STEPS = 100_000
_REPEATS = 250
"""Of four pictures: an epoch is 1,000 steps."""
_SIDE = 32
_STATE_EVERY = 1000
_POINTS = 1500
"""What the page asks for."""


def long_job(folder: Path) -> Job:
    """100,000 steps of batch 1 at 32x32."""
    pictures = read_folder(write_pictures(folder / "pictures"), repeats=_REPEATS)
    dataset = crop_dataset(pictures, CropRules(width=_SIDE, height=_SIDE, method="center"))
    plan = {
        "steps": _STEPS,
        "network": {"rank": 4, "alpha": 4},
        "saving": {"state_every_steps": _STATE_EVERY},
        "optimizer": {"learning_rate": 1e-5, "text_encoder_rate": 0},
        "precision": {"training": "fp32"},
    }
    return Job(base_model=write_base(folder), dataset=dataset, plan=TrainingPlan.from_json(plan), name="long")


def measure(trainer: Trainer, *, window: int, seconds: float) -> None:
    """Print a line for each window of steps, until the seconds or the steps are over."""
    began = time.perf_counter()
    with contextlib.closing(trainer.steps()) as steps:
        first = next(report for report in steps if isinstance(report, StepReport))
        print(f"first step: {first.step}, {time.perf_counter() - began:.1f} s after the start")
        print(f"{'step':>8}{'ms CPU':>9}{'ms wall':>9}{'state ms':>10}{'MB resident':>13}{'log kB':>8}", flush=True)
        walls, cpus, writes = [], [], []
        wall, cpu = time.perf_counter(), time.thread_time()
        for report in steps:
            if not isinstance(report, StepReport):
                continue
            now, now_cpu = time.perf_counter(), time.thread_time()
            kept = writes if report.step % _STATE_EVERY == 0 else walls
            kept.append(now - wall)
            if kept is walls:
                cpus.append(now_cpu - cpu)
            if report.step % window == 0:
                _print_window(trainer.run_folder, report.step, walls, cpus, writes)
                walls, cpus, writes = [], [], []
            if time.perf_counter() - began > seconds:
                break
            wall, cpu = time.perf_counter(), time.thread_time()


def _print_window(folder: Path, step: int, walls: list[float], cpus: list[float], writes: list[float]) -> None:
    """`writes`: seconds of the steps that wrote a state."""
    state = 1000 * (median(writes) - median(walls)) if writes else float("nan")
    resident = psutil.Process().memory_info().rss / 1e6
    log = (folder / STEP_LOG).stat().st_size / 1e3
    times = f"{step:8}{1000 * median(cpus):9.2f}{1000 * median(walls):9.2f}{state:10.1f}"
    print(f"{times}{resident:13.0f}{log:8.0f}", flush=True)


def pretend(folder: Path, step: int) -> None:
    """Make a run that was stopped early one that was stopped after `step` steps."""
    manifest = max((folder / "state").glob("step-*.json"))
    value = json.loads(manifest.read_text()) | {"step": step}
    weights = manifest.with_suffix(".safetensors")
    weights.rename(weights.with_name(f"step-{step:08d}.safetensors"))
    (folder / "state" / f"step-{step:08d}.json").write_text(json.dumps(value))
    manifest.unlink()
    epoch_steps = 4 * _REPEATS
    with open(folder / STEP_LOG, "w", encoding="utf-8") as log:
        for number in range(1, step + 1):
            entry = {"step": number, "epoch": (number - 1) // epoch_steps + 1, "loss": 1 / (1 + number), "rate": 1e-5}
            log.write(json.dumps(entry) + "\n")


def tell_history(folder: Path) -> None:
    """How long the page waits for what it shows of the run (CPU time, as of the steps), and how much that is."""

    def told(log: StepLog) -> dict[str, Any]:
        return run_history(folder, log, points=_POINTS, is_training=False)

    log = StepLog(folder)
    first, again = (_cpu_seconds(lambda: told(log)) for _ in range(2))
    size = len(json.dumps(told(log)).encode())
    print(f"history of {len(log):,} steps: {1000 * first:.0f} ms, again {1000 * again:.0f} ms, {size / 1e3:.0f} kB")


def _cpu_seconds(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="of the run from its start")
    parser.add_argument("--window", type=int, default=2000, help="steps of which the median is taken")
    parser.add_argument("--folder", type=Path, help="where the runs go; a temporary one if not given")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        job = long_job(folder)
        print("from the start")
        trainer = Trainer(job, folder / "runs")
        measure(trainer, window=options.window, seconds=60 * options.minutes)
        pretend(trainer.run_folder, _STEPS - 1000)
        print(f"from step {_STEPS - 1000:,}")
        measure(Trainer(job, folder / "runs"), window=500, seconds=600)
        tell_history(trainer.run_folder)


if __name__ == "__main__":
    main()
