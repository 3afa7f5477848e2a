"""The ss_* keys that sd-scripts write into a LoRA, from a plan and a dataset.

The names and the forms of the values are those of sd-scripts' train_network.py, which programs that read LoRAs expect.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from ..dataset.types import Dataset, DatasetImage
from ..training.plan import AdapterPlan, OptimizerPlan, TrainingPlan

_OPTIMIZER_CLASSES = {
    "AdamW": "torch.optim.adamw.AdamW",
    "AdamW8bit": "bitsandbytes.optim.adamw.AdamW8bit",
    "Lion": "lion_pytorch.lion_pytorch.Lion",
    "Lion8bit": "bitsandbytes.optim.lion.Lion8bit",
    "Prodigy": "prodigyopt.prodigy.Prodigy",
    "Adafactor": "transformers.optimization.Adafactor",
    "AdamWScheduleFree": "schedulefree.adamw_schedulefree.AdamWScheduleFree",
    "CAME": "pytorch_optimizer.CAME",
}
_ALGORITHMS = {"dora": "lora", "loha": "loha", "lokr": "lokr", "oft": "diag-oft"}
_PRESETS = {"attention and mlp": "attn-mlp", "attention": "attn-only", "with convolutions": "full"}
_SCHEDULES = {"wsd": "warmup_stable_decay"}
_ARITHMETIC = {"fp32": "no"}


def plan_keys(plan: TrainingPlan, arithmetic: str, *, zero_terminal_snr: bool) -> dict[str, Any]:
    """What kohya's metadata says of the settings. `arithmetic`: the format that was trained in, never "auto"."""
    return {
        **_network_keys(plan),
        **_rate_keys(plan),
        **_loss_keys(plan, zero_terminal_snr),
        **_caption_keys(plan),
        **_validation_keys(plan),
        "ss_mixed_precision": _ARITHMETIC.get(arithmetic, arithmetic),
        "ss_full_fp16": False,
        "ss_fp8_base": False,
        "ss_fp8_base_unet": plan.precision.base == "fp8",
        "ss_lowram": False,
        "ss_gradient_checkpointing": plan.precision.gradient_checkpointing,
        "ss_gradient_accumulation_steps": plan.accumulation,
        "ss_batch_size_per_device": plan.batch_size,
        "ss_total_batch_size": plan.batch_size * plan.accumulation,
        "ss_clip_skip": plan.text.clip_skip,
        "ss_max_token_length": None if plan.text.longest_prompt == 75 else plan.text.longest_prompt,
        "ss_flip_aug": plan.augment.flip,
        "ss_color_aug": False,
        "ss_random_crop": False,
        "ss_face_crop_aug_range": None,
        "ss_resize_interpolation": None,
        "ss_cache_latents": True,
        "ss_seed": plan.seed,
    }


def dataset_keys(dataset: Dataset) -> dict[str, Any]:
    """What kohya's metadata says of the pictures; folders by name only, never by path."""
    training, regularisation = dataset.training_images, dataset.regularisation_images
    shapes = {image.bucket for image in dataset.images}
    has_buckets = len(shapes) > 1
    return {
        "ss_num_train_images": sum(image.repeats for image in training),
        "ss_num_reg_images": sum(image.repeats for image in regularisation),
        "ss_resolution": str(training_size(dataset)),
        "ss_enable_bucket": has_buckets,
        "ss_bucket_no_upscale": False,
        "ss_min_bucket_reso": min(min(shape) for shape in shapes) if has_buckets else None,
        "ss_max_bucket_reso": max(max(shape) for shape in shapes) if has_buckets else None,
        "ss_bucket_info": json.dumps(_bucket_info(dataset.images) if has_buckets else None),
        "ss_dataset_dirs": json.dumps(_folders(training), ensure_ascii=False),
        "ss_reg_dataset_dirs": json.dumps(_folders(regularisation), ensure_ascii=False),
        "ss_tag_frequency": json.dumps(_tag_frequency(training), ensure_ascii=False),
    }


def training_size(dataset: Dataset) -> tuple[int, int]:
    """(width, height) in pixels of most training pictures."""
    shapes = Counter(image.bucket for image in dataset.training_images)
    return max(shapes, key=shapes.__getitem__)


def network_arguments(adapter: AdapterPlan) -> dict[str, str]:
    """kohya's network_args: what its network modules take beside rank, alpha and dropout."""
    found: dict[str, Any] = {}
    if adapter.kind != "lora":
        found["algo"] = _ALGORITHMS[adapter.kind]
        found["preset"] = _PRESETS[adapter.targets]
    if adapter.kind == "dora":
        found["dora_wd"] = True
    if adapter.kind == "lokr":
        found["factor"] = adapter.lokr_factor or -1
    if adapter.targets == "with convolutions":
        found |= {"conv_dim": adapter.conv_rank, "conv_alpha": adapter.conv_alpha}
    for name in ("rank_dropout", "module_dropout"):
        if chance := getattr(adapter, name):
            found[name] = chance
    if adapter.rank_stabilised:
        found["rs_lora"] = True
    return {name: str(value) for name, value in found.items()}


