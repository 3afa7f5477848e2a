"""What the tag editor works on: a snapshot of one Auto Tag run, from which captions are composed again at will."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..boards import Boards
from ..dataset.types import Dataset
from ..errors import TrainingError
from ..files import bytes_digest, digest
from ..tagging.answers import AnswerStore
from ..tagging.tagger import TagAnswer, TaggerModel
from .composing import Composition, compose
from .edits import CaptionEdits
from .rules import CaptionRules
from .sidecars import OTHER, WrittenSidecar, read_sidecars, write_sidecars


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
    edits: str = ""
    """Edits by hand, as the workflow keeps them."""
    model: BoardModel | None = None
    """None where captions come from files or from other nodes."""
    texts: tuple[str, ...] | None = None
    """Captions that other nodes wrote, one a picture."""
    sidecars: Mapping[str, str] = field(default_factory=dict)
    """Digests of the caption files as they were when the board was made, by path; "" where there is none."""

    @property
    def id(self) -> str:
        """32 hex digits, the same for the same run whatever became of its caption files."""
        images = tuple(replace(image, caption_digest=None) for image in self.dataset.images)
        return digest({**replace(self, dataset=self.dataset.with_images(images)).to_json(), "sidecars": None})

    @property
    def threshold(self) -> float:
        """The score that is in force, 0 where there are none."""
        return _first(self.rules.threshold, self.model and self.model.threshold)

    @property
    def character_threshold(self) -> float:
        return _first(self.rules.character_threshold, self.model and self.model.character_threshold)

    def at(
        self, threshold: float | None = None, character_threshold: float | None = None, edits: str | None = None
    ) -> TaggingBoard:
        """The same board at other thresholds or with other edits, where they are given."""
        rules = replace(
            self.rules,
            threshold=_first(threshold, self.rules.threshold, default=None),
            character_threshold=_first(character_threshold, self.rules.character_threshold, default=None),
        )
        return replace(self, rules=rules, edits=self.edits if edits is None else edits)

    def compose(self, store: AnswerStore | None) -> Composition:
        """The captions of this board, from what its model answered."""
        return compose(
            self.dataset,
            self.rules,
            answers=self._answers(store),
            model=self.model,
            texts=self.texts,
            edits=CaptionEdits.read(self.edits),
        )

    def _answers(self, store: AnswerStore | None) -> Sequence[TagAnswer] | None:
        if self.model is None or store is None:
            return None
        return [store.recall(image) or TagAnswer() for image in self.dataset.images]

    def to_json(self) -> dict[str, Any]:
        return {
            "dataset": self.dataset.to_json(),
            "rules": self.rules.to_json(),
            "edits": self.edits,
            "model": asdict(self.model) if self.model else None,
            "texts": self.texts,
            "sidecars": dict(self.sidecars),
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
                edits=value["edits"],
                model=BoardModel(**value["model"]) if value["model"] else None,
                texts=None if value["texts"] is None else tuple(value["texts"]),
                sidecars=dict(value["sidecars"]),
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise TrainingError(f"this tag board is not complete: {problem}. Queue the graph once more.") from problem


def board_model(model: TaggerModel | None) -> BoardModel | None:
    """What a board keeps of a tagger; None of none."""
    if model is None:
        return None
    return BoardModel(
        name=model.name,
        identity=model.identity,
        threshold=model.threshold,
        character_threshold=model.character_threshold,
    )


def _first(*values: float | None, default: float | None = 0.0) -> float | None:
    return next((value for value in values if value is not None), default)


def keep_board(folder: Path, board: TaggingBoard) -> str:
    """Write a board under its id, which is given back."""
    Boards(folder).write(board.id, board.to_json())
    return board.id


def write_board(board: TaggingBoard, captioned: Dataset) -> tuple[list[WrittenSidecar], dict[str, str]]:
    """Write the captions of a board into their files, where these are still as the board knows them.

    Returns:
        What became of each file, and `TaggingBoard.sidecars` afterwards.

    Raises:
        TrainingError: a file cannot be written; those before it are.
    """
    now = read_sidecars(board.dataset)
    known = {path: text if board.sidecars.get(str(path)) == bytes_digest(text) else OTHER for path, text in now.items()}
    report = list(write_sidecars(captioned, known))
    refused = {str(entry.path) for entry in report if entry.state == "refused"}
    after = sidecar_digests(read_sidecars(board.dataset))
    return report, {path: board.sidecars.get(path, "") if path in refused else after[path] for path in after}


def sidecar_digests(texts: Mapping[Path, bytes | None]) -> dict[str, str]:
    """`TaggingBoard.sidecars`, from what `read_sidecars` gives."""
    return {str(path): bytes_digest(text) for path, text in texts.items()}
