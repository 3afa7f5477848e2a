"""A run is a folder: the job, a log of every step, the resumable state, the LoRAs kept.

    <runs>/<name>-<id>/job.json  about.json  metrics.jsonl  validation.jsonl  samples/  state/  epochs/
                       verdict.json  result.json

Its id is a hash of plan, dataset and base model, so the same job finds its folder again: a finished run answers
at once, an interrupted one goes on. What only saves memory or time is not in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from ..errors import TrainingError
from ..families.identify import identity_of
from ..files import (
    append,
    check_folder_writable,
    clear_unfinished,
    digest,
    file_name,
    read_json,
    read_json_lines,
    sha256_of_file,
    write_atomic,
    write_json,
)
from ..job import Job
from .reports import SavedEpoch, StepReport, TrainedLora

TRAINER_VERSION = 1
"""Part of every run id. Raised when a change to the trainer changes what the same job gives by more than rounding."""

STEP_LOG, VALIDATION_LOG = "metrics.jsonl", "validation.jsonl"
"""In a run's folder, JSON objects: one a step, and one each time the LoRA was measured."""
_WITHOUT_EFFECT = ("samples",)
"""Parts of the plan that change nothing in what is learned: with others, it is the same run."""
_ONLY_FASTER = {"precision": {"cuda_graphs": False}}
"""Parts of the plan that learn the same either way. False was the default of graphs when run ids began to have it."""
_ONLY_SMALLER = {
    "precision": {"gradient_checkpointing": False, "checkpoint_every": 1, "offload": False, "short_memory": "refuse"},
    "saving": {"state_every_steps": 100},
}
"""Likewise, with the values that count in a run's id: who is short of memory and changes them goes on with the run."""
JOB = "job.json"
"""What is trained, with every picture by itself."""
ABOUT, VERDICT, RESULT = "about.json", "verdict.json", "result.json"
"""What can be shown of a run without a trainer: from its start, and from its end. The last one marks it as done."""
END = "end.json"
"""At which step a run ends that was asked to finish early, until it is done."""
WORKFLOW = "workflow.json"
"""The graph that a run was started from, where it was one."""
Request = Literal["finish", "sample", "save", "stop"]
"""What a run can be asked for by a file of that name in its folder, which any program that sees it may write: to end
early as a finished one; to draw its samples now; to keep a LoRA of this step; to stop, and go on another time."""
REQUESTS: tuple[Request, ...] = get_args(Request)


class StopAsked(TrainingError):
    """The run was asked to stop."""


