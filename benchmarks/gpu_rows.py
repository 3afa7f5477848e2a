"""The rows of docs/speed.md that only a GPU can fill, the most important first, in one go.

    python -m benchmarks.gpu_rows [--seconds 480] [--out FOLDER] [--only WORDS ...] [--without comfyui]

Speed first: ours against the contenders of training_speed.py. Then what our small modes take, and at last whether their
losses stay within the noise (loss_curves.py). Loading takes longer than measuring, so the contenders of several rows
load together; then those of one row take turns, while the others wait. Nothing is begun once the seconds are over, and
what runs then is ended. rows.md and rows.json are written after each row, so that a killed run leaves what it has; what
is there already is not measured again. Base models are drawn on the GPU; no network is used.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from trainer_core.families.architecture import outline_of
from trainer_core.training.memory_choice import free_memory

from . import device_clock
from .contender_process import Contender, ContenderFailed, contenders, running
from .gpu_cases import Case, gpu_cases, loading_together
from .gpu_report import CURVES, Report, Result
from .limit import fastest_multiplication, flops_of_step, held_multiplication
from .other_trainers import OTHERS
from .random_inputs import CACHE, write_base, write_pictures
from .speed_table import summarise
from .step_clock import Measured
from .training_speed import machine, task_of

_WORTH_BEGINNING = 30
"""Seconds: with fewer left, no contender comes to its second step."""
_WORTH_A_TURN = 10
"""Seconds, where all have loaded."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    deadline = time.monotonic() + options.seconds
    free = free_memory("cuda")
    report = Report(options.out, machine("cuda"))
    measure(gpu_cases("cuda", free), report, deadline, free, only=options.only, without=options.without)
    return 0


def measure(
    cases: Sequence[Case],
    report: Report,
    deadline: float,
    free: int,
    *,
    only: Sequence[str] = (),
    without: Sequence[str] = (),
) -> None:
    """Fill the report until the deadline, by the monotonic clock.

    Args:
        free: Bytes on the device.
        only: Words of what is wanted, of which one is enough; none: everything.
        without: Contenders to leave out.
    """
    others = [name for name in contenders() if name not in ("ours", *without)]

    def is_due(what: str) -> bool:
        return (not only or any(words in what for words in only)) and not report.has(what)

    def left() -> float:
        return deadline - time.monotonic()

    for group in loading_together([case for case in cases if is_due(case.words())], others, free):
        if left() > _WORTH_BEGINNING:
            print(f"{left():.0f} s are left: {'; '.join(map(Case.words, group))}", file=sys.stderr, flush=True)
            for result in results_of(group, others, left):
                report.add(result)
    if is_due(CURVES) and left() > _WORTH_BEGINNING:
        report.add_curves(_curves(cases[0].setting.device, left()))
    print(report.markdown())


def results_of(group: Sequence[Case], others: Sequence[str], left: Callable[[], float]) -> Iterator[Result]:
    """Let the contenders of all cases load together, and those of each take turns. Who fails, or is not done when no
    seconds are left, has the turns that it took."""
    with tempfile.TemporaryDirectory() as work, ExitStack() as ends:
        rounds = [
            Round(case, case.contenders(others), Path(work) / str(place), left) for place, case in enumerate(group)
        ]
        device_clock.give_back(group[0].setting.device)  # where base models were drawn
        for one in rounds:
            one.begin(ends)
        for one in rounds:
            one.wait()
        for one in rounds:
            if left() > _WORTH_A_TURN:
                yield one.result()


class Round:
    """The contenders of one case."""

    def __init__(self, case: Case, names: Sequence[str], work: Path, left: Callable[[], float]) -> None:
        self._case, self._work, self._left = case, work, left
        self._base = write_base(CACHE, case.setting.family, case.setting.device)
        self._turns: dict[str, list[Measured]] = {name: [] for name in names}
        """What each measured."""
        self._taking_part: dict[str, Contender] = {}
        self._failures: list[str] = []

    def begin(self, ends: ExitStack) -> None:
        """Let all load, without waiting. `ends`: where they end at the latest."""
        case, setting = self._case, self._case.setting
        pictures = write_pictures(self._work / "pictures", setting.side, setting.batch)
        for name in self._turns:
            task = task_of(
                name, setting, case.own, self._base, pictures, steps=case.steps, turns=case.turns, holds=True
            )
            contender = ends.enter_context(running(task, self._log(name)))
            contender.begin()
            self._taking_part[name] = contender

    def wait(self) -> None:
        """Until all have loaded."""
        self._each_does(lambda _, contender: contender.has_loaded(within=self._left()))

    def result(self) -> Result:
        """Let them take turns, and end."""
        setting = self._case.setting
        ceiling = fastest_multiplication(setting.device, setting.precision)
        held = held_multiplication(setting.device, setting.precision)
        device_clock.give_back(setting.device)
        for _ in range(self._case.turns):
            self._each_does(lambda name, contender: self._turns[name].append(contender.turn(within=self._left())))
        self._each_does(lambda _, contender: contender.end())  # or it would be there in the next case
        flops = flops_of_step(outline_of(self._base), setting.side, setting.batch)
        found = [(name, measured) for name, measured in self._turns.items() if measured]
        return Result(
            what=self._case.words(),
            flops=flops,
            flops_per_second=ceiling,
            held_per_second=held,
            rows=[summarise(name, measured, setting.batch, flops, ceiling) for name, measured in found],
            failures=self._failures,
        )

    def _each_does(self, work_of: Callable[[str, Contender], None]) -> None:
        """All who still take part; who fails does no longer, and is told."""
        for name, contender in list(self._taking_part.items()):
            try:
                work_of(name, contender)
            except ContenderFailed as problem:
                self._failures.append(f"{problem}: {_last_line(self._log(name))}")
                del self._taking_part[name]

    def _log(self, name: str) -> Path:
        return self._work / f"{name}.log"


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
    parser.add_argument("--only", nargs="+", default=[], help='rows with such words: "SDXL" "offloaded" "loss curves"')
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        parser.error("no CUDA GPU is here.")
    return options


if __name__ == "__main__":
    sys.exit(main())
