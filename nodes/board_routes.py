"""What the crop editor and a health card ask for: what a run left for them, and small versions of its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from aiohttp import web

from ..trainer_core.boards import Boards
from ..trainer_core.crop.board import CropBoard
from ..trainer_core.dataset.pictures import open_picture
from ..trainer_core.dataset.types import WHITE
from ..trainer_core.errors import TrainingError
from ..trainer_core.health.board import HealthBoard
from .routes import NotThere, Routes
from .thumbnail_routes import numbered_picture, thumbnail

Board = CropBoard | HealthBoard


class BoardRoutes:
    """The routes below /lora_atelier/`address`: boards of one kind, and their pictures as they lie on disk."""

    def __init__(self, address: str, kind: type[Board], boards: Path, pictures: Sequence[Path]) -> None:
        self._address = address
        self._kind = kind
        self._boards = boards
        self._pictures = pictures
        """Pictures are shown from nowhere else."""

    def add(self, routes: Routes) -> None:
        routes.reads(f"/{self._address}/{{board}}", self._show)
        routes.reads(f"/{self._address}/{{board}}/thumbnail/{{picture}}", self._thumbnail)

    def _show(self, request: web.Request) -> dict[str, Any]:
        return self._open(request).content()

    def _thumbnail(self, request: web.Request) -> web.Response:
        images = self._open(request).dataset.images
        image = numbered_picture(images, request.match_info["picture"], self._pictures)
        return thumbnail(request, image, lambda shown: open_picture(shown.path, shown.background or WHITE))

    def _open(self, request: web.Request) -> Board:
        try:
            return _board(self._kind, self._boards, request.match_info["board"])
        except TrainingError as problem:
            raise NotThere(str(problem)) from None


@lru_cache(maxsize=4)
def _board(kind: type[Board], folder: Path, name: str) -> Board:
    """Read once: a board of the same name has the same content."""
    return kind.from_json(Boards(folder).read(name))
