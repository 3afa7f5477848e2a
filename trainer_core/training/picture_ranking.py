"""Which pictures a LoRA finds hard, and which it never learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from .validation_report import ValidationReport

_ODD_SHARE = 1 / 3
_SOME_GAIN = 0.02
"""What the middle picture must have gained before another one can be called odd."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RankedPicture:
    """A picture that is measured, and what the LoRA has made of it."""

    name: str
    is_held_out: bool
    first: float
    """Loss of the base model."""
    last: float
    """Loss of the LoRA."""

    @property
    def gain(self) -> float:
        """Share of the base model's loss that is gone."""
        return 1 - self.last / self.first

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "gain": self.gain}


def rank_pictures(reports: Sequence[ValidationReport]) -> list[RankedPicture]:
    """`hardest_first` of what a run has measured so far; none before the LoRA itself was measured."""
    return hardest_first(reports[0], reports[-1]) if len(reports) > 1 else []


def hardest_first(first: ValidationReport, last: ValidationReport) -> list[RankedPicture]:
    """Every picture that is measured, by its loss now. Detailed ones are high by nature: see what a picture gained."""
    pairs = (
        (False, first.per_picture, last.per_picture),
        (True, first.per_held_out, last.per_held_out),
    )
    found = [
        RankedPicture(name=name, is_held_out=is_held_out, first=before[name], last=loss)
        for is_held_out, before, now in pairs
        for name, loss in now.items()
        if name in before
    ]
    return sorted(found, key=lambda picture: -picture.last)


def never_learned(first: ValidationReport, last: ValidationReport) -> list[str]:
    """Trained pictures that gained less than a third of what the middle picture gained, the worst first.

    Only what all but stands still is named. A picture of something else under the same caption is often learned with
    the others, and then only ranks high in `hardest_first`.
    """
    gains = {picture.name: picture.gain for picture in hardest_first(first, last) if not picture.is_held_out}
    middle = median(gains.values())
    if not middle >= _SOME_GAIN:
        return []
    return sorted((name for name, gain in gains.items() if gain < _ODD_SHARE * middle), key=gains.__getitem__)
