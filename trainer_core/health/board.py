"""What a health card shows: the report of one run, and the pictures it names."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..dataset.types import Dataset
from ..dataset.wording import FileNames
from ..errors import TrainingError
from ..training.arithmetic import RunSize
from .report import HealthReport

_MOST_FILES = 200
"""Of one finding: nobody looks at more of them on a card, and the sheet has them all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HealthBoard:
    """One run of Load Dataset or Check Dataset."""

    dataset: Dataset
    card: dict[str, Any]
    """JSON-able: counts, how many steps it makes, findings worst first."""

    @classmethod
    def of(cls, dataset: Dataset, report: HealthReport, size: RunSize | None = None) -> HealthBoard:
        """`size`: that of a training, where it is known."""
        names = FileNames(dataset)
        numbers = {names.of(image.path): str(number) for number, image in enumerate(dataset.images)}
        card = {
            "ok": report.ok,
            "to_look_at": report.to_look_at,
            "repaired": report.repaired,
            "skipped": report.skipped,
            "pictures": report.pictures,
            "samples": report.samples,
            "regularisation_pictures": report.regularisation_pictures,
            "size": asdict(size) if size else None,
            "findings": [
                {
                    "kind": finding.kind,
                    "case": finding.case,
                    "level": finding.level,
                    "text": finding.text,
                    "advice": finding.advice,
                    "values": {"count": len(finding.files), **finding.values},
                    "files": [
                        {"name": file, "label": label, "picture": numbers.get(file)}
                        for file, label in list(zip(finding.files, finding.labels, strict=True))[:_MOST_FILES]
                    ],
                    "more_files": max(0, len(finding.files) - _MOST_FILES),
                }
                for finding in report.findings
            ],
        }
        return cls(dataset=dataset, card=card)

    def content(self) -> dict[str, Any]:
        """For the page."""
        return self.card

    def to_json(self) -> dict[str, Any]:
        return {"dataset": self.dataset.to_json(), "card": self.card}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> HealthBoard:
        """Read what `to_json` wrote.

        Raises:
            TrainingError: a part is missing or is something else.
        """
        try:
            return cls(dataset=Dataset.from_json(value["dataset"]), card=dict(value["card"]))
        except (KeyError, TypeError, ValueError) as problem:
            raise TrainingError(f"this report is not complete: {problem}. Queue the graph once more.") from problem
