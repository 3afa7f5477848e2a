"""The socket that automatic taggers plug into: what one has to offer before and after its weights are loaded."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from PIL import Image

LOWEST_SCORE = 0.01
"""Scores below this are not kept: most of thousands of tags lie there, and no threshold that anyone would choose."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TagAnswer:
    """What a tagger says of one picture, before any threshold: a sentence, or tags with scores from 0 to 1.

    Tags are spelled as the model's own list has them (`long_hair`), surest first, none below `LOWEST_SCORE`.
    """

    sentence: str = ""
    general: Mapping[str, float] = field(default_factory=dict)
    character: Mapping[str, float] = field(default_factory=dict)
    """Names of characters, which have a threshold of their own."""

    def to_json(self) -> dict[str, Any]:
        return {"sentence": self.sentence, "general": dict(self.general), "character": dict(self.character)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> TagAnswer:
        """Read what `to_json` wrote; KeyError, TypeError or ValueError where it is something else."""
        return cls(
            sentence=str(value["sentence"]),
            # names come again in every picture's answer
            general={sys.intern(str(tag)): float(score) for tag, score in value["general"].items()},
            character={sys.intern(str(tag)): float(score) for tag, score in value["character"].items()},
        )


class Tagger(Protocol):
    """A loaded model that says what it sees."""

    batch_size: int
    """Pictures it is best asked about at once. 1 where a picture takes a second or more, so that Stop is heard."""

    def prepare(self, picture: Image.Image) -> np.ndarray:
        """An RGB picture as the model's input, without the batch axis. Called by several threads at once."""
        ...

    def answer(self, prepared: Sequence[np.ndarray]) -> list[TagAnswer]:
        """An answer for each picture, in order."""
        ...


class TaggerModel(Protocol):
    """A tagger whose files were found, not loaded yet: what it answered before is known without loading it."""

    name: str
    """As people choose it, such as "wd-vit-tagger-v3"."""
    identity: str
    """Changes with anything that changes its answers: its files, and settings such as the number of beams."""
    threshold: float
    """Default of this model; scores of different models do not compare. 0 for models that write sentences."""
    character_threshold: float

    def load(self, device: str) -> Tagger:
        """Read the weights. What it holds is freed when the last reference to it goes.

        Raises:
            TrainingError: a package is missing (says which, and which tagger works without), or the files are not
                what they should be.
        """
        ...
