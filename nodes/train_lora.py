"""Train LoRA: the widgets become a plan, the plan becomes a LoRA."""

from contextlib import closing

from comfy_api.latest import io, ui
from PIL import Image

from ..trainer_core.dataset.types import Dataset
from ..trainer_core.job import Job
from ..trainer_core.training.loss_chart import loss_chart
from ..trainer_core.training.plan import (
    AugmentPlan,
    LossPlan,
    NetworkPlan,
    OptimizerPlan,
    PrecisionPlan,
    SavingPlan,
    SchedulePlan,
    TextPlan,
    TrainingPlan,
)
from ..trainer_core.training.reports import TrainedLora
from ..trainer_core.training.trainer import Trainer
from . import host
from .train_lora_inputs import train_lora_inputs
from .types import LoraSocket

_REMEDY = (
    "Turn gradient_checkpointing on, lower batch_size, crop to fewer pixels in Smart Crop, "
    "or set text_encoder_rate to 0."
)


class TrainLora(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoraAtelierTrainLora",
            display_name="Train LoRA",
            category="LoRA Atelier",
            description="Trains a LoRA on the dataset. Stop it and run it again: it goes on where it "
            "stopped. Run a finished training again: it answers at once.",
            search_aliases=[
                "train",
                "lora training",
                "finetune",
                "kohya",
                "dreambooth",
                "训练",
                "训练LoRA",
                "炼丹",
                "微调",
                "訓練",
                "訓練LoRA",
            ],
            is_output_node=True,
            inputs=train_lora_inputs(),
            outputs=[
                LoraSocket.Output("lora", tooltip="The trained LoRA, for Save LoRA and Preview Sample."),
                io.Image.Output(
                    "loss_curve",
                    tooltip="The loss of every step. It should fall, then flatten.",
                ),
                io.String.Output("path", tooltip="The file of the last epoch's LoRA."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, dataset: Dataset, base_model: str, name: str, epochs: int, batch_size: int, rank: int,
        alpha: float, learning_rate: float, unet_rate: float, text_encoder_rate: float, scheduler: str,
        warmup_steps: int, optimizer: str, weight_decay: float, max_grad_norm: float,
        prior_loss_weight: float, masked_loss: bool, flip: bool, clip_skip: int, precision: str, save_precision: str,
        gradient_checkpointing: bool, save_every_epochs: int, state_every_steps: int, seed: int,
    ) -> io.NodeOutput:  # fmt: skip
        plan = TrainingPlan(
            epochs=epochs,
            batch_size=batch_size,
            seed=seed,
            network=NetworkPlan(rank=rank, alpha=alpha),
            optimizer=OptimizerPlan(
                name=optimizer,
                learning_rate=learning_rate,
                unet_rate=_own_rate(unet_rate),
                text_encoder_rate=_own_rate(text_encoder_rate),
                weight_decay=weight_decay,
                max_grad_norm=max_grad_norm,
            ),
            schedule=SchedulePlan(name=scheduler, warmup_steps=warmup_steps),
            loss=LossPlan(prior_loss_weight=prior_loss_weight, masked=masked_loss),
            augment=AugmentPlan(flip=flip),
            text=TextPlan(clip_skip=clip_skip),
            precision=PrecisionPlan(
                training=precision, saving=save_precision, gradient_checkpointing=gradient_checkpointing
            ),
            saving=SavingPlan(every_epochs=save_every_epochs, state_every_steps=state_every_steps),
        )
        job = Job(base_model=host.find_base_model(base_model), dataset=dataset, plan=plan, name=name)
        lora = _train(cls, job)
        curve = host.to_image([_curve(lora)])
        return io.NodeOutput(lora, curve, str(lora.file), ui=ui.PreviewImage(curve, cls=cls))


def _train(node: type[io.ComfyNode], job: Job) -> TrainedLora:
    tokenizers = host.tokenizer_folders()
    trainer = Trainer(job, host.runs_folder(), device=host.device(), tokenizer_folders=tokenizers)
    host.show_lines(node, [trainer.size().line()])
    if not trainer.run.is_finished:  # a finished run leaves ComfyUI's own models where they are
        work = host.Work("loading the base model")
        with host.machine_to_ourselves(work, _REMEDY):
            _take_steps(trainer, work)
    return trainer.result()


def _take_steps(trainer: Trainer, work: host.Work) -> None:
    progress = host.Progress()
    for preparation in trainer.prepare():
        work.stage = preparation.stage
        progress.reached(preparation.done, preparation.total)
    work.stage = "training"
    with closing(trainer.steps()) as steps:  # closing writes the state from which a stopped run goes on
        for report in steps:
            progress.reached(report.step, report.total_steps, lambda: loss_chart(trainer.run.losses()))
    progress.finish(_curve(trainer.result()))


def _curve(lora: TrainedLora) -> Image.Image:
    return loss_chart(lora.losses, epoch_steps=[saved.step for saved in lora.epochs], title=f"{lora.name}: loss")


def _own_rate(rate: float) -> float | None:
    """The widget's -1 stands for the learning rate, which the plan writes as None."""
    return None if rate < 0 else rate
