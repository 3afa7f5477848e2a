"""A training run inside a node: what it shows on the way, where Stop is heard, what comes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from comfy_api.latest import io, ui
from PIL import Image

from ..trainer_core.errors import TrainingError
from ..trainer_core.job import Job
from ..trainer_core.progress import StageReport
from ..trainer_core.training.loss_chart import loss_chart
from ..trainer_core.training.plan.advice import plan_warnings
from ..trainer_core.training.reports import StepReport, TrainedLora
from ..trainer_core.training.samples import Sample, list_samples
from ..trainer_core.training.trainer import Trainer
from . import host
from .run_picture import RunPicture
from .types import LoraSocket

_REMEDY = (
    "Turn gradient_checkpointing on, lower batch_size, crop to fewer pixels in Smart Crop, "
    "or set text_encoder_rate to 0."
)


_now: Trainer | None = None
"""What is being trained in this ComfyUI: one thing at a time, since its queue is one."""


def finish_now() -> str:
    """End the run that is being trained after its next step, as a finished one; its name.

    Raises:
        TrainingError: nothing is being trained.
    """
    if _now is None:
        raise TrainingError("nothing is being trained right now.")
    _now.run.ask("finish")
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


def train(node: type[io.ComfyNode], job: Job, notes: Sequence[str]) -> io.NodeOutput:
    """Run the job to its end, or from where it stopped; `notes` are shown under the node with the run's own."""
    tokenizers = host.tokenizer_folders()
    trainer = Trainer(job, host.runs_folder(), device=host.device(), tokenizer_folders=tokenizers)
    _show_what_is_known(node, trainer, notes)
    if not trainer.run.is_finished:  # a finished run leaves ComfyUI's own models where they are
        work = host.Work("loading the base model")
        with host.machine_to_ourselves(work, _REMEDY), _known_as_now(trainer):
            _take_steps(node, trainer, notes, work)
    lora = trainer.result()
    curve = _curve(lora)
    shown = host.to_image([_with_samples(lora, curve)])
    verdict = trainer.verdict().lines
    _show_what_is_known(node, trainer, [*verdict, *notes])
    text = "\n".join(verdict)
    return io.NodeOutput(lora, host.to_image([curve]), str(lora.file), text, ui=ui.PreviewImage(shown, cls=node))


@contextmanager
def _known_as_now(trainer: Trainer) -> Iterator[None]:
    global _now
    _now = trainer
    try:
        yield
    finally:
        _now = None


def _show_what_is_known(node: type[io.ComfyNode], trainer: Trainer, notes: Sequence[str]) -> None:
    warnings = plan_warnings(trainer.plan, trainer.total_steps)
    host.show_lines(node, [trainer.size().line(), *notes, *warnings, *trainer.remarks])


def _take_steps(node: type[io.ComfyNode], trainer: Trainer, notes: Sequence[str], work: host.Work) -> None:
    progress = host.Progress()
    for preparation in trainer.prepare():
        work.stage = preparation.stage
        progress.reached(preparation.done, preparation.total)
    picture = RunPicture(list_samples(trainer.run_folder))
    told = 0

    def draw() -> Image.Image:
        return picture.draw(loss_chart(trainer.run.losses()))

    with closing(trainer.steps()) as steps:  # closing writes the state from which a stopped run goes on
        for report in steps:
            if len(trainer.remarks) > told:
                told = len(trainer.remarks)
                _show_what_is_known(node, trainer, notes)
            match report:
                case StepReport():
                    work.stage = "training"
                    progress.reached(report.step, report.total_steps, draw)
                case StageReport():
                    work.stage = report.stage
                    progress.reached(report.done, report.total, draw)
                case Sample():
                    picture.add(report)
    lora = trainer.result()
    progress.finish(_with_samples(lora, _curve(lora)))


def _with_samples(lora: TrainedLora, curve: Image.Image) -> Image.Image:
    return RunPicture(list_samples(lora.run_folder)).draw(curve)


def _curve(lora: TrainedLora) -> Image.Image:
    return loss_chart(lora.losses, epoch_steps=[saved.step for saved in lora.epochs], title=f"{lora.name}: loss")
