"""Train LoRA: the widgets become a plan, the plan becomes a LoRA."""

from comfy_api.latest import io

from ..trainer_core.dataset.types import Dataset
from ..trainer_core.job import Job
from ..trainer_core.training.plan import (
    AdapterPlan,
    AugmentPlan,
    CaptionPlan,
    EmaPlan,
    LossPlan,
    NetworkPlan,
    OptimizerPlan,
    PrecisionPlan,
    SamplePlan,
    SavingPlan,
    SchedulePlan,
    TextPlan,
    TrainingPlan,
    ValidationPlan,
)
from . import host
from .lost import count_lost
from .running import train, training_outputs
from .train_lora_inputs import train_lora_inputs
from .train_lora_rate_inputs import own_rate
from .types import NoiseAndLossPlans


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
            outputs=training_outputs(),
            hidden=[io.Hidden.unique_id, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def fingerprint_inputs(cls, name: str | None = None, **inputs: object) -> int:
        """A run that was deleted is trained again, by whom it may be; ComfyUI looks at the inputs itself, and has no
        value of one that is linked."""
        return count_lost(name)

    @classmethod
    def execute(
        cls, dataset: Dataset, base_model: str, name: str, epochs: int, batch_size: int, rank: int, alpha: float,
        learning_rate: float, unet_rate: float, text_encoder_rate: float, scheduler: str, cycles: int, optimizer: str,
        gradient_checkpointing: bool, steps: int, accumulation: int, warmup_steps: int, power: float, floor: float,
        decay_share: float, lora_plus_ratio: float, weight_decay: float, max_grad_norm: float, beta1: float,
        beta2: float, prodigy_d_coef: float, prodigy_d0: float, prodigy_bias_correction: bool,
        prior_loss_weight: float, masked_loss: bool, loss: str, huber_c: float, huber_schedule: str, flip: bool,
        clip_skip: int, longest_prompt: int, prompt_weights: bool, precision: str, save_precision: str,
        base_precision: str, checkpoint_every: int, offload: bool, compile: bool, cuda_graphs: bool, short_memory: str,
        ema_decay: float, ema_warm_up: bool, save_every_epochs: int, save_every_steps: int, keep_last: int,
        state_every_steps: int, seed: int, validate_every_epochs: int, held_out_share: float, two_prompts: bool,
        class_words: str, validation_seed: int, network: AdapterPlan | None = None,
        noise_and_loss: NoiseAndLossPlans | None = None, caption_options: CaptionPlan | None = None,
        samples: SamplePlan | None = None, devices: int = 1,
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
                unet_rate=own_rate(unet_rate),
                text_encoder_rate=own_rate(text_encoder_rate),
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
                training=precision,
                saving=save_precision,
                base=base_precision,
                gradient_checkpointing=gradient_checkpointing,
                checkpoint_every=checkpoint_every,
                offload=offload,
                compile=compile,
                cuda_graphs=cuda_graphs,
                short_memory=short_memory,
            ),
            ema=EmaPlan(decay=ema_decay, warm_up=ema_warm_up),
            samples=samples or SamplePlan(),
            saving=SavingPlan(
                every_epochs=save_every_epochs,
                every_steps=save_every_steps,
                keep_last=keep_last,
                state_every_steps=state_every_steps,
            ),
            validation=ValidationPlan(
                every_epochs=validate_every_epochs,
                held_out_share=held_out_share,
                two_prompts=two_prompts,
                seed=validation_seed,
                class_words=class_words.strip(),
            ),
        )
        job = Job(base_model=host.find_base_model(base_model), dataset=dataset, plan=plan, name=name)
        return train(cls, job, [], devices)
