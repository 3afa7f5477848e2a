"""Training again from a LoRA: the plan that its metadata holds, or what kohya's metadata tells of one."""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from pathlib import Path
from typing import Any

from ..errors import TrainingError
from ..kohya.importing import imported_plan
from ..kohya.options import Options
from ..lora.file import PLAN_KEY, read_header
from .plan import TrainingPlan

_SAME_NAMES = (
    "learning_rate unet_lr text_encoder_lr lr_scheduler lr_warmup_steps max_grad_norm gradient_accumulation_steps "
    "gradient_checkpointing network_module network_dim network_alpha network_dropout scale_weight_norms "
    "mixed_precision clip_skip max_token_length seed noise_offset noise_offset_random_strength "
    "multires_noise_iterations multires_noise_discount ip_noise_gamma ip_noise_gamma_random_strength "
    "adaptive_noise_scale zero_terminal_snr min_snr_gamma prior_loss_weight loss_type huber_schedule huber_scale "
    "huber_c flip_aug color_aug random_crop shuffle_caption keep_tokens caption_dropout_rate "
    "caption_dropout_every_n_epochs caption_tag_dropout_rate validation_split validation_seed "
    "validate_every_n_epochs max_train_steps v2 "
).split()
"""ss_ keys that are called like their option."""

_OTHER_NAMES = {
    "ss_debiased_estimation": "debiased_estimation_loss",
    "ss_num_epochs": "max_train_epochs",
    "ss_batch_size_per_device": "train_batch_size",
}


def plan_from_lora(path: Path) -> tuple[TrainingPlan, tuple[str, ...]]:
    """The plan that a LoRA was trained with, and remarks about what could not be taken over, a line each.

    A LoRA of this trainer holds its whole plan; files that the plan names are in it by name only. Of a LoRA of kohya's
    sd-scripts the plan is put together from its ss_* keys.

    Raises:
        TrainingError: not a .safetensors file, or its metadata tells nothing of its training.
    """
    metadata, names = read_header(path)
    if PLAN_KEY in metadata:
        return _own_plan(metadata[PLAN_KEY], path)
    if "ss_network_dim" in metadata:
        return _kohya_plan(metadata, names)
    raise TrainingError(
        f"{path.name} does not say how it was trained. Choose a LoRA with its metadata, or set the plan by hand."
    )


def _own_plan(text: str, path: Path) -> tuple[TrainingPlan, tuple[str, ...]]:
    try:
        value = json.loads(text)
    except ValueError as problem:
        raise TrainingError(f"the plan in {path.name} is damaged: {problem}. Set the plan by hand.") from problem
    remarks: list[str] = []
    plan = TrainingPlan.from_json(_known_fields(TrainingPlan, value, "", remarks))
    for field in ("start_from", "merge_first"):
        if names := getattr(plan.adapter, field):
            remarks.append(f"adapter.{field} is {names!r}: a LoRA names no folders, so check that it is the one meant")
    return plan, tuple(remarks)


def _known_fields(cls: type, value: Any, where: str, remarks: list[str]) -> Any:
    """`value` without what this version's plan does not have, such as settings of a newer one."""
    if not isinstance(value, dict):
        return value
    known, kept = typing.get_type_hints(cls), {}
    for name, entry in value.items():
        place = f"{where}{name}"
        if name not in known:
            remarks.append(f"{place} is not known here and is left out")
        elif dataclasses.is_dataclass(known[name]):
            kept[name] = _known_fields(known[name], entry, f"{place}.", remarks)
        else:
            kept[name] = entry
    return kept


def _kohya_plan(metadata: dict[str, str], names: list[str]) -> tuple[TrainingPlan, tuple[str, ...]]:
    given: dict[str, Any] = {name: metadata[f"ss_{name}"] for name in _SAME_NAMES if f"ss_{name}" in metadata}
    given |= {option: metadata[key] for key, option in _OTHER_NAMES.items() if key in metadata}
    given["save_precision"] = "fp16"
    given |= _optimizer(metadata.get("ss_optimizer", ""))
    if arguments := _json(metadata.get("ss_network_args")):
        given["network_args"] = [f"{name}={value}" for name, value in arguments.items()]
    if not any(name.startswith("lora_te") for name in names):
        given["network_train_unet_only"] = True
    if datasets := _json(metadata.get("ss_datasets")):
        given |= _of_first_dataset(datasets[0])
    options = Options(given)
    plan = TrainingPlan.from_json(imported_plan(options))
    return plan, (
        "put together from kohya's metadata, which does not hold everything; saved as fp16",
        *options.unsupported,
        *options.notes,
    )


def _optimizer(text: str) -> dict[str, Any]:
    """ "bitsandbytes.optim.adamw.AdamW8bit(weight_decay=0.1,betas=(0.9, 0.99))" -> its name and its arguments."""
    name, _, arguments = text.partition("(")
    if not name:
        return {}
    pairs = re.findall(r"(\w+)=(\([^)]*\)|\[[^\]]*\]|[^,()]+)", arguments)
    return {"optimizer_type": name, "optimizer_args": [f"{key}={value}" for key, value in pairs]}


def _of_first_dataset(dataset: dict[str, Any]) -> dict[str, Any]:
    """What sd-scripts write here instead of under ss_ keys, where a dataset config was used."""
    subset = next((entry for entry in dataset.get("subsets", []) if not entry.get("is_reg")), {})
    names = ("shuffle_caption", "keep_tokens", "keep_tokens_separator", "enable_wildcard", "flip_aug")
    found = {name: subset[name] for name in names if subset.get(name)}
    return found | {"train_batch_size": dataset.get("batch_size_per_device", 1)}


def _json(text: str | None) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None
