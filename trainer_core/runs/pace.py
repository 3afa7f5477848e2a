"""How fast runs were on this machine, and so how long the next one will take."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

from ..dataset.types import Dataset
from ..errors import TrainingError
from ..files import read_json, write_json
from ..training.plan import TrainingPlan

PACE_FILE = "pace.json"
_STEPS = 200
"""Of which the median is taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What the time of a step depends on."""

    family: str
    """ "SD1.5" or "SDXL"."""
    pixels: int
    """Of the largest training picture."""
    pictures: int
    """Of a step: batch size times accumulation."""
    precision: str
    device: str
    """As torch names it, such as "cpu" or "NVIDIA RTX 4090"."""
    trains_text: bool
    checkpointing: bool
    rank: int

    @classmethod
    def of(cls, dataset: Dataset, plan: TrainingPlan, *, family: str, precision: str, device: str) -> Work:
        """What a run of this plan does at each step."""
        return cls(
            family=family,
            pixels=max(width * height for width, height in (image.bucket for image in dataset.training_images)),
            pictures=plan.batch_size * plan.accumulation,
            precision=precision,
            device=device,
            trains_text=bool(plan.optimizer.rate_of_text_encoder),
            checkpointing=plan.precision.gradient_checkpointing,
            rank=plan.network.rank,
        )

    def likeness(self, other: Work) -> int:
        """How much the two have in common; rank counts least, as it hardly changes the time."""
        return sum(
            getattr(self, field.name) == getattr(other, field.name) for field in fields(self) if field.name != "rank"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Median seconds of a run's steps."""

    seconds_per_step: float
    work: Work


class StepTimes:
    """Times the steps of a run, and keeps the median of the last ones with it."""

    def __init__(self, run_folder: Path, work: Work) -> None:
        self._run_folder, self._work = run_folder, work
        self._seconds: deque[float] = deque(maxlen=_STEPS)

    @contextmanager
    def step(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._seconds.append(time.perf_counter() - start)

    def write(self) -> None:
        """Once a run ends or stops. The first step, which warms up, does not count."""
        if len(self._seconds) > 2:
            seconds = median(list(self._seconds)[1:])
            write_json(self._run_folder / PACE_FILE, asdict(Pace(seconds_per_step=seconds, work=self._work)))


def read_pace(run_folder: Path) -> Pace | None:
    """None where the run has none, or one of another version."""
    path = run_folder / PACE_FILE
    if not path.is_file():
        return None
    try:
        value: dict[str, Any] = read_json(path)
        return Pace(seconds_per_step=float(value["seconds_per_step"]), work=Work(**value["work"]))
    except (TrainingError, KeyError, TypeError, ValueError):
        return None


def expected_seconds_per_step(runs_folder: Path, work: Work) -> float | None:
    """From the newest of the runs that were most like this work, in proportion to pixels and pictures.

    None where none was of the same family on the same device.
    """
    found = [
        (pace.work.likeness(work), changed, pace)
        for changed, pace in _paces(runs_folder)
        if (pace.work.family, pace.work.device) == (work.family, work.device)
    ]
    if not found:
        return None
    *_, nearest = max(found, key=lambda entry: entry[:2])
    ratio = work.pixels * work.pictures / (nearest.work.pixels * nearest.work.pictures)
    return nearest.seconds_per_step * ratio


def _paces(runs_folder: Path) -> Iterator[tuple[float, Pace]]:
    for path in runs_folder.glob(f"*/{PACE_FILE}"):
        if pace := read_pace(path.parent):
            yield path.stat().st_mtime, pace
