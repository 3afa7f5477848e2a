"""The log of a run's steps, read as it grows, and made small enough to be drawn."""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np

from ..training.run import STEP_LOG

_DIGITS = 5
_NAMES, _LINE_END = (b'{"step": ', b', "epoch": ', b', "loss": ', b', "rate": '), b"}\n"
"""What stands around the values of a line."""
_END = 256
"""Bytes, more than a line has, by which a log is known to be the one that was read."""

_Columns = tuple[array, array, array, array]


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """The losses of a run in few points, each of them standing for the steps since the one before."""

    step: tuple[int, ...]
    """The last step of each point."""
    loss: tuple[float | None, ...]
    """Mean of the steps whose loss was finite; None where none was."""
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    smooth: tuple[float | None, ...]
    """Running mean over about a twentieth of the run."""
    rate: tuple[float | None, ...]


class StepLog:
    """What was read stays known, so that reading again costs only what was added since."""

    def __init__(self, run_folder: Path) -> None:
        self._path = run_folder / STEP_LOG
        self._lock = Lock()
        self._forget()

    def __len__(self) -> int:
        return len(self.steps)

    def read(self) -> tuple[int, int]:
        """Take up what was logged since the last time; a log that was rewound or replaced is read anew.

        The last step and its epoch, 0 and 0 where there is none yet.
        """
        with self._lock:
            self._read()
            return (self.steps[-1], self.epochs[-1]) if self.steps else (0, 0)

    def _read(self) -> None:
        try:
            with open(self._path, "rb") as file:
                added = self._added(file)
        except FileNotFoundError:
            return self._forget()
        whole = added[: added.rfind(b"\n") + 1]  # a step may be half written
        self._offset += len(whole)
        self._end = (self._end + whole)[-_END:]
        for column, values in zip((self.steps, self.epochs, self.losses, self.rates), _columns(whole), strict=True):
            column.extend(values)

    def _added(self, file: BinaryIO) -> bytes:
        """What follows that which was read, if that still ends as it did; else everything."""
        file.seek(self._offset - len(self._end))
        if file.read(len(self._end)) != self._end:
            self._forget()
            file.seek(0)
        return file.read()

    def _forget(self) -> None:
        self._offset, self._end = 0, b""
        self.steps, self.epochs = array("q"), array("q")
        self.losses, self.rates = array("d"), array("d")

    def curve(self, points: int) -> Curve:
        """At most `points` points."""
        with self._lock:
            steps, losses, rates = np.array(self.steps), np.array(self.losses), np.array(self.rates)
        count = len(steps)
        if not count:
            return Curve(step=(), loss=(), low=(), high=(), smooth=(), rate=())
        edges = np.unique(np.linspace(0, count, min(points, count) + 1).astype(int))
        starts, last = edges[:-1], edges[1:] - 1
        losses = np.where(np.isfinite(losses), losses, np.nan)
        known = np.isfinite(losses)
        sums = np.add.reduceat(np.where(known, losses, 0.0), starts)
        counts = np.add.reduceat(known.astype(int), starts)
        means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        return Curve(
            step=tuple(steps[last].tolist()),
            loss=_short(means),
            low=_short(np.fmin.reduceat(losses, starts)),
            high=_short(np.fmax.reduceat(losses, starts)),
            smooth=_short(_smoothed(sums, counts, count)),
            rate=_short(rates[last]),
        )


def _columns(lines: bytes) -> _Columns:
    """Steps, epochs, losses and rates; damaged lines are left out."""
    try:
        return _numbers(lines)
    except (ValueError, TypeError):
        entries = [entry for entry in map(_entry, lines.split(b"\n")) if entry]
    steps, epochs, losses, rates = zip(*entries, strict=True) if entries else ((),) * 4
    return array("q", steps), array("q", epochs), array("d", losses), array("d", rates)


def _numbers(lines: bytes) -> _Columns:
    """The same of lines as `Run.log` writes them, parsed as one list: an object for each line takes longer.

    Raises:
        ValueError, TypeError: a line is of another form.
    """
    first, *others = _NAMES
    if not lines.startswith(first) or not lines.endswith(_LINE_END):
        raise ValueError("no steps")
    flat = lines[len(first) : -len(_LINE_END)].replace(_LINE_END + first, b",")
    for name in others:
        flat = flat.replace(name, b",")
    numbers = json.loads(b"[%b]" % flat)
    if len(numbers) != len(_NAMES) * lines.count(b"\n"):
        raise ValueError("more or fewer than one value for each name")
    return array("q", numbers[::4]), array("q", numbers[1::4]), array("d", numbers[2::4]), array("d", numbers[3::4])


def _entry(line: bytes) -> tuple[int, int, float, float] | None:
    try:
        entry = json.loads(line)
        return int(entry["step"]), int(entry["epoch"]), float(entry["loss"]), float(entry["rate"])
    except (ValueError, TypeError, KeyError, OverflowError):
        return None


def _smoothed(sums: np.ndarray, counts: np.ndarray, steps: int) -> np.ndarray:
    """Exponential mean over about a twentieth of the steps, bucket by bucket, without a pull towards its start."""
    keep = 1 - 1 / max(2.0, steps / 20)
    mean = weight = 0.0
    found = []
    for total, count in zip(sums.tolist(), counts.tolist(), strict=True):
        if count:
            kept = keep**count
            mean, weight = kept * mean + (1 - kept) * total / count, kept * weight + (1 - kept)
        found.append(mean / weight if weight else np.nan)
    return np.array(found)


def _short(values: np.ndarray) -> tuple[float | None, ...]:
    """With as many digits as can be seen; None for what JSON has no word for."""
    return tuple(float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None for value in values.tolist())
