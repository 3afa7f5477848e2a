"""What the tag editor asks for: the pictures of a board, their captions at any threshold, candidates, thumbnails; and
the one thing it may change, the caption files beside the pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from aiohttp import web

from ..trainer_core.boards import Boards
from ..trainer_core.captions.advisor import advise
from ..trainer_core.captions.board import TaggingBoard, keep_board, write_board
from ..trainer_core.captions.choosing import TagChoice
from ..trainer_core.captions.composing import Composition
from ..trainer_core.captions.kinds import kind_of
from ..trainer_core.captions.tags import split_tags
from ..trainer_core.dataset.types import DatasetImage
from ..trainer_core.dataset.wording import FileNames
from ..trainer_core.errors import TrainingError
from ..trainer_core.files import is_within
from ..trainer_core.tagging.answers import AnswerStore
from .routes import NotThere, Routes, number
from .thumbnail_routes import as_cropped, numbered_picture, thumbnail

_BOARD = "/tagging/{board}"


@dataclass(frozen=True)
class TagPlaces:
    """The folders that the tag editor has to do with."""

    boards: Path
    answers: Path
    pictures: tuple[Path, ...]
    """Pictures are shown from nowhere else."""
    captions: tuple[Path, ...]
    """Caption files are written nowhere else."""


class TagRoutes:
    """The routes below /lora_atelier/tagging."""

    def __init__(self, places: TagPlaces) -> None:
        self._places = places

    def add(self, routes: Routes) -> None:
        routes.reads(_BOARD, self._show)
        routes.reads(_BOARD + "/captions", self._captions)
        routes.reads(_BOARD + "/candidates/{picture}", self._candidates)
        routes.reads(_BOARD + "/thumbnail/{picture}", self._thumbnail)
        routes.changes(_BOARD + "/save", self._save)

    def _show(self, request: web.Request) -> dict[str, Any]:
        name, board, answers = self._open(request)
        found = board.compose(answers)
        images = board.dataset.images
        return {
            "board": name,
            "title": f"{board.model.name} · {len(images)}" if board.model else str(len(images)),
            "model": board.model.name if board.model else "",
            "trigger_words": split_tags(board.rules.trigger_word),
            "has_scores": board.threshold > 0,
            "threshold": board.threshold,
            "character_threshold": board.character_threshold,
            "edits": json.loads(board.edits or "{}"),
            "pictures": _pictures(board, found),
            "kinds": _kinds(found),
            "advice": [asdict(advice) for advice in advise(found.dataset)],
            "can_write_files": self._may_write(board),
        }

    def _captions(self, request: web.Request) -> dict[str, Any]:
        _, board, answers = self._open(request)
        found = board.at(
            number(request, "threshold", board.threshold, 0, 1),
            number(request, "character_threshold", board.character_threshold, 0, 1),
        ).compose(answers)
        return {
            "captions": {str(index): caption for index, caption in enumerate(found.automatic)},
            "kinds": _kinds(found),
        }

    def _candidates(self, request: web.Request) -> dict[str, Any]:
        _, board, answers = self._open(request)
        image = self._picture(request, board)
        answer = answers.recall(image) if answers else None
        scores = {**answer.general, **answer.character} if answer else {}
        spelled = TagChoice(board.rules, board.model).spelled if board.model else str
        return {
            "tags": [
                {"tag": spelled(tag), "score": scores[tag], "kind": kind_of(tag)}
                for tag in sorted(scores, key=lambda tag: -scores[tag])
            ]
        }

    def _thumbnail(self, request: web.Request) -> web.Response:
        _, board, _ = self._open(request)
        return thumbnail(request, self._picture(request, board), as_cropped)

    def _save(self, request: web.Request, value: Mapping[str, Any]) -> dict[str, Any]:
        _, board, answers = self._open(request)
        if not self._may_write(board):
            raise TrainingError("these pictures are not in input/ or datasets/. Save to the workflow instead.")
        found = board.at(
            _share(value, "threshold", board.threshold),
            _share(value, "character_threshold", board.character_threshold),
            json.dumps(value.get("edits", {})),
        ).compose(answers)
        report, sidecars = write_board(board, found.dataset)
        keep_board(self._places.boards, replace(board, sidecars=sidecars))
        names = FileNames(board.dataset)
        states = [entry.state for entry in report]
        return {
            "written": states.count("written"),
            "unchanged": states.count("unchanged"),
            "refused": [
                {"name": names.of(entry.path), "reason": entry.reason} for entry in report if entry.state == "refused"
            ],
        }

    def _open(self, request: web.Request) -> tuple[str, TaggingBoard, AnswerStore | None]:
        name = request.match_info["board"]
        try:
            file = Boards(self._places.boards).file(name)
            board = _board(file, file.stat().st_mtime_ns)
        except (TrainingError, OSError) as problem:
            raise NotThere(str(problem)) from None
        return name, board, _answers(self._places.answers, board.model.identity) if board.model else None

    def _picture(self, request: web.Request, board: TaggingBoard) -> DatasetImage:
        return numbered_picture(board.dataset.images, request.match_info["picture"], self._places.pictures)

    def _may_write(self, board: TaggingBoard) -> bool:
        return all(any(is_within(root, image.path) for root in self._places.captions) for image in board.dataset.images)


def _pictures(board: TaggingBoard, found: Composition) -> list[dict[str, Any]]:
    names, images = FileNames(board.dataset), board.dataset.images
    return [
        {
            "id": str(index),
            "key": found.keys[index],
            "name": names.of(image.path),
            "width": image.crop.width if image.crop else image.width,
            "height": image.crop.height if image.crop else image.height,
            "is_regularisation": image.is_regularisation,
            "caption": found.automatic[index],
            "source": found.dataset.images[index].caption_source,
        }
        for index, image in enumerate(images)
    ]


def _kinds(found: Composition) -> dict[str, str]:
    tags = (tag for caption in found.automatic for tag in split_tags(caption))
    return {tag: kind_of(tag) for tag in dict.fromkeys(tags)}


def _share(value: Mapping[str, Any], name: str, default: float) -> float:
    share = value.get(name, default)
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise TrainingError(f"{name} is {share!r}. Give a number from 0 to 1.")
    return float(share)


@lru_cache(maxsize=2)
def _board(file: Path, changed: int) -> TaggingBoard:
    """Read once while its file stays as it is."""
    return TaggingBoard.from_json(Boards(file.parent).read(file.stem))


def _answers(folder: Path, identity: str) -> AnswerStore:
    path = AnswerStore.file(folder, identity)
    return _answers_as_of(folder, identity, path.stat().st_size if path.is_file() else 0)


@lru_cache(maxsize=2)
def _answers_as_of(folder: Path, identity: str, size: int) -> AnswerStore:
    """Read once while its file does not grow."""
    return AnswerStore(folder, identity)
