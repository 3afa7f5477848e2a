"""The rare widgets of Train LoRA: loss, pictures, captions, number formats, averaging, saving, chance."""

from comfy_api.latest import io

from ..trainer_core.training.plan import LossPlan, PrecisionPlan
from .choices import choices


def train_lora_advanced_inputs() -> list[io.Input]:
    return [
        *_loss_inputs(),
        *_picture_and_text_inputs(),
        *_precision_inputs(),
        *_average_inputs(),
        *_saving_inputs(),
        *_chance_inputs(),
    ]


def _loss_inputs() -> list[io.Input]:
    return [
        io.Float.Input(
            "prior_loss_weight",
            default=1.0,
            min=0.0,
            max=100.0,
            step=0.05,
            advanced=True,
            tooltip="How much regularisation pictures count against training pictures. 1: the same. Lower "
            "it if the subject comes out too weak. Without such pictures it does nothing.",
        ),
        io.Boolean.Input(
            "masked_loss",
            default=False,
            advanced=True,
            tooltip="On: only what a picture's mask shows is learned; masks come from Smart Crop, transparency or "
            "files. Pictures without a mask count whole. Turn it on where backgrounds creep in.",
        ),
        io.Combo.Input(
            "loss",
            options=choices(LossPlan, "kind"),
            default="l2",
            advanced=True,
            tooltip="How an error counts. l2: by its square, the usual loss. huber and smooth_l1: large errors count "
            "less, so odd pictures and stray marks in a set pull less.",
        ),
        io.Float.Input(
            "huber_c",
            default=0.1,
            min=0.001,
            max=1.0,
            step=0.01,
            round=0.001,
            advanced=True,
            tooltip="Only huber, smooth_l1: where large errors begin, 0.001 to 1. Lower forgives more; 0.1 is usual.",
        ),
        io.Combo.Input(
            "huber_schedule",
            options=choices(LossPlan, "huber_schedule"),
            default="snr",
            advanced=True,
            tooltip="Only huber and smooth_l1: how huber_c follows the noise. snr and exponential keep the plain loss "
            "for fine detail; constant uses huber_c everywhere.",
        ),
    ]


def _picture_and_text_inputs() -> list[io.Input]:
    return [
        io.Boolean.Input(
            "flip",
            default=False,
            advanced=True,
            tooltip="On: pictures are shown mirrored half of the time, which doubles a small set. Leave it off where "
            "left and right differ: a parting, a scar, text.",
        ),
        io.Int.Input(
            "clip_skip",
            default=1,
            min=1,
            max=12,
            advanced=True,
            tooltip="Layer of the SD1.5 text encoder that is read, counted from the end, 1 to 12. 1 for "
            "photo models, 2 for anime models. SDXL does not use it.",
        ),
        io.Int.Input(
            "longest_prompt",
            default=75,
            min=75,
            max=225,
            step=75,
            advanced=True,
            tooltip="Tokens of a caption that are read: 75, 150 or 225. Raise it where a report says that tags are cut "
            "off; each further 75 cost time.",
        ),
        io.Boolean.Input(
            "prompt_weights",
            default=False,
            advanced=True,
            tooltip="On: (word:1.2) in a caption weighs as in ComfyUI's prompts. Off: brackets are text, as in booru "
            "tags with a series behind the name.",
        ),
    ]


def _precision_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "precision",
            options=choices(PrecisionPlan, "training"),
            default="auto",
            advanced=True,
            tooltip="Number format of the base model. auto: bf16, fp16 on older GPUs, fp32 on a CPU. The "
            "LoRA itself is always trained in fp32. Choose fp32 if the loss turns into nan.",
        ),
        io.Combo.Input(
            "save_precision",
            options=choices(PrecisionPlan, "saving"),
            default="fp16",
            advanced=True,
            tooltip="Number format of the saved file. fp16 is read everywhere; fp32 is twice as large.",
        ),
        io.Combo.Input(
            "base_precision",
            options=choices(PrecisionPlan, "base"),
            default="full",
            advanced=True,
            tooltip="How the base model's frozen weights are kept. full: as precision says. fp8, int8: half of 16 "
            "bits, a little slower. nf4: about a quarter, less exact. Choose fp8 where SDXL does not fit.",
        ),
        io.Int.Input(
            "checkpoint_every",
            default=1,
            min=1,
            max=64,
            advanced=True,
            tooltip="With gradient_checkpointing: every how many blocks are computed twice, 1 to 64. 1 saves most "
            "memory; 2 saves about half as much in half the extra time.",
        ),
        io.Boolean.Input(
            "offload",
            default=False,
            advanced=True,
            tooltip="Keep the base model's blocks in the computer's memory and send each to the GPU as it is used. The "
            "same LoRA with a few GB less, slower. For SDXL on 6 to 8 GB; on a CPU it does nothing.",
        ),
        io.Boolean.Input(
            "compile",
            default=False,
            advanced=True,
            tooltip="Compile the base model's transformer blocks on a GPU, for faster steps. One block is tried first: "
            "nothing is compiled where its gradients are less exact or the run too short to make up for the wait.",
        ),
        io.Boolean.Input(
            "cuda_graphs",
            default=True,
            advanced=True,
            tooltip="Let the GPU repeat recorded steps (CUDA graphs): up to several times as fast where batches are "
            "small. They are compared with plain ones first. Not with module dropout or offloading.",
        ),
        io.Combo.Input(
            "short_memory",
            options=choices(PrecisionPlan, "short_memory"),
            default="refuse",
            advanced=True,
            tooltip="Where a step would not fit into free memory. refuse: stop at once and say what would help. "
            "reduce: checkpointing, batches in parts, offloading, then a smaller base model, as far as needed. "
            "try: train as set.",
        ),
    ]


def _average_inputs() -> list[io.Input]:
    return [
        io.Float.Input(
            "ema_decay",
            default=0.0,
            min=0.0,
            max=0.9999,
            step=0.0001,
            advanced=True,
            tooltip="Keeps an average (EMA) over about the last 1 / (1 - ema_decay) steps instead of the last weights, "
            "up to 0.9999. 0.99 to 0.999 evens out high rates and small batches. 0: off.",
        ),
        io.Boolean.Input(
            "ema_warm_up",
            default=True,
            advanced=True,
            tooltip="On: the average starts short and grows, so that a short run's LoRA does not remember its "
            "untrained start. Leave it on.",
        ),
    ]


def _saving_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "save_every_epochs",
            default=1,
            min=0,
            max=10_000,
            advanced=True,
            tooltip="Keep a LoRA after every so many epochs, to choose from in Save LoRA. 0: only the last.",
        ),
        io.Int.Input(
            "save_every_steps",
            default=0,
            min=0,
            max=1_000_000,
            advanced=True,
            tooltip="Keep a LoRA after every so many steps as well. 0: only by epochs.",
        ),
        io.Int.Input(
            "keep_last",
            default=0,
            min=0,
            max=10_000,
            advanced=True,
            tooltip="Of the LoRAs kept on the way, only the newest so many stay on disk, and the best by held-out "
            "pictures; others are deleted. 0: all stay.",
        ),
        io.Int.Input(
            "state_every_steps",
            default=100,
            min=0,
            max=100_000,
            advanced=True,
            tooltip="Write what is needed to go on after a crash every so many steps. 0: only when a LoRA "
            "is kept or the run is stopped.",
        ),
    ]


def _chance_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=2**53 - 1,
            control_after_generate=False,
            advanced=True,
            tooltip="Start of all chance in the run. The same seed and settings give the same LoRA. Change "
            "it to try your luck again.",
        ),
    ]
