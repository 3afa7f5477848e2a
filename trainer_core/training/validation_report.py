"""What a measurement finds, and the log that keeps it: validation.jsonl, one report a line."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..files import append, read_json_lines, write_atomic


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationReport:
    """One measurement. Losses are plain squared errors of the prediction, whatever the run's own loss and weights, so
    that they compare between runs."""

    epoch: int
    """Epochs trained; 0 is the base model, before the first step."""
    step: int
    training_loss: float
    """Mean over the trained pictures that are measured."""
    held_out_loss: float | None
    """Mean over the held-out pictures; None where there are none."""
    per_picture: dict[str, float]
    """Loss of each trained picture that is measured, by its name."""
    per_held_out: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """JSON-able values; losses that are not finite, which JSON cannot hold, are None."""
        return {name: _finite(entry) for name, entry in asdict(self).items()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ValidationReport:
        """Read what `to_json` wrote; losses that were not finite are NaN."""
        known = {name: _or_nan(entry) for name, entry in value.items()}
        return cls(**known | ({} if value["per_held_out"] else {"held_out_loss": None}))


def append_report(log: Path, report: ValidationReport) -> None:
    append(log, _line(report))


def read_reports(log: Path) -> list[ValidationReport]:
    """The reports of a log; none where there is no log."""
    return list(map(ValidationReport.from_json, read_json_lines(log)))


def rewind_reports(log: Path, step: int) -> None:
    """Drop the reports of steps after `step`: they are about to be measured again."""
    kept = [report for report in read_reports(log) if report.step <= step]
    write_atomic(log, "".join(map(_line, kept)).encode())


def _line(report: ValidationReport) -> str:
    return json.dumps(report.to_json(), ensure_ascii=False) + "\n"


def _finite(entry: Any) -> Any:
    if isinstance(entry, dict):
        return {name: _finite(loss) for name, loss in entry.items()}
    return None if isinstance(entry, float) and not math.isfinite(entry) else entry


def _or_nan(entry: Any) -> Any:
    if isinstance(entry, dict):
        return {name: _or_nan(loss) for name, loss in entry.items()}
    return math.nan if entry is None else entry
