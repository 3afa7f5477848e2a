"""Which runs a node of a graph has trained, so that a page that is opened again finds the newest."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from ..errors import TrainingError
from ..files import read_json, write_json

_FILE = "shown.json"
_MOST_NODES, _MOST_RUNS = 1000, 8
"""That are remembered; runs of each node."""
_lock = Lock()
"""The page may tell of several nodes at once."""


class ShownRuns:
    """Kept beside the runs. A node is known by its workflow's id and its own, as the page has them."""

    def __init__(self, runs_folder: Path) -> None:
        self._path = runs_folder / _FILE

    def remember(self, workflow: str, node: str, run: str) -> None:
        with _lock:
            known = self._known()
            earlier = known.pop(key := _key(workflow, node), [])
            runs = [run, *(one for one in earlier if one != run)]
            newest = [*known.items(), (key, runs[:_MOST_RUNS])][-_MOST_NODES:]
            write_json(self._path, dict(newest))

    def of(self, workflow: str, node: str) -> list[str]:
        """Names of the folders of its runs, the newest first. They may have been deleted since, or never begun."""
        return self._known().get(_key(workflow, node), [])

    def _known(self) -> dict[str, list[str]]:
        try:
            known = read_json(self._path) if self._path.is_file() else {}
        except TrainingError:  # lost is only what an opened page shows at first
            return {}
        return {key: runs for key, runs in known.items() if _are_names(runs)} if isinstance(known, dict) else {}


def _key(workflow: str, node: str) -> str:
    return f"{workflow} {node}"


def _are_names(runs: object) -> bool:
    return isinstance(runs, list) and all(isinstance(run, str) for run in runs)