class Run:
    """The folder of a job's run.

    Raises:
        TrainingError: the runs folder cannot be written to, or a LoRA that the plan names is not there.
    """

    def __init__(self, job: Job, runs_folder: Path, precision: str) -> None:
        check_folder_writable(runs_folder)
        self.job = job
        self.base_identity = known_identity(job.base_model, runs_folder / "base-models.json")
        others = [sha256_of_file(_existing(path)) for path in job.plan.adapter.files]
        what = [others, [job.dataset.fingerprint(), job.dataset.trigger_words], self.base_identity, precision]
        plan = _with_values(job.plan.to_json(), _ONLY_FASTER)
        # the second as ids were before what saves memory was left out of them
        ids = [digest(TRAINER_VERSION, of, *what)[:12] for of in (_with_values(plan, _ONLY_SMALLER), plan)]
        earlier = [(found, one) for one in ids for found in sorted(runs_folder.glob(f"*-{one}"))]
        self.folder, self.id = earlier[0] if earlier else (runs_folder / f"{file_name(job.name)}-{ids[0]}", ids[0])
        self.name = self.folder.name.removesuffix(f"-{self.id}")
        self.cache = runs_folder / "latents"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def validation_log(self) -> Path:
        return self.folder / VALIDATION_LOG

    @property
    def is_finished(self) -> bool:
        return (self.folder / RESULT).is_file()

    @property
    def has_begun(self) -> bool:
        """Whether there is anything that was learned."""
        return self.is_finished or any(self.state.glob("*.json"))

    @property
    def memory(self) -> Path:
        """What it does about memory, where it may choose."""
        return self.folder / "memory.json"

    def clear(self) -> None:
        """Delete what killed processes were writing."""
        for folder in (self.folder, self.cache):
            clear_unfinished(folder)

    def start(self, about: dict[str, Any]) -> None:
        """Create the folder, and write into it the job and what is to be shown of it."""
        write_json(self.folder / JOB, self.job.to_json())
        write_json(self.folder / ABOUT, about)

    def keep_workflow(self, workflow: dict[str, Any] | None) -> None:
        """Keep the graph that the run is started from, so that it can be opened again."""
        if workflow:
            write_json(self.folder / WORKFLOW, workflow)

    # ------------------------------------------------------------------------------------------------- step log

    def rewind_log(self, step: int) -> None:
        """Drop the log of steps after `step`: they are about to be trained again."""
        kept = (entry for entry in read_json_lines(self.folder / STEP_LOG) if entry["step"] <= step)
        write_atomic(self.folder / STEP_LOG, "".join(f"{json.dumps(entry)}\n" for entry in kept).encode())

    def log(self, report: StepReport) -> None:
        entry = {"step": report.step, "epoch": report.epoch, "loss": report.loss, "rate": report.learning_rate}
        append(self.folder / STEP_LOG, json.dumps(entry) + "\n")

    def losses(self) -> tuple[float, ...]:
        """Loss of every logged step."""
        return tuple(entry["loss"] for entry in read_json_lines(self.folder / STEP_LOG))

    # ---------------------------------------------------------------------------------------------------- result

    def saved_file(self, name: str) -> Path:
        """Where a kept LoRA is; `name` is the end of its name, empty for the run's last one."""
        return self.folder / "epochs" / f"{self.name}{name}.safetensors"

    def ask(self, request: Request) -> None:
        """Ask the run for something; it answers after the step that it is at."""
        write_atomic(self.folder / request, b"")

    def asked(self) -> frozenset[Request]:
        """What it is asked for now."""
        return frozenset(request for request in REQUESTS if (self.folder / request).exists())

    def is_answered(self, request: Request) -> None:
        """What was asked for has been done."""
        (self.folder / request).unlink(missing_ok=True)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """What is left unanswered when the context ends is not to come over the run when it goes on."""
        try:
            yield
        finally:
            self.forget_requests()

    def forget_requests(self) -> None:
        for request in REQUESTS:
            self.is_answered(request)

    def end_at(self, step: int) -> None:
        """From now on, the run ends after this step, also where it is stopped while that is measured or drawn."""
        write_json(self.folder / END, {"step": step})

    def ends_at(self, step: int) -> bool:
        """Whether it was asked to end after this step. It forgets having been asked to at another: that was taken back
        by what is trained since."""
        path = self.folder / END
        if path.is_file() and read_json(path).get("step") == step:
            return True
        path.unlink(missing_ok=True)
        return False

    def tell(self, verdict: dict[str, Any], remarks: Sequence[str]) -> None:
        """Keep what is to be said of the run now that it is over."""
        write_json(self.folder / VERDICT, {"verdict": verdict, "remarks": list(remarks)})

    def finish(self, saved: list[SavedEpoch]) -> None:
        """Mark the run as done. Written last: what reads it can rely on everything else."""
        entries = [{"epoch": s.epoch, "step": s.step, "file": s.path.name} for s in saved]
        write_json(self.folder / RESULT, {"epochs": entries})
        (self.folder / END).unlink(missing_ok=True)

    def result(self) -> TrainedLora:
        """The finished run.

        Raises:
            TrainingError: it is not finished.
        """
        if not self.is_finished:
            raise TrainingError(f"the run {self.folder.name} is not finished. Start it again and it goes on.")
        entries = read_json(self.folder / RESULT)["epochs"]
        return TrainedLora(
            run_folder=self.folder,
            name=self.job.name,
            base_model=self.job.base_model,
            plan=self.job.plan,
            trigger_words=self.job.dataset.trigger_words,
            epochs=tuple(
                SavedEpoch(epoch=e["epoch"], step=e["step"], path=self.folder / "epochs" / e["file"]) for e in entries
            ),
            losses=self.losses(),
        )


def _with_values(plan: dict[str, Any], values: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What a run's id has of a plan."""
    known = {part: value for part, value in plan.items() if part not in _WITHOUT_EFFECT}
    return known | {part: known[part] | of_part for part, of_part in values.items()}


def _existing(lora: Path) -> Path:
    if not lora.is_file():
        raise TrainingError(f"there is no LoRA {str(lora)!r}. Correct start_from or merge_first in the plan.")
    return lora


def known_identity(base_model: Path, memory: Path) -> str:
    """`identity_of` a base model, remembered by size and time of change: hashing gigabytes takes seconds."""
    known: dict[str, Any] = read_json(memory) if memory.is_file() else {}
    files = sorted(base_model.glob("*/*.safetensors")) if base_model.is_dir() else [base_model]
    stamp = digest([[str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns] for f in files])
    if stamp not in known:
        known[stamp] = identity_of(base_model)
        write_json(memory, known)
    return known[stamp]
