"""The report that Load Dataset and Check Dataset leave for the card on the page."""

from ..trainer_core.boards import Boards
from ..trainer_core.dataset.types import Dataset
from ..trainer_core.health.board import HealthBoard
from ..trainer_core.health.report import HealthReport
from ..trainer_core.training.arithmetic import RunSize
from . import host

_BOARD = "lora_atelier_health"
"""Key under which the page finds the report of this run."""


def health_card(dataset: Dataset, report: HealthReport, size: RunSize | None = None) -> dict[str, list[str]]:
    """What a node shows on the page; `size`: that of a training, where it is known."""
    board = HealthBoard.of(dataset, report, size)
    return {_BOARD: [Boards(host.health_boards_folder()).keep(board.to_json())]}
