"""One line about each run of a folder of runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from ..errors import TrainingError
from ..files import read_json, time_of_change
from ..training.kept_samples import newest_sample
from ..training.run import ABOUT, RESULT, STEP_LOG, VERDICT, WORKFLOW
from ..training.run_lock import RunLock

State = Literal["training", "finished", "stopped"]

_TAIL = 4096
"""Bytes in which the last line of a step log is found."""
_REMEMBERED = 2048
"""Runs that are read again only once they change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """What a list of runs shows of one."""

    run: str
    """The name of its folder."""
    name: str
    base: str
    """The base model's file name."""
    family: str
    changed: float
    """When its last step was logged, in seconds since 1970."""
    state: State
    step: int
    total_steps: int
    epochs: int
    pictures: int
    verdict: dict[str, Any] | None
    """kind, since_epoch and best_epoch."""
    thumbnail: dict[str, float] | None
    """epoch and number of its newest sample."""
    megabytes: float
    has_workflow: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def find_run(runs_folder: Path, run: str) -> Path:
    """The folder of a run by its name.

    Raises:
        TrainingError: there is no such run; names with paths are none.
    """
    if not has_run(runs_folder, run):
        raise TrainingError(f"there is no run {run!r}. It may have been deleted; refresh the list.")
    return runs_folder / run


def has_run(runs_folder: Path, run: str) -> bool:
    """Whether it is the plain name of a folder that holds a run."""
    is_plain = run == Path(run).name and "\\" not in run and "\0" not in run and not run.startswith(".")
    folder = runs_folder / run
    return bool(run) and is_plain and not folder.is_symlink() and (folder / ABOUT).is_file()


def list_runs(runs_folder: Path, training: str | None = None) -> list[RunSummary]:
    """Every run that can be read, the newest first. `training`: the run that this process trains now."""
    folders = [path.parent for path in runs_folder.glob(f"*/{ABOUT}") if not path.parent.is_symlink()]
    found = [summary for folder in folders if (summary := _readable(folder, training))]
    return sorted(found, key=lambda summary: -summary.changed)


def _readable(folder: Path, training: str | None) -> RunSummary | None:
    try:
        return summarise(folder, is_training=folder.name == training)
    except (TrainingError, OSError, KeyError, TypeError):  # half deleted, or of another version
        return None


def summarise(folder: Path, *, is_training: bool) -> RunSummary:
    """One run, read again only where something has changed in its folder.

    Raises:
        TrainingError, KeyError: half deleted, or of another version.
    """
    return replace(_as_of(folder, _stamp(folder)), state=state_of(folder, is_training=is_training))


def _stamp(folder: Path) -> tuple[int, ...]:
    """Times of change of what grows with a run: a file that is added or replaced changes its folder's."""
    return tuple(time_of_change(folder / part) for part in ("", "samples", "epochs", STEP_LOG))


@lru_cache(maxsize=_REMEMBERED)
def _as_of(folder: Path, stamp: tuple[int, ...]) -> RunSummary:
    about = read_json(folder / ABOUT)
    told = read_json(folder / VERDICT)["verdict"] if (folder / VERDICT).is_file() else None
    log = folder / STEP_LOG
    return RunSummary(
        run=folder.name,
        name=about["name"],
        base=about["base"],
        family=about["family"],
        changed=(log if log.is_file() else folder / ABOUT).stat().st_mtime,
        state="stopped",
        step=_last_step(log),
        total_steps=about["size"]["steps"],
        epochs=about["size"]["epochs"],
        pictures=about["size"]["pictures"],
        verdict={key: told[key] for key in ("kind", "since_epoch", "best_epoch")} if told else None,
        thumbnail=newest_sample(folder),
        megabytes=round(sum(_sizes(folder)) / 2**20, 1),
        has_workflow=(folder / WORKFLOW).is_file(),
    )


def state_of(folder: Path, *, is_training: bool) -> State:
    if (folder / RESULT).is_file():
        return "finished"
    return "training" if is_training or RunLock.is_held(folder) else "stopped"


def _last_step(log: Path) -> int:
    if not log.is_file():
        return 0
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL))
        lines = file.read().split(b"\n")[:-1]
    return next((step for line in reversed(lines) if (step := _step_of(line))), 0)


def _step_of(line: bytes) -> int:
    """0 of a damaged line."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return 0


def _sizes(folder: Path) -> Iterator[int]:
    """Of every file below a folder, in bytes; links count as themselves."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _sizes(Path(entry.path))
        else:
            yield entry.stat(follow_symlinks=False).st_size
