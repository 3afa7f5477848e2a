"""What taggers answered, kept by picture and model, so that moving a threshold never runs a model again."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from ..dataset.types import DatasetImage
from ..errors import TrainingError
from ..files import digest, read_json_lines
from .tagger import TagAnswer

_VERSION = 1


class AnswerStore:
    """The answers of one model: a file of JSON lines that only grows. A line that a crash cut short is passed over.

    Without a folder they are kept in memory only.
    """

    def __init__(self, folder: Path | None, identity: str) -> None:
        self._file = self.file(folder, identity) if folder else None
        self._known = _read(self._file) if self._file else {}

    @staticmethod
    def file(folder: Path, identity: str) -> Path:
        """Where the answers of a model are."""
        return folder / f"{digest(_VERSION, identity)}.jsonl"

    def recall(self, image: DatasetImage) -> TagAnswer | None:
        """What was answered about the picture as it is cropped now."""
        return self._known.get(key_of(image))

    def remember(self, image: DatasetImage, answer: TagAnswer) -> None:
        """Keep an answer.

        Raises:
            TrainingError: the file cannot be written.
        """
        key = key_of(image)
        self._known[key] = answer
        if self._file is None:
            return
        line = json.dumps([key, answer.to_json()], ensure_ascii=False, separators=(",", ":"))
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with open(self._file, "ab") as file:
                file.write(f"\n{line}".encode())  # a line that was cut short before stays by itself
        except OSError as problem:
            raise TrainingError(
                f"cannot write {self._file}: {problem.strerror or problem}. Free some disk space."
            ) from problem


def key_of(image: DatasetImage) -> str:
    """Changes with what a tagger sees: the file's bytes, the crop, the colour behind transparency."""
    crop = image.crop
    box = [crop.left, crop.top, crop.right, crop.bottom] if crop else None
    return digest(image.fingerprint, box, image.background)


def _read(file: Path) -> dict[str, TagAnswer]:
    known = {}
    with suppress(OSError):
        for entry in read_json_lines(file):
            with suppress(ValueError, KeyError, TypeError, AttributeError):
                key, value = entry
                known[key] = TagAnswer.from_json(value)
    return known
