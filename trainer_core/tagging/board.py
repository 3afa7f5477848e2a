"""What the tag editor works on: a snapshot of one Auto Tag run, from which captions are composed again at will."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..dataset.types import Dataset
from ..errors import TrainingError
from ..files import digest, write_atomic
from .answers import AnswerStore
from .composing import Composition, compose
from .edits import CaptionEdits
from .rules import CaptionRules
from .tagger import TagAnswer

_KEPT = 30
"""Boards; older ones go when a new one is written. A board is made again by queueing its graph."""
_NAME = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True, slots=True)
class BoardModel:
    """What captions need to know of the tagger that was asked, without its files."""

    name: str
    identity: str
    threshold: float
    character_threshold: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TaggingBoard:
    """One run of Auto Tag: pictures with the captions they came with, and everything that was done to these."""

    dataset: Dataset
    """As it came in, before tagging."""
    rules: CaptionRules
    edits: CaptionEdits
    model: BoardModel | None = None
    """None where captions come from files or from other nodes."""
    texts: tuple[str, ...] | None = None
    """Captions that other nodes wrote, one a picture."""
    sidecars: tuple[str, ...] = ()
    """Of each picture the digest of its caption file's bytes when the board was made; "" where it has none."""

    @property
    def id(self) -> str:
        """32 hex digits, the same for the same run."""
        paths = [str(image.path) for image in self.dataset.images]
        return digest(paths, self.to_json())

    def compose(
        self,
        answers: AnswerStore | None,
        *,
        threshold: float | None = None,
        character_threshold: float | None = None,
        edits: CaptionEdits | None = None,
    ) -> Composition:
        """The captions of this board, at other thresholds or with other edits where they are given."""
        rules = replace(
            self.rules,
            threshold=self.rules.threshold if threshold is None else threshold,
            character_threshold=self.rules.character_threshold if character_threshold is None else character_threshold,
        )
        return compose(
            self.dataset,
            rules,
            answers=self._answers(answers),
            model=self.model,
            texts=self.texts,
            edits=self.edits if edits is None else edits,
        )

    def _answers(self, store: AnswerStore | None) -> Sequence[TagAnswer] | None:
        if self.model is None or store is None:
            return None
        return [store.recall(image) or TagAnswer() for image in self.dataset.images]

    def to_json(self) -> dict[str, Any]:
        return {
            "dataset": self.dataset.to_json(),
            "rules": self.rules.to_json(),
            "edits": self.edits.to_json(),
            "model": asdict(self.model) if self.model else None,
            "texts": self.texts,
            "sidecars": self.sidecars,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> TaggingBoard:
        """Read what `to_json` wrote.

        Raises:
            TrainingError: a part is missing or is something else.
        """
        try:
            return cls(
                dataset=Dataset.from_json(value["dataset"]),
                rules=CaptionRules.from_json(value["rules"]),
                edits=CaptionEdits.from_json(value["edits"]),
                model=BoardModel(**value["model"]) if value["model"] else None,
                texts=None if value["texts"] is None else tuple(value["texts"]),
                sidecars=tuple(value["sidecars"]),
            )
        except (KeyError, TypeError) as problem:
            raise TrainingError(f"this tag board is not complete: {problem}. Queue the graph once more.") from problem


def keep_board(folder: Path, board: TaggingBoard) -> str:
    """Write a board under its id, which is given back; the oldest beyond the last few are deleted."""
    name = board.id
    write_atomic(folder / f"{name}.json", json.dumps(board.to_json(), ensure_ascii=False).encode())
    boards = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    for old in boards[:-_KEPT]:
        old.unlink(missing_ok=True)
    return name


def open_board(folder: Path, name: str) -> TaggingBoard:
    """The board of an id.

    Raises:
        TrainingError: no such board (it may be deleted by now), or it cannot be read.
    """
    path = folder / f"{name}.json"
    if not _NAME.fullmatch(name) or not path.is_file():
        raise TrainingError("these tags are not at hand any more. Queue the graph once, then open the editor again.")
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as problem:
        raise TrainingError(f"this tag board cannot be read: {problem}. Queue the graph once more.") from problem
    return TaggingBoard.from_json(value)


def sidecar_digests(texts: Sequence[bytes | None]) -> tuple[str, ...]:
    """What `TaggingBoard.sidecars` holds, from the bytes of each picture's caption file."""
    return tuple("" if text is None else hashlib.blake2b(text, digest_size=16).hexdigest() for text in texts)
