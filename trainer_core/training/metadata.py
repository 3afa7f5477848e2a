"""What a LoRA says of itself: kohya's ss_* keys, modelspec's, and the whole plan, so that it can be made again.

No times, paths, user or host names: the same job gives the same bytes, and sharing a LoRA tells nothing of where
it was made.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from ..dataset.types import Dataset, DatasetImage
from ..families.base_model import BaseModel
from ..lora.file import PLAN_KEY
from ..tagging.captions import split_tags
from .plan import TrainingPlan


def lora_metadata(
    *,
    name: str,
    family: type[BaseModel],
    prediction_type: str,
    plan: TrainingPlan,
    dataset: Dataset,
    base_model: Path,
    base_identity: str,
    epoch: int,
    step: int,
    total_steps: int,
    batches_per_epoch: int,
) -> dict[str, str]:
    """Metadata of a LoRA after `epoch` epochs and `step` steps; every value is text."""
    values: dict[str, Any] = {
        "ss_output_name": name,
        "ss_sd_model_name": base_model.name,
        "ss_new_sd_model_hash": base_identity,
        "ss_base_model_version": family.kohya_version,
        "ss_v2": False,
        "ss_epoch": epoch,
        "ss_steps": step,
        "ss_max_train_steps": total_steps,
        "ss_num_batches_per_epoch": batches_per_epoch,
        **_plan_keys(plan),
        **_dataset_keys(dataset, plan),
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": family.architecture,
        "modelspec.implementation": family.implementation,
        "modelspec.title": name,
        "modelspec.resolution": _resolution(dataset),
        "modelspec.prediction_type": "v" if prediction_type == "v_prediction" else "epsilon",
        PLAN_KEY: json.dumps(plan.to_json(), sort_keys=True),
        "lora_atelier.dataset": dataset.fingerprint(),
    }
    if dataset.trigger_words:
        values["modelspec.trigger_phrase"] = ", ".join(dataset.trigger_words)
    return {key: value if isinstance(value, str) else str(value) for key, value in values.items()}


def _plan_keys(plan: TrainingPlan) -> dict[str, Any]:
    optimizer, network = plan.optimizer, plan.network
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": network.rank,
        "ss_network_alpha": network.alpha,
        "ss_learning_rate": optimizer.learning_rate,
        "ss_unet_lr": optimizer.rate_of_unet,
        "ss_text_encoder_lr": optimizer.rate_of_text_encoder,
        "ss_optimizer": f"torch.optim.{optimizer.name}(weight_decay={optimizer.weight_decay})",
        "ss_lr_scheduler": plan.schedule.name,
        "ss_lr_warmup_steps": plan.schedule.warmup_steps,
        "ss_max_grad_norm": optimizer.max_grad_norm,
        "ss_mixed_precision": plan.precision.training,
        "ss_gradient_checkpointing": plan.precision.gradient_checkpointing,
        "ss_clip_skip": plan.text.clip_skip,
        "ss_flip_aug": plan.augment.flip,
        "ss_prior_loss_weight": plan.loss.prior_loss_weight,
        "ss_num_epochs": plan.epochs,
        "ss_seed": plan.seed,
    }


def _dataset_keys(dataset: Dataset, plan: TrainingPlan) -> dict[str, Any]:
    training, regularisation = dataset.training_images, dataset.regularisation_images
    buckets = Counter(image.bucket for image in training)
    table = {str(i): {"resolution": list(b), "count": n} for i, (b, n) in enumerate(sorted(buckets.items()))}
    return {
        "ss_num_train_images": sum(image.repeats for image in training),
        "ss_num_reg_images": sum(image.repeats for image in regularisation),
        "ss_batch_size_per_device": plan.batch_size,
        "ss_total_batch_size": plan.batch_size,
        "ss_enable_bucket": len(buckets) > 1,
        "ss_bucket_info": json.dumps({"buckets": table}),
        "ss_resolution": str(max(buckets, key=buckets.__getitem__)),
        "ss_dataset_dirs": json.dumps(_folders(training), ensure_ascii=False),
        "ss_reg_dataset_dirs": json.dumps(_folders(regularisation), ensure_ascii=False),
        "ss_tag_frequency": json.dumps(_tag_frequency(training), ensure_ascii=False),
    }


def _folders(images: tuple[DatasetImage, ...]) -> dict[str, dict[str, int]]:
    """kohya's table of folders, by name only."""
    counts = Counter((image.path.parent.name, image.repeats) for image in images)
    return {name: {"n_repeats": repeats, "img_count": count} for (name, repeats), count in sorted(counts.items())}


def _tag_frequency(images: tuple[DatasetImage, ...]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for image in images:
        counts.setdefault(image.path.parent.name, Counter()).update(split_tags(image.caption))
    return {name: dict(counter.most_common()) for name, counter in sorted(counts.items())}


def _resolution(dataset: Dataset) -> str:
    buckets = Counter(image.bucket for image in dataset.training_images)
    width, height = max(buckets, key=buckets.__getitem__)
    return f"{width}x{height}"
