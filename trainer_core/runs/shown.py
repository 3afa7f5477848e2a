"""Which run a node of a graph has trained last, so that a page that is opened again finds it."""

from __future__ import annotations

from pathlib import Path

from ..errors import TrainingError
from ..files import read_json, write_json

_FILE = "shown.json"
_MOST = 1000


class ShownRuns:
    """Kept beside the runs. A node is known by its workflow's id and its own, as the page has them."""

    def __init__(self, runs_folder: Path) -> None:
        self._path = runs_folder / _FILE

    def remember(self, workflow: str, node: str, run: str) -> None:
        known = self._known()
        known.pop(key := _key(workflow, node), None)
        newest = [*known.items(), (key, run)][-_MOST:]
        write_json(self._path, dict(newest))

    def of(self, workflow: str, node: str) -> str | None:
        """The name of the run's folder; None where the node has trained nothing."""
        return self._known().get(_key(workflow, node))

    def _known(self) -> dict[str, str]:
        try:
            known = read_json(self._path) if self._path.is_file() else {}
        except TrainingError:  # lost is only what an opened page shows at first
            return {}
        return known if isinstance(known, dict) else {}


def _key(workflow: str, node: str) -> str:
    return f"{workflow} {node}"
