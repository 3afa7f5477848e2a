"""Runs that were given to a graph and have been deleted since.

ComfyUI answers from its cache for as long as a node's inputs stay as they are, also with a run that is no more. So the
nodes that train have this count for their fingerprint, and are run again.
"""

from pathlib import Path

from ..trainer_core.training.run import RESULT

_given: set[Path] = set()
"""Folders of runs that this ComfyUI may answer with."""
_lost = 0


def give(run_folder: Path) -> None:
    """Remember a finished run that a node gives."""
    _given.add(run_folder)


def count_lost_runs() -> int:
    """How many runs are gone that were given since ComfyUI started; one that was trained again may be lost again."""
    global _lost
    gone = {folder for folder in _given if not (folder / RESULT).is_file()}
    _given.difference_update(gone)
    _lost += len(gone)
    return _lost
