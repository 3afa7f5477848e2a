"""A contender in a process of its own, which loads once and then takes a turn whenever it is asked to."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from .other_trainers import COMFYUI, OTHERS, SD_SCRIPTS
from .step_clock import LOADED, MARK, Measured
from .task import Task
from .training_contenders import CONTENDERS

_WHILE = 60
"""Seconds."""


class ContenderFailed(Exception):
    """A contender ended, or was ended, before its turn was done."""


def contenders() -> list[str]:
    """Those that can be run here.

    Raises:
        SystemExit: a variable names something else than it should.
    """
    found = [name for name, (checkout, _) in OTHERS.items() if checkout.is_given() and checkout.place()]
    if SD_SCRIPTS.is_given() and not COMFYUI.is_given():
        sys.exit("sd-scripts needs CLIP's vocabulary. Set COMFYUI_DIR and COMFYUI_PYTHON too.")
    return [*CONTENDERS, *found]


class Contender:
    """Is started with its first turn, or before. `running` makes one, and ends it."""

    def __init__(self, task: Task, errors: IO[str] | None) -> None:
        self._task, self._errors = task, errors
        self._process: subprocess.Popen[str] | None = None

    def turn(self, within: float | None) -> Measured:
        """Let it take its next turn. `within`: seconds after which it is ended; None for as long as it takes.

        Raises:
            ContenderFailed: it ended before; says how.
        """
        if self._process is None:
            self.begin()
        else:
            with suppress(BrokenPipeError):  # its output has ended as well, and tells
                print("go on", file=self._process.stdin, flush=True)
        return Measured.from_line(self._line(MARK, within))

    def begin(self) -> None:
        """Let it load, without waiting for it."""
        self._process = subprocess.Popen(
            _command(replace(self._task, began=time.time())),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=_environment(self._task.setting.device),
        )

    def has_loaded(self, within: float | None) -> None:
        """Wait until one that was begun, and holds, waits for its first turn.

        Raises:
            ContenderFailed: it ended before; says how.
        """
        self._line(LOADED, within)

    def _line(self, start: str, within: float | None) -> str:
        """The next line that starts like this; it is ended after `within` seconds."""
        timer = threading.Timer(within or 0.0, self._process.kill)
        if within is not None:
            timer.start()
        try:
            for line in self._process.stdout:
                if line.startswith(start):
                    return line
        finally:
            timer.cancel()
        raise ContenderFailed(f"{self._task.contender} ended with code {self._process.wait()} before its turn was done")

    def end(self) -> None:
        """Nobody wants another turn: it has a while to tidy up."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.communicate(timeout=_WHILE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@contextmanager
def running(task: Task, errors: Path | None = None) -> Iterator[Contender]:
    """A contender while the context lasts. `errors`: a file for what it says there; None: shown."""
    with open(errors, "w", encoding="utf-8") if errors else nullcontext() as file:
        contender = Contender(task, file)
        try:
            yield contender
        finally:
            contender.end()


def _command(task: Task) -> list[str]:
    module, python = "training_contenders", sys.executable
    if task.contender in OTHERS:
        module, python = "other_trainers", OTHERS[task.contender][0].place()[1]
    return [python, "-m", f"benchmarks.{module}", task.to_json()]


def _environment(device: str) -> dict[str, str]:
    """On a CPU no trainer may find a GPU that is there."""
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {}
    return {**os.environ, **hidden}
