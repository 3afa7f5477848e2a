"""What the crop editor asks for: the windows that a run of Smart Crop chose, and the pictures as they lie on disk."""

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
from .routes import NotThere, Routes
from .thumbnail_routes import numbered_picture, thumbnail


class CropRoutes:
    """The routes below /lora_atelier/crops."""

    def __init__(self, boards: Path, pictures: Sequence[Path]) -> None:
        self._boards = boards
        self._pictures = pictures
        """Pictures are shown from nowhere else."""

    def add(self, routes: Routes) -> None:
        routes.reads("/crops/{board}", self._show)
        routes.reads("/crops/{board}/thumbnail/{picture}", self._thumbnail)

    def _show(self, request: web.Request) -> dict[str, Any]:
        return self._open(request).content()

    def _thumbnail(self, request: web.Request) -> web.Response:
        images = self._open(request).dataset.images
        image = numbered_picture(images, request.match_info["picture"], self._pictures)
        return thumbnail(request, image, lambda shown: open_picture(shown.path, shown.background or WHITE))

    def _open(self, request: web.Request) -> CropBoard:
        try:
            return _board(self._boards, request.match_info["board"])
        except TrainingError as problem:
            raise NotThere(str(problem)) from None


@lru_cache(maxsize=2)
def _board(folder: Path, name: str) -> CropBoard:
    """Read once: a board of the same name has the same content."""
    return CropBoard.from_json(Boards(folder).read(name))
