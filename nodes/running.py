"""A training run inside a node: what it shows on the way, where Stop is heard, what comes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict

from comfy_api.latest import io

from ..trainer_core.errors import TrainingError
from ..trainer_core.job import Job
from ..trainer_core.progress import StageReport
from ..trainer_core.runs.live_run import End, LiveRun
from ..trainer_core.runs.shown import ShownRuns
from ..trainer_core.training.kept_samples import Sample
from ..trainer_core.training.launch import steps_on
from ..trainer_core.training.loss_chart import loss_chart
from ..trainer_core.training.plan.advice import plan_warnings
from ..trainer_core.training.reports import StepReport
from ..trainer_core.training.run import RESULT, Request, StopAsked
from ..trainer_core.training.run_lock import RunLock
from ..trainer_core.training.trainer import Trainer
from . import host, lost
from .types import LoraSocket

_REMEDY = (
    "Set short_memory to reduce, turn gradient_checkpointing on, lower batch_size, crop to fewer pixels in Smart Crop, "
    "or set text_encoder_rate to 0."
)
_EVENT = "lora_atelier.run"

_now: LiveRun | None = None
"""What is being trained in this ComfyUI: one thing at a time, since its queue is one."""


def run_in_training() -> str | None:
    """The name of the folder of the run that is being trained."""
    return _now.run.folder.name if _now else None


def live_run(name: str) -> LiveRun | None:
    """The run that is being trained, if it is that one."""
    return _now if name == run_in_training() else None


def ask(request: Request, run: object = None) -> str:
    """Ask the run that is being trained for something; its name.

    Raises:
        TrainingError: nothing is being trained, or not `run`, or it has no samples to draw.
    """
    if _now is None or run not in (None, run_in_training()):
        raise TrainingError("nothing is being trained right now." if run is None else "this run is not being trained.")
    if request == "sample" and not _now.run.job.plan.samples.requests():
        raise TrainingError("this run has no prompts. Connect a Samples node to Train LoRA, and queue it again.")
    _now.run.ask(request)
    return _now.run.name


def training_outputs() -> list[io.Output]:
    """What every node that trains gives."""
    return [
        LoraSocket.Output("lora", tooltip="The trained LoRA, for Save LoRA, Preview Sample and Epoch Sheet."),
        io.Image.Output("loss_curve", tooltip="The loss of every step. It should fall, then flatten."),
        io.String.Output("path", tooltip="The file of the last epoch's LoRA."),
        io.String.Output(
            "verdict",
            tooltip="Underfit, good or overfit, since when, and what to change; from measuring after each epoch.",
        ),
    ]


def train(node: type[io.ComfyNode], job: Job, notes: Sequence[str], devices: int) -> io.NodeOutput:
    """Run the job to its end, or from where it stopped; `notes` are shown under the node with the run's own."""
    tokenizers = host.tokenizer_folders()
    trainer = Trainer(job, host.runs_folder(), device=host.device(), tokenizer_folders=tokenizers)
    place = host.place_of(node)
    if place.workflow:
        ShownRuns(host.runs_folder()).remember(place.workflow, place.node, trainer.run_folder.name)
    _show_what_is_known(node, trainer, notes)
    live = LiveRun(
        trainer.run,
        total_steps=trainer.total_steps,
        epochs=len(trainer.lengths),
        tell=lambda news: host.send_to_page(_EVENT, {**asdict(place), **news}),
        memory=host.memory_in_use,
    )
    if trainer.run.is_finished:  # it leaves ComfyUI's own models where they are
        live.end("finished")
    else:
        trainer.run.keep_workflow(host.workflow_of(node))
        work = host.Work("loading the base model")
        with host.machine_to_ourselves(work, _REMEDY), _known_as_now(live):
            _take_steps(node, trainer, notes, work, live, devices)
    lora = trainer.result()
    lost.give(job.name, [lora.run_folder / RESULT])
    _show_what_is_known(node, trainer, notes)
    curve = loss_chart(lora.losses, epoch_steps=[saved.step for saved in lora.epochs], title=f"{lora.name}: loss")
    verdict = "\n".join(trainer.verdict().lines)
    return io.NodeOutput(lora, host.to_image([curve]), str(lora.file), verdict)


@contextmanager
def _known_as_now(live: LiveRun) -> Iterator[None]:
    global _now
    end: End = "failed"
    _now = live
    try:
        yield
        end = "finished"
    except (host.Interrupted, StopAsked):
        end = "stopped"
        raise
    finally:
        _now = None
        live.end(end)
        if not RunLock.is_held(live.run.folder):  # by another process, which is asked
            live.run.forget_requests()  # also of a preparation that failed: they are not to come over the next attempt


def _show_what_is_known(node: type[io.ComfyNode], trainer: Trainer, notes: Sequence[str]) -> None:
    """What the page's panel does not say; the arithmetic alone, in place of what an earlier run left, where that is
    nothing."""
    warnings = plan_warnings(trainer.plan, trainer.total_steps)
    host.show_lines(node, [*notes, *warnings, *trainer.remarks] or [trainer.size().line()])


def _take_steps(
    node: type[io.ComfyNode], trainer: Trainer, notes: Sequence[str], work: host.Work, live: LiveRun, devices: int
) -> None:
    progress = host.Progress()

    def tell_remarks() -> None:
        if len(trainer.remarks) > len(live.remarks):
            live.has_remarked(trainer.remarks)
            _show_what_is_known(node, trainer, notes)

    for preparation in trainer.prepare() if devices == 1 else ():  # several processes prepare themselves
        tell_remarks()
        work.stage = preparation.stage
        live.reached_stage(preparation)
        progress.reached(preparation.done, preparation.total)
    run = trainer.steps() if devices == 1 else steps_on(trainer, devices)
    with closing(run) as steps:  # closing writes the state from which a stopped run goes on
        for report in steps:
            tell_remarks()
            match report:
                case StepReport():
                    work.stage = "training"
                    live.reached_step(report)
                    progress.reached(report.step, report.total_steps)
                case StageReport():
                    work.stage = report.stage
                    live.reached_stage(report)
                    progress.reached(report.done, report.total)
                case Sample():
                    live.has_drawn()
