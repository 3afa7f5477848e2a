"""A run on several GPUs, started by a program that is a single process: torchrun trains, and the run's folder tells.

The processes are those of `torchrun -m trainer_core train JOB`, and nothing but files goes between them and this one:
the job, the step log, LoRAs and samples as they come, and the wish to stop.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import psutil
import torch

from ..errors import TrainingError
from ..files import read_json, write_json
from ..progress import StageReport
from ..runs.step_log import StepLog
from .kept_samples import Sample, list_samples
from .reports import StepReport
from .run import JOB, VERDICT, Run
from .shares import check_shares
from .team import OTHERS_LEFT

if TYPE_CHECKING:
    from .trainer import Trainer

PROCESS_LOG = "processes.log"
"""In a run's folder: what its processes wrote on their screens."""
_PACKAGE = Path(__file__).parents[1]
_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_STOP, _SECONDS_TO_END = 300, 60
"""For a step and the state to be written; and for torchrun to end its processes."""


def check_devices(devices: int, device: str) -> None:
    """Refuse more processes than there are GPUs, or on a CPU cores.

    Raises:
        TrainingError: says how many there are.
    """
    match torch.device(device).type:
        case "cuda":
            found = torch.cuda.device_count()
        case "cpu":
            found = os.cpu_count() or 1
        case _:
            found = 1
    if devices > found:
        raise TrainingError(f"devices is {devices}, and here {found} can be used. Set devices to {found} or less.")


def steps_on(trainer: Trainer, devices: int) -> Iterator[StepReport | StageReport | Sample]:
    """Train the trainer's run as its `steps` does, in `devices` processes of this machine.

    Closing the generator has the run stop after the step it is at, with its state written.

    Raises:
        TrainingError: there are fewer devices, a step has fewer pictures than that, or the processes failed; their
            own words.
    """
    check_devices(devices, trainer.device)
    check_shares(trainer.plan, devices)
    run, reports = trainer.run, _FolderReports(trainer)
    write_json(run.folder / JOB, run.job.to_json())
    with TemporaryDirectory(ignore_cleanup_errors=True) as notes:
        process = _begin(trainer, devices, notes)
        try:
            yield StageReport(stage=f"starting {devices} processes", done=0, total=1)
            while _runs(process):
                yield from reports.read()
                yield reports.reached
        finally:
            _stop(process, run, is_training=reports.has_begun)
    yield from reports.read()
    if process.returncode:
        raise TrainingError(_reason(run.folder / PROCESS_LOG))
    trainer.remarks[:] = read_json(run.folder / VERDICT)["remarks"]


class _FolderReports:
    """What has come to a run's folder since the last look."""

    def __init__(self, trainer: Trainer) -> None:
        self._folder, self._total_steps = trainer.run_folder, trainer.total_steps
        self._log = StepLog(self._folder)
        self._log.read()
        self._told = len(self._log)
        self._saved, self._samples = set(self._files("epochs", "*.safetensors")), set(self._files("samples", "*.png"))
        self.has_begun = False
        self.reached = StageReport(stage="loading the base model", done=0, total=1)
        """How far the run is, for the time between its steps."""

    def read(self) -> Iterator[StepReport | Sample]:
        self._log.read()
        self._told = min(self._told, len(self._log))  # the log may have been rewound
        saved = self._new_saves()
        for index in range(self._told, len(self._log)):
            self.has_begun, step = True, self._log.steps[index]
            self.reached = StageReport(stage="training", done=step, total=self._total_steps)
            is_newest = index == len(self._log) - 1
            yield StepReport(
                step=step,
                total_steps=self._total_steps,
                epoch=self._log.epochs[index],
                loss=self._log.losses[index],
                learning_rate=self._log.rates[index],
                saved=saved if is_newest else None,
            )
        self._told = len(self._log)
        yield from self._new_samples()

    def _new_saves(self) -> Path | None:
        """The newest LoRA that has been kept since."""
        new = [path for path in self._files("epochs", "*.safetensors") if path not in self._saved]
        self._saved |= set(new)
        return max(new, key=lambda path: path.stat().st_mtime) if new else None

    def _new_samples(self) -> Iterator[Sample]:
        if new := set(self._files("samples", "*.png")) - self._samples:
            self._samples |= new
            yield from (sample for sample in list_samples(self._folder) if sample.path in new)

    def _files(self, part: str, pattern: str) -> Iterator[Path]:
        return (path for path in (self._folder / part).glob(pattern) if not path.name.startswith("."))


def _begin(trainer: Trainer, devices: int, notes: str) -> subprocess.Popen:
    """Start the processes. `notes`: a folder for torchrun's own, which it would leave behind."""
    with open(trainer.run_folder / PROCESS_LOG, "wb") as log:
        return subprocess.Popen(
            _command(trainer, devices, notes),
            cwd=_PACKAGE.parent,
            env=os.environ | ({"USE_LIBUV": "0"} if os.name == "nt" else {}),  # torch for Windows comes without it
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _command(trainer: Trainer, devices: int, notes: str) -> list[str]:
    folder = trainer.run_folder.resolve()
    processes = ["--standalone", f"--nproc-per-node={devices}", f"--log-dir={notes}"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", *processes]
    train = ["-m", _PACKAGE.name, "train", str(folder / JOB), f"--runs={folder.parent}"]
    kind = torch.device(trainer.device).type
    tokenizers = [f"--tokenizer={path.resolve()}" for path in trainer.tokenizer_folders]
    return [*torchrun, *train, f"--device={kind}", *tokenizers, "--run-only", "--json"]


def _runs(process: subprocess.Popen) -> bool:
    """Whether it still does, after a short while."""
    try:
        process.wait(_SECONDS_BETWEEN_LOOKS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _stop(process: subprocess.Popen, run: Run, *, is_training: bool) -> None:
    """End the processes: while they train by asking, so that nothing is lost; before that, there is nothing to lose."""
    if process.poll() is not None:
        return
    try:
        if is_training:
            run.ask("stop")
            process.wait(_SECONDS_TO_STOP)
            return
    except subprocess.TimeoutExpired:
        pass
    finally:
        run.is_answered("stop")
    _end(process)


def _end(process: subprocess.Popen) -> None:
    """End torchrun, which ends its own; where it cannot, as on Windows, they are ended after it."""
    try:
        whole = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    except psutil.NoSuchProcess:
        return
    process.terminate()
    _, left = psutil.wait_procs(whole, timeout=_SECONDS_TO_END)
    for each in left:
        each.kill()
    process.wait()


def _reason(log: Path) -> str:
    """The one line with which a process gave up."""
    said = [_error(line) for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    reasons = (line for line in said if line and line != OTHERS_LEFT)
    return next(reasons, f"the processes that train have failed. The end of {log.parent.name}/{log.name} says why.")


def _error(line: str) -> str | None:
    try:
        return json.loads(line)["error"]
    except (ValueError, KeyError, TypeError):
        return None
