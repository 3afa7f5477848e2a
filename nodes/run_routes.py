"""What the page asks about runs: which there are, what became of one, and what it wants of the one being trained."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import NoneType
from typing import Any

from aiohttp import web
from PIL import Image

from ..trainer_core.dataset.types import DatasetImage
from ..trainer_core.errors import TrainingError
from ..trainer_core.files import read_json
from ..trainer_core.runs.history import MOST_POINTS, run_history
from ..trainer_core.runs.pace import read_pace
from ..trainer_core.runs.pictures import pictures_of
from ..trainer_core.runs.shown import ShownRuns
from ..trainer_core.runs.step_log import StepLog
from ..trainer_core.runs.summary import find_run, has_run, list_runs
from ..trainer_core.training.kept_samples import sample_path
from ..trainer_core.training.run import ABOUT, JOB, WORKFLOW, Request
from ..trainer_core.training.run_lock import RunLock
from . import running
from .publishing import publish_kept
from .routes import NotThere, Routes, number
from .thumbnail_routes import as_cropped, jpeg, picture_answer, shown_picture, thumbnail

_REQUESTS: tuple[Request, ...] = ("finish", "sample", "save")
"""What the page may ask of a run; it is stopped as any node is, by ComfyUI's own button."""
_SIDES = (64, 2048)
_LONGEST_ID = 200
"""Letters of a workflow's or a node's id."""
_LOGS_KEPT = 8
"""Runs whose logs stay read, for pages that ask again and again."""
_JOBS_KEPT = 4
"""Runs whose pictures stay known, for pages that show them one after the other."""
_SAMPLE_SECONDS = 60
"""A sample never changes; but its run may be deleted and trained again, with other prompts."""


