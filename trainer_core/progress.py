"""How far a long stage has come. Stages are generators that yield this; whoever drives them shows it or stops them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class StageReport:
    """Progress of one stage."""

    stage: str
    done: int
    total: int


def finished(work: Generator[object, None, Result]) -> Result:
    """Run a generator to its end; what it returns."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def reported(work: Generator[int, None, Result], stage: str, total: int) -> Generator[StageReport, None, Result]:
    """The same work with its counts as progress of `stage`."""
    while True:
        try:
            done = next(work)
        except StopIteration as end:
            return end.value
        yield StageReport(stage=stage, done=done, total=total)
