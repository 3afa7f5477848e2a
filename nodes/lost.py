"""What was given to a graph and has been deleted since: runs, pictures.

ComfyUI answers from its cache for as long as a node's inputs stay as they are, also with what is no more. So the nodes
that give such files have this count for their fingerprint, and are run again.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

_given: dict[str, set[Path]] = defaultdict(set)
"""Files that this ComfyUI may answer with, by what they belong to."""
_lost: Counter[str] = Counter()


def give(owner: str, files: Iterable[Path]) -> None:
    """Remember files that a node gives, such as the result of a run; `owner`: what they are looked for by."""
    _given[owner].update(files)


def count_lost(owner: str | None) -> int:
    """How many of an owner's files are gone that were given since ComfyUI started, or of all where none is named; one
    that was made again may be lost again."""
    for one in [*_given] if owner is None else [owner]:
        gone = {file for file in _given[one] if not file.is_file()}
        _given[one] -= gone
        _lost[one] += len(gone)
    return _lost.total() if owner is None else _lost[owner]
