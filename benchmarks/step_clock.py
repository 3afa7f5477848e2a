"""What a contender did, step by step. Knows no trainer, and so runs in each one's own Python."""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What a contender is to do."""

    contender: str
    base: str
    pictures: str
    tokenizer: str
    """CLIP's vocabulary; for those who do not find it beside the base model."""
    side: int
    """Pixels."""
    steps: int
    began: float
    """Seconds since 1970 when the process was started."""

    @classmethod
    def from_command_line(cls) -> Task:
        return cls(**json.loads(sys.argv[1]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What a contender did."""

    seconds: list[float]
    """Of every step, the first one included."""
    cpu_seconds: list[float]
    """Of all threads together: what a step costs, however busy the machine is."""
    to_first_step: float
    """Seconds from the process's start to the end of its first step."""
    peak_bytes: int
    """Largest resident set, loading included: there the file's pages count too."""
    peak_bytes_of_steps: int | None
    """The same from the second step on; None where the system cannot tell (only Linux can)."""


class StepClock:
    """Is told of the end of every step, and measures what lies between."""

    def __init__(self, task: Task) -> None:
        self._began = task.began
        self._seconds: list[float] = []
        self._cpu_seconds: list[float] = []
        self._last, self._last_cpu = time.perf_counter(), time.process_time()

    def stepped(self) -> None:
        now, now_cpu = time.perf_counter(), time.process_time()
        if not self._seconds:
            self._to_first_step, self._peak_until_then = time.time() - self._began, peak_bytes()
            self._can_tell = forget_peak()
        self._seconds.append(now - self._last)
        self._cpu_seconds.append(now_cpu - self._last_cpu)
        self._last, self._last_cpu = time.perf_counter(), time.process_time()

    def print(self) -> None:
        """Measured as a line of JSON."""
        measured = Measured(
            seconds=self._seconds,
            cpu_seconds=self._cpu_seconds,
            to_first_step=self._to_first_step,
            peak_bytes=max(self._peak_until_then, peak_bytes()),
            peak_bytes_of_steps=peak_bytes() if self._can_tell else None,
        )
        print(json.dumps(asdict(measured)))


def peak_bytes() -> int:
    """The largest resident set so far."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def forget_peak() -> bool:
    """Let the system's count of the largest resident set begin anew; whether it did."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True
