"""What contenders did, in a line each."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .step_clock import Measured

GB = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A contender's line of the table; every figure is a median but the peaks."""

    contender: str
    steps: int
    seconds: float
    spread: float
    """Half of the distance between the quartiles, as a share of the median."""
    cpu_seconds: float
    pictures_per_second: float
    to_first_step: float
    peak_gb: float
    """Of the resident set, with loading."""
    peak_gb_of_steps: float | None
    """Without loading."""
    allocated_gb: float | None
    """On a GPU, in tensors at the highest."""
    reserved_gb: float | None
    """On a GPU, taken from the driver for them."""
    share_of_limit: float
    remarks: list[str]


def summarise(contender: str, turns: Sequence[Measured], batch: int, flops: int, flops_per_second: float) -> Row:
    """The line of a contender, without the first step of each turn, which loads and warms up."""
    seconds = [value for turn in turns for value in turn.seconds[1:]]
    quarter, median, three_quarters = statistics.quantiles(seconds, n=4)
    return Row(
        contender=contender,
        steps=len(seconds),
        seconds=median,
        spread=(three_quarters - quarter) / 2 / median,
        cpu_seconds=statistics.median(value for turn in turns for value in turn.cpu_seconds[1:]),
        pictures_per_second=batch / median,
        to_first_step=statistics.median(turn.to_first_step for turn in turns if turn.to_first_step is not None),
        peak_gb=max(turn.peak_bytes for turn in turns) / GB,
        peak_gb_of_steps=_highest_gb([turn.peak_bytes_of_steps for turn in turns]),
        allocated_gb=_highest_gb([turn.peak_allocated for turn in turns]),
        reserved_gb=_highest_gb([turn.peak_reserved for turn in turns]),
        share_of_limit=flops / flops_per_second / median,
        remarks=turns[-1].remarks,
    )


def _highest_gb(peaks: Sequence[int | None]) -> float | None:
    known = [peak for peak in peaks if peak is not None]
    return max(known) / GB if known else None


def text_table(rows: Sequence[Row]) -> str:
    """For a terminal."""
    head = "trainer           steps   s/step   +-   CPU s   pictures/s   first step s   peak GB   of steps"
    lines = [f"{head}   allocated   reserved   share of limit"]
    for row in rows:
        lines.append(
            f"{row.contender:15}{row.steps:8}{row.seconds:9.3f}{row.spread:6.0%}{row.cpu_seconds:7.2f}"
            f"{row.pictures_per_second:13.2f}{row.to_first_step:15.1f}{row.peak_gb:10.2f}"
            f"{_gb(row.peak_gb_of_steps):>11}{_gb(row.allocated_gb):>12}{_gb(row.reserved_gb):>11}"
            f"{row.share_of_limit:17.0%}"
        )
    return "\n".join(lines)


MARKDOWN_HEAD = (
    "| what | trainer | seconds a step | pictures/s | ours is | GPU: allocated GB | reserved GB | RSS GB in steps, "
    "with loading | first step after | share of the limit |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def markdown_lines(what: str, rows: Sequence[Row]) -> list[str]:
    """For docs/speed.md."""
    ours = next((row for row in rows if row.contender == "ours"), None)
    return [
        f"| {what} | {row.contender} | {row.seconds:.3f} | {row.pictures_per_second:.2f} | {_compared(ours, row)} | "
        f"{_gb(row.allocated_gb)} | {_gb(row.reserved_gb)} | {_gb(row.peak_gb_of_steps)}, {row.peak_gb:.2f} | "
        f"{row.to_first_step:.1f} s | {row.share_of_limit:.1%} |"
        for row in rows
    ]


def _compared(ours: Row | None, other: Row) -> str:
    return "" if ours is None or other is ours else f"{other.seconds / ours.seconds:.2f} x as fast"


def _gb(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
