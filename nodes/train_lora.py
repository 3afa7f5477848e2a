"""Train LoRA: the widgets become a plan, the plan becomes a LoRA."""

from contextlib import closing

from comfy_api.latest import io, ui
from PIL import Image

from ..trainer_core.dataset.types import Dataset
from ..trainer_core.job import Job
from ..trainer_core.training.loss_chart import loss_chart
from ..trainer_core.training.plan import (
    AdapterPlan,
    AugmentPlan,
    CaptionPlan,
    EmaPlan,
    LossPlan,
    NetworkPlan,
    OptimizerPlan,
    PrecisionPlan,
    SavingPlan,
    SchedulePlan,
    TextPlan,
    TrainingPlan,
)
from ..trainer_core.training.plan.advice import plan_warnings
from ..trainer_core.training.reports import TrainedLora
from ..trainer_core.training.trainer import Trainer
from . import host
from .train_lora_inputs import train_lora_inputs
from .types import LoraSocket, NoiseAndLossPlans

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
        cls, dataset: Dataset, base_model: str, name: str, epochs: int, batch_size: int, rank: int, alpha: float,
        learning_rate: float, unet_rate: float, text_encoder_rate: float, scheduler: str, cycles: int, optimizer: str,
        gradient_checkpointing: bool, steps: int, accumulation: int, warmup_steps: int, power: float, floor: float,
        decay_share: float, lora_plus_ratio: float, weight_decay: float, max_grad_norm: float, beta1: float,
        beta2: float, prodigy_d_coef: float, prodigy_d0: float, prodigy_bias_correction: bool,
        prior_loss_weight: float, masked_loss: bool, loss: str, huber_c: float, huber_schedule: str, flip: bool,
        clip_skip: int, longest_prompt: int, prompt_weights: bool, precision: str, save_precision: str,
        ema_decay: float, ema_warm_up: bool, save_every_epochs: int, save_every_steps: int, keep_last: int,
        state_every_steps: int, seed: int, network: AdapterPlan | None = None,
        noise_and_loss: NoiseAndLossPlans | None = None, caption_options: CaptionPlan | None = None,
    ) -> io.NodeOutput:  # fmt: skip
        noise_and_loss = noise_and_loss or NoiseAndLossPlans()
        plan = TrainingPlan(
            epochs=epochs,
            steps=steps,
            batch_size=batch_size,
            accumulation=accumulation,
            seed=seed,
            network=NetworkPlan(rank=rank, alpha=alpha),
            adapter=network or AdapterPlan(),
            optimizer=OptimizerPlan(
                name=optimizer,
                learning_rate=learning_rate,
                unet_rate=_own_rate(unet_rate),
                text_encoder_rate=_own_rate(text_encoder_rate),
                lora_plus_ratio=lora_plus_ratio,
                weight_decay=weight_decay,
                max_grad_norm=max_grad_norm,
                beta1=beta1 or None,  # 0 stands for the optimizer's own
                beta2=beta2 or None,
                prodigy_d_coef=prodigy_d_coef,
                prodigy_d0=prodigy_d0,
                prodigy_bias_correction=prodigy_bias_correction,
            ),
            schedule=SchedulePlan(
                name=scheduler,
                warmup_steps=warmup_steps,
                cycles=cycles,
                power=power,
                floor=floor,
                decay_share=decay_share,
            ),
            loss=LossPlan(
                prior_loss_weight=prior_loss_weight,
                masked=masked_loss,
                kind=loss,
                huber_c=huber_c,
                huber_schedule=huber_schedule,
            ),
            weighting=noise_and_loss.weighting,
            noise=noise_and_loss.noise,
            timesteps=noise_and_loss.timesteps,
            augment=AugmentPlan(flip=flip),
            captions=caption_options or CaptionPlan(),
            text=TextPlan(clip_skip=clip_skip, longest_prompt=longest_prompt, weights=prompt_weights),
            precision=PrecisionPlan(
                training=precision, saving=save_precision, gradient_checkpointing=gradient_checkpointing
            ),
            ema=EmaPlan(decay=ema_decay, warm_up=ema_warm_up),
            saving=SavingPlan(
                every_epochs=save_every_epochs,
                every_steps=save_every_steps,
                keep_last=keep_last,
                state_every_steps=state_every_steps,
            ),
        )
        job = Job(base_model=host.find_base_model(base_model), dataset=dataset, plan=plan, name=name)
        lora = _train(cls, job)
        curve = host.to_image([_curve(lora)])
        return io.NodeOutput(lora, curve, str(lora.file), ui=ui.PreviewImage(curve, cls=cls))


def _train(node: type[io.ComfyNode], job: Job) -> TrainedLora:
    tokenizers = host.tokenizer_folders()
    trainer = Trainer(job, host.runs_folder(), device=host.device(), tokenizer_folders=tokenizers)
    _show_what_is_known(node, trainer)
    if not trainer.run.is_finished:  # a finished run leaves ComfyUI's own models where they are
        work = host.Work("loading the base model")
        with host.machine_to_ourselves(work, _REMEDY):
            _take_steps(node, trainer, work)
    return trainer.result()


def _show_what_is_known(node: type[io.ComfyNode], trainer: Trainer) -> None:
    warnings = plan_warnings(trainer.plan, trainer.total_steps)
    host.show_lines(node, [trainer.size().line(), *warnings, *trainer.remarks])


def _take_steps(node: type[io.ComfyNode], trainer: Trainer, work: host.Work) -> None:
    progress = host.Progress()
    for preparation in trainer.prepare():
        work.stage = preparation.stage
        progress.reached(preparation.done, preparation.total)
    work.stage = "training"
    told = 0
    with closing(trainer.steps()) as steps:  # closing writes the state from which a stopped run goes on
        for report in steps:
            if len(trainer.remarks) > told:
                told = len(trainer.remarks)
                _show_what_is_known(node, trainer)
            progress.reached(report.step, report.total_steps, lambda: loss_chart(trainer.run.losses()))
    progress.finish(_curve(trainer.result()))


def _curve(lora: TrainedLora) -> Image.Image:
    return loss_chart(lora.losses, epoch_steps=[saved.step for saved in lora.epochs], title=f"{lora.name}: loss")


def _own_rate(rate: float) -> float | None:
    """The widget's -1 stands for the learning rate, which the plan writes as None."""
    return None if rate < 0 else rate
