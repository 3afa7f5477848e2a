"""The rows of docs/speed.md that only a GPU can fill, the most important first, in one go.

    python -m benchmarks.gpu_rows [--seconds 480] [--out FOLDER] [--only WORDS] [--without comfyui]

Speed first: ours against the contenders of training_speed.py, which load together and then take turns. Then what our
small modes take, and at last whether their losses stay within the noise (loss_curves.py). Nothing is begun once the
seconds are over, and what runs then is ended. rows.md and rows.json are written after each row, so that a killed run
leaves what it has; what is there already is not measured again. Base models are drawn on the GPU; no network is used.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from trainer_core.families.architecture import outline_of
from trainer_core.training.memory_choice import free_memory

from . import device_clock
from .contender_process import Contender, ContenderFailed, contenders, running
from .gpu_cases import Case, gpu_cases
from .gpu_report import CURVES, Report, Result
from .limit import fastest_multiplication, flops_of_step, held_multiplication
from .other_trainers import OTHERS
from .random_inputs import CACHE, write_base, write_pictures
from .speed_table import summarise
from .step_clock import Measured
from .training_speed import machine, task_of

_WORTH_BEGINNING = 30
"""Seconds: with fewer left, no contender comes to its second step."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    deadline = time.monotonic() + options.seconds
    cases, report = gpu_cases("cuda", free_memory("cuda")), Report(options.out, machine("cuda"))
    measure(cases, report, deadline, options.only, without=options.without)
    return 0


def measure(cases: Sequence[Case], report: Report, deadline: float, only: str, *, without: Sequence[str] = ()) -> None:
    """Fill the report until the deadline, by the monotonic clock. `without`: contenders to leave out."""
    others = [name for name in contenders() if name not in without]

    def is_due(what: str) -> bool:
        return only in what and not report.has(what) and deadline - time.monotonic() > _WORTH_BEGINNING

    for case in cases:
        if is_due(case.words()):
            print(f"{deadline - time.monotonic():.0f} s are left: {case.words()}", file=sys.stderr, flush=True)
            report.add(result_of(case, others if case.against_others else ["ours"], deadline))
    if is_due(CURVES):
        report.add_curves(_curves(cases[0].setting.device, deadline - time.monotonic()))
    print(report.markdown())


def result_of(case: Case, names: Sequence[str], deadline: float) -> Result:
    """Let everyone take turns. Who fails, or is not done at the deadline, has the turns that it took."""
    setting = case.setting
    base = write_base(CACHE, setting.family, setting.device)
    ceiling = fastest_multiplication(setting.device, setting.precision)
    held = held_multiplication(setting.device, setting.precision)
    device_clock.give_back(setting.device)
    flops = flops_of_step(outline_of(base), setting.side, setting.batch)
    with tempfile.TemporaryDirectory() as work:
        turns, failures = _take_turns(case, names, base, Path(work), deadline)
    return Result(
        what=case.words(),
        flops=flops,
        flops_per_second=ceiling,
        held_per_second=held,
        rows=[summarise(name, found, setting.batch, flops, ceiling) for name, found in turns.items() if found],
        failures=failures,
    )


def _take_turns(
    case: Case, names: Sequence[str], base: Path, work: Path, deadline: float
) -> tuple[dict[str, list[Measured]], list[str]]:
    """What each contender measured, and a line for each that failed. They load together and step in turns."""
    pictures = write_pictures(work / "pictures", case.setting.side, case.setting.batch)
    turns: dict[str, list[Measured]] = {name: [] for name in names}
    failures: list[str] = []
    with ExitStack() as ends:
        taking_part: dict[str, Contender] = {}

        def each_does(work_of: Callable[[str, Contender], None]) -> None:
            for name, contender in list(taking_part.items()):
                try:
                    work_of(name, contender)
                except ContenderFailed as problem:
                    failures.append(f"{problem}: {_last_line(work / f'{name}.log')}")
                    del taking_part[name]

        def left() -> float:
            return deadline - time.monotonic()

        for name in turns:
            task = task_of(name, case.setting, case.own, base, pictures, steps=case.steps, turns=case.turns, holds=True)
            taking_part[name] = ends.enter_context(running(task, work / f"{name}.log"))
            taking_part[name].begin()
        each_does(lambda _, contender: contender.has_loaded(within=left()))
        for _ in range(case.turns):
            each_does(lambda name, contender: turns[name].append(contender.turn(within=left())))
    return turns, failures


def _curves(device: str, seconds: float) -> str:
    """Markdown of loss_curves.py, or why there is none."""
    command = [sys.executable, "-m", "benchmarks.loss_curves", "--device", device]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds).stdout
    except subprocess.CalledProcessError as problem:
        return f"loss curves failed: {problem.stderr.strip().splitlines()[-1]}\n"
    except subprocess.TimeoutExpired:
        return "loss curves: the seconds were over\n"


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=480, help="after which nothing is begun, and all is ended")
    parser.add_argument("--out", type=Path, default=Path("gpu-rows"), help="the folder of rows.md and rows.json")
    parser.add_argument("--without", choices=list(OTHERS), nargs="+", default=[], help="trainers to leave out")
    parser.add_argument("--only", default="", help='rows with these words alone: "SDXL", "AdamW8bit", "loss curves"')
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        parser.error("no CUDA GPU is here.")
    return options


if __name__ == "__main__":
    sys.exit(main())
