"""How a plan refuses a value: by its name, with the rule, and with a value that would do."""

from __future__ import annotations

import math

from ...errors import TrainingError


def require(condition: bool, name: str, value: float, rule: str, advice: str) -> None:
    """Raise a TrainingError unless `condition` holds and `value` is finite."""
    if not condition or not math.isfinite(value):
        raise TrainingError(f"{name} must be {rule}, got {value:g}. {advice[0].upper()}{advice[1:]}.")
