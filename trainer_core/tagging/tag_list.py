"""The tags that a model's outputs stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .tagger import LOWEST_SCORE, TagAnswer

_DECIMALS = 6
"""What float32 holds between 0 and 1: a score of 0.35 then is 0.35, and not 0.3499999940."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TagList:
    """Tags by the number of their output; outputs that are in neither part are not asked for, such as ratings."""

    outputs: int
    """How many outputs a model with this list has."""
    general: Mapping[int, str]
    character: Mapping[int, str]

    def answer(self, scores: np.ndarray) -> TagAnswer:
        """What one picture's scores say, (outputs,) float, 0 to 1: surest first, the list's order among equals."""
        kept = np.flatnonzero(scores >= LOWEST_SCORE)
        surest = kept[np.argsort(-scores[kept], kind="stable")]
        rounded = {int(output): round(float(scores[output]), _DECIMALS) for output in surest}
        return TagAnswer(
            general={self.general[output]: score for output, score in rounded.items() if output in self.general},
            character={self.character[output]: score for output, score in rounded.items() if output in self.character},
        )