def _network_keys(plan: TrainingPlan) -> dict[str, Any]:
    adapter = plan.adapter
    arguments = network_arguments(adapter)
    if plan.optimizer.lora_plus_ratio != 1:
        arguments["loraplus_lr_ratio"] = str(plan.optimizer.lora_plus_ratio)
    return {
        "ss_network_module": "networks.lora" if adapter.kind == "lora" else "lycoris.kohya",
        "ss_network_dim": plan.network.rank,
        "ss_network_alpha": plan.network.alpha,
        "ss_network_dropout": adapter.dropout or None,
        "ss_scale_weight_norms": adapter.max_norm or None,
        **({"ss_network_args": json.dumps(arguments)} if arguments else {}),
    }


def _rate_keys(plan: TrainingPlan) -> dict[str, Any]:
    return {
        "ss_learning_rate": plan.optimizer.learning_rate,
        "ss_unet_lr": plan.optimizer.rate_of_unet,
        "ss_text_encoder_lr": plan.optimizer.rate_of_text_encoder,
        "ss_optimizer": _optimizer_text(plan.optimizer),
        "ss_lr_scheduler": _SCHEDULES.get(plan.schedule.name, plan.schedule.name),
        "ss_lr_warmup_steps": plan.schedule.warmup_steps,
        "ss_max_grad_norm": plan.optimizer.max_grad_norm,
        "ss_num_epochs": plan.epochs,
    }


def _optimizer_text(plan: OptimizerPlan) -> str:
    """kohya's form: the class with its module, then its arguments."""
    arguments: dict[str, Any] = {"weight_decay": plan.weight_decay}
    if plan.beta1 is not None and plan.beta2 is not None:
        arguments["betas"] = (plan.beta1, plan.beta2)
    if plan.name == "Prodigy":
        arguments |= {"d_coef": plan.prodigy_d_coef, "d0": plan.prodigy_d0}
        arguments["use_bias_correction"] = plan.prodigy_bias_correction
    text = ",".join(f"{name}={value}" for name, value in arguments.items())
    return f"{_OPTIMIZER_CLASSES[plan.name]}({text})"


def _loss_keys(plan: TrainingPlan, zero_terminal_snr: bool) -> dict[str, Any]:
    noise, loss = plan.noise, plan.loss
    return {
        "ss_noise_offset": noise.offset or None,
        "ss_noise_offset_random_strength": noise.offset_random,
        "ss_adaptive_noise_scale": None,
        "ss_multires_noise_iterations": noise.multires_iterations or None,
        "ss_multires_noise_discount": noise.multires_discount,
        "ss_ip_noise_gamma": noise.perturbation or None,
        "ss_ip_noise_gamma_random_strength": noise.perturbation_random,
        "ss_zero_terminal_snr": zero_terminal_snr,
        "ss_min_snr_gamma": plan.weighting.min_snr_gamma or None,
        "ss_debiased_estimation": plan.weighting.debiased,
        "ss_prior_loss_weight": loss.prior_loss_weight,
        "ss_loss_type": loss.kind,
        "ss_huber_schedule": loss.huber_schedule,
        "ss_huber_scale": 1.0,
        "ss_huber_c": loss.huber_c,
    }


def _caption_keys(plan: TrainingPlan) -> dict[str, Any]:
    return {
        "ss_shuffle_caption": plan.captions.shuffle,
        "ss_keep_tokens": plan.captions.keep_first,
        "ss_caption_dropout_rate": plan.captions.caption_dropout,
        "ss_caption_dropout_every_n_epochs": 0,
        "ss_caption_tag_dropout_rate": plan.captions.tag_dropout,
    }


def _validation_keys(plan: TrainingPlan) -> dict[str, Any]:
    return {
        "ss_validation_split": plan.validation.held_out_share,
        "ss_validation_seed": plan.validation.seed,
        "ss_validate_every_n_epochs": plan.validation.every_epochs or None,
        "ss_validate_every_n_steps": None,
        "ss_max_validation_steps": None,
    }


def _bucket_info(images: tuple[DatasetImage, ...]) -> dict[str, Any]:
    """Pictures in each bucket, repeats included, and how far the buckets' shapes are from the pictures' on average."""
    counts: Counter[tuple[int, int]] = Counter()
    for image in images:
        counts[image.bucket] += image.repeats
    errors = [abs(image.bucket[0] / image.bucket[1] - image.width / image.height) for image in images]
    return {
        "buckets": {str(i): {"resolution": list(b), "count": n} for i, (b, n) in enumerate(sorted(counts.items()))},
        "mean_img_ar_error": sum(errors) / len(errors),
    }


def _folders(images: tuple[DatasetImage, ...]) -> dict[str, dict[str, int]]:
    counts = Counter((image.path.parent.name, image.repeats) for image in images)
    return {name: {"n_repeats": repeats, "img_count": count} for (name, repeats), count in sorted(counts.items())}


def _tag_frequency(images: tuple[DatasetImage, ...]) -> dict[str, dict[str, int]]:
    """What stands between commas, in small letters, counted for each folder: kohya makes no exception for sentences."""
    counts: dict[str, Counter[str]] = {}
    for image in images:
        tags = (tag.strip().lower() for tag in image.caption.split(","))
        counts.setdefault(image.path.parent.name, Counter()).update(tag for tag in tags if tag)
    return {name: dict(counter.most_common()) for name, counter in sorted(counts.items())}