class RunRoutes:
    """The routes below /lora_atelier/runs."""

    def __init__(self, runs: Path, pictures: Sequence[Path]) -> None:
        self._runs = runs
        self._pictures = pictures
        """Pictures that runs have learned from are shown from nowhere else."""

    def add(self, routes: Routes) -> None:
        routes.reads("/runs", self._list)
        routes.reads("/runs/of", self._of)
        routes.reads("/runs/history", self._history)
        routes.reads("/runs/sample", self._sample)
        routes.reads("/runs/picture", self._picture)
        routes.reads("/runs/workflow", self._workflow)
        for request in _REQUESTS:
            routes.changes(f"/runs/{request}", _asker(request))
        routes.changes("/runs/shown", self._shown)
        routes.changes("/runs/delete", self._delete)
        routes.changes("/runs/use", self._use)

    # ---------------------------------------------------------------------------------------------------- reading

    def _list(self, request: web.Request) -> dict[str, Any]:
        return {"runs": [summary.to_json() for summary in list_runs(self._runs, running.run_in_training())]}

    def _of(self, request: web.Request) -> dict[str, Any]:
        runs = ShownRuns(self._runs).of(request.query.get("workflow", ""), request.query.get("node", ""))
        return {"run": next((run for run in runs if has_run(self._runs, run)), None)}

    def _history(self, request: web.Request) -> dict[str, Any]:
        folder = self._folder(request.query.get("run", ""))
        points = int(number(request, "points", 1500, 10, MOST_POINTS))
        live = running.live_run(folder.name)
        try:
            history = run_history(folder, _log_of(folder), points=points, is_training=live is not None)
        except (FileNotFoundError, KeyError):
            raise NotThere("this run was just deleted, or is of another version. Refresh the list.") from None
        if live:
            return {**history, **live.place(), "remarks": live.remarks}
        return {**history, **_at_rest(folder, history)}

    def _sample(self, request: web.Request) -> web.Response:
        folder = self._folder(request.query.get("run", ""))
        epoch, which = number(request, "epoch", 0, 0, 1e6), int(number(request, "number", 1, 1, 99))
        path = sample_path(folder, epoch, which)
        if not path.is_file():
            raise NotThere(f"this run has no sample {which} of epoch {epoch:g}.")
        tag = f"{path.stat().st_mtime_ns}-{request.query.get('side')}"
        if "side" not in request.query:
            return picture_answer(request, tag, "image/png", path.read_bytes, _SAMPLE_SECONDS)
        side = int(number(request, "side", 256, *_SIDES))
        return picture_answer(request, tag, "image/jpeg", lambda: _small(path, side), _SAMPLE_SECONDS)

    def _picture(self, request: web.Request) -> web.Response:
        """A picture that the run learns from, by its name in the history; without a name its first one."""
        folder = self._folder(request.query.get("run", ""))
        pictures = _pictures_of(folder, (folder / JOB).stat().st_mtime_ns)
        name = request.query.get("name") or next(iter(pictures), "")
        if name not in pictures:
            raise NotThere(f"this run has no picture {name!r}.")
        return thumbnail(request, shown_picture(pictures[name], self._pictures), as_cropped)

    def _workflow(self, request: web.Request) -> dict[str, Any]:
        path = self._folder(request.query.get("run", "")) / WORKFLOW
        if not path.is_file():
            raise NotThere("this run was not started from a graph of the page. Start it again from where it was.")
        return read_json(path)

    # ---------------------------------------------------------------------------------------------------- changing

    def _delete(self, request: web.Request, value: Mapping[str, Any]) -> dict[str, Any]:
        folder = self._folder(value.get("run"))
        if running.run_in_training() == folder.name or RunLock.is_held(folder):
            raise TrainingError("this run is being trained. Stop it first.")
        try:
            shutil.rmtree(folder)
        except OSError as problem:
            raise TrainingError(f"some of {folder.name} could not be deleted: {problem.strerror}. Try again.") from None
        return {"run": folder.name}

    def _shown(self, request: web.Request, value: Mapping[str, Any]) -> dict[str, Any]:
        """A run that ComfyUI answered from its cache, in a workflow that did not train it."""
        folder, workflow, node = self._folder(value.get("run")), value.get("workflow"), value.get("node")
        if not all(isinstance(name, str) and 0 < len(name) <= _LONGEST_ID for name in (workflow, node)):
            raise TrainingError("say which node of which workflow shows the run.")
        ShownRuns(self._runs).remember(workflow, node, folder.name)
        return {"run": folder.name}

    def _use(self, request: web.Request, value: Mapping[str, Any]) -> dict[str, Any]:
        """Copy a kept epoch to where LoraLoader finds it: 0 for the last, -1 for the best, as Save LoRA does; of
        several saves of an epoch that of `step`.
        """
        folder, name = self._folder(value.get("run")), value.get("name")
        epoch, step = value.get("epoch"), value.get("step")
        if type(epoch) not in (int, float) or type(step) not in (int, NoneType) or not isinstance(name, str):
            raise TrainingError("say which epoch, of which step, and under which name.")
        name = name.strip() or read_json(folder / ABOUT)["name"]
        return {"file": publish_kept(folder, epoch, name, step=step).name}

    def _folder(self, run: Any) -> Path:
        try:
            return find_run(self._runs, run if isinstance(run, str) else "")
        except TrainingError as problem:
            raise NotThere(str(problem)) from None


def _asker(request: Request):
    def ask(_: web.Request, value: Mapping[str, Any]) -> dict[str, Any]:
        return {"name": running.ask(request, value.get("run"))}

    return ask


@lru_cache(maxsize=_JOBS_KEPT)
def _pictures_of(folder: Path, changed: int) -> dict[str, DatasetImage]:
    return pictures_of(folder)


@lru_cache(maxsize=_LOGS_KEPT)
def _log_of(folder: Path) -> StepLog:
    return StepLog(folder)


def _at_rest(folder: Path, history: Mapping[str, Any]) -> dict[str, Any]:
    """What a run that is not being trained has in the place of what only a live one can tell."""
    pace = read_pace(folder)
    seconds = pace.seconds_per_step if pace else None
    left = None if seconds is None else seconds * (history["total_steps"] - history["step"])
    at_work = {"stage": "", "done": 0, "total": 1, "memory_mb": None}
    return {**at_work, "seconds_per_step": seconds, "seconds_left": None if history["state"] == "finished" else left}


def _small(path: Path, side: int) -> bytes:
    with Image.open(path) as picture:
        return jpeg(picture, side)
