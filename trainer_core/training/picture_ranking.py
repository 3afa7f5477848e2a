"""Which pictures a LoRA finds hard, and which it never learns."""

from __future__ import annotations

from statistics import median

from .validation_report import ValidationReport

_ODD_SHARE = 1 / 3
_SOME_GAIN = 0.02
"""What the middle picture must have gained before another one can be called odd."""


def hardest_first(report: ValidationReport) -> list[tuple[str, float]]:
    """(name, loss) of each trained picture that is measured. Detailed pictures are high by nature."""
    return sorted(report.per_picture.items(), key=lambda entry: -entry[1])


def never_learned(first: ValidationReport, last: ValidationReport) -> list[str]:
    """Trained pictures that gained less than a third of what the middle picture gained, the worst first.

    Only what all but stands still is named. A picture of something else under the same caption is often learned with
    the others, and then only ranks high in `hardest_first`.
    """
    gains = {name: 1 - loss / first.per_picture[name] for name, loss in last.per_picture.items()}
    middle = median(gains.values())
    if not middle >= _SOME_GAIN:
        return []
    return sorted((name for name, gain in gains.items() if gain < _ODD_SHARE * middle), key=gains.__getitem__)
