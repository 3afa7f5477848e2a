"""What a contender did, step by step. Knows no trainer, and so runs in each one's own Python."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from . import device_clock
from .task import Task

MARK = "measured: "
"""Before the line of a turn; trainers print much else."""
_UNETS = ("UNet2DConditionModel", "UNetModel")
LOADED = "waits before its first step"
"""The line of one who waits before its first step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What a contender did in a turn."""

    seconds: list[float]
    """Of every step, the first one included."""
    cpu_seconds: list[float]
    """Of all threads together: what a step costs the CPU, however busy the machine is."""
    to_first_step: float | None
    """Seconds from the process's start to the end of its first step; only of the first turn."""
    peak_bytes: int
    """Largest resident set so far, loading included: there the file's pages count too."""
    peak_bytes_of_steps: int | None
    """The same from the turn's second step on; None where the system cannot tell (only Linux can)."""
    peak_allocated: int | None
    """Bytes in tensors on the GPU at the highest, from the turn's second step on; None on a CPU."""
    peak_reserved: int | None
    """The same of what PyTorch took from the driver."""
    remarks: list[str]
    """What the trainer told of the run."""

    @classmethod
    def from_line(cls, line: str) -> Measured:
        return cls(**json.loads(line.removeprefix(MARK)))


class StepClock:
    """Is told of the end of every step, and measures what lies between. It makes a GPU wait only at the end of a turn's
    first and last step: between them a trainer may ask for the next step while one is computed, as in a run."""

    def __init__(self, task: Task) -> None:
        self._task, self._device = task, task.setting.device
        self._turns_done = 0
        self._held = 0.0
        """Seconds."""
        if task.holds:
            self._hold_before_first_step()
        self._highest = 0
        self._begin_turn()

    def stepped(self, remarks: Sequence[str] = ()) -> None:
        """After a turn's last step, print the turn and wait for a line to go on.

        Raises:
            SystemExit: all turns are done, or nobody wants another one.
        """
        if not self._ends:
            device_clock.synchronise(self._device)
            self._first = time.perf_counter() - self._began, time.process_time() - self._began_cpu
            self._after_first()
        self._ends.append((device_clock.mark(self._device), time.process_time()))
        if len(self._ends) == self._task.steps:
            device_clock.synchronise(self._device)
            self._end_turn(list(remarks))
            self._begin_turn()

    def _hold_before_first_step(self) -> None:
        """Every trainer's UNet goes by one of these names, and learns where it is called with gradients."""
        import torch
        from torch._subclasses.fake_tensor import FakeTensor

        def hold(module: torch.nn.Module, inputs: tuple) -> None:
            is_counted = any(isinstance(value, FakeTensor) for value in inputs)
            if type(module).__name__.endswith(_UNETS) and torch.is_grad_enabled() and not is_counted:
                hook.remove()
                print(LOADED, flush=True)
                began = time.time()
                _wait_for_a_line()
                self._held = time.time() - began
                self._begin_turn()

        hook = torch.nn.modules.module.register_module_forward_pre_hook(hold)

    def _begin_turn(self) -> None:
        self._ends: list[tuple[device_clock.Mark, float]] = []
        """Of each step: where the device was, and CPU seconds."""
        self._began, self._began_cpu = time.perf_counter(), time.process_time()

    def _after_first(self) -> None:
        """The first step has what no other has, so that peaks count from the second one."""
        self._to_first_step = None if self._turns_done else time.time() - self._task.began - self._held
        self._highest = max(self._highest, peak_bytes())
        self._can_tell = forget_peak()
        device_clock.forget_peaks(self._device)

    def _end_turn(self, remarks: list[str]) -> None:
        of_steps = peak_bytes()
        self._highest = max(self._highest, of_steps)
        allocated, reserved = device_clock.peaks(self._device) or (None, None)
        steps = [
            self._first,
            *((device_clock.seconds_between(a, b), of_b - of_a) for (a, of_a), (b, of_b) in pairwise(self._ends)),
        ]
        seconds, cpu_seconds = (list(values) for values in zip(*steps, strict=True))
        measured = Measured(
            seconds=seconds,
            cpu_seconds=cpu_seconds,
            to_first_step=self._to_first_step,
            peak_bytes=self._highest,
            peak_bytes_of_steps=of_steps if self._can_tell else None,
            peak_allocated=allocated,
            peak_reserved=reserved,
            remarks=remarks,
        )
        print(MARK + json.dumps(asdict(measured)), flush=True)
        self._turns_done += 1
        if self._turns_done == self._task.turns:
            sys.exit()
        device_clock.give_back(self._device)
        _wait_for_a_line()


def _wait_for_a_line() -> None:
    """
    Raises:
        SystemExit: nobody will write one.
    """
    if not sys.stdin.readline():
        sys.exit()


def peak_bytes() -> int:
    """The largest resident set so far."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # some sandboxes have no such line


def forget_peak() -> bool:
    """Let the system's count of the largest resident set begin anew; whether it did."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True
