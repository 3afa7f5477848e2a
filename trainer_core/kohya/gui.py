"""Settings that bmaltais' kohya_ss GUI saves as JSON -> options by sd-scripts' names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import TrainingError
from .arguments import read_command

_NAMES = {
    "optimizer": "optimizer_type",
    "max_resolution": "resolution",
    "lora_network_weights": "network_weights",
}
"""Names of the GUI that differ from the option's."""

_NETWORKS = {
    "Standard": ("networks.lora", {}),
    "Kohya LoCon": ("networks.lora", {}),
    "LoRA-FA": ("networks.lora_fa", {}),
    "Kohya DyLoRA": ("networks.dylora", {}),
    "LyCORIS/LoCon": ("lycoris.kohya", {"algo": "locon"}),
    "LyCORIS/LoHa": ("lycoris.kohya", {"algo": "loha"}),
    "LyCORIS/LoKr": ("lycoris.kohya", {"algo": "lokr"}),
    "LyCORIS/Diag-OFT": ("lycoris.kohya", {"algo": "diag-oft"}),
    "LyCORIS/DyLoRA": ("lycoris.kohya", {"algo": "dylora"}),
    "LyCORIS/iA3": ("lycoris.kohya", {"algo": "ia3"}),
}
_NETWORK_ARGUMENTS = (
    "down_lr_weight", "mid_lr_weight", "up_lr_weight", "block_lr_zero_threshold", "block_dims", "block_alphas",
    "conv_block_dims", "conv_block_alphas", "rank_dropout", "module_dropout", "constrain",
    "loraplus_lr_ratio", "loraplus_unet_lr_ratio", "loraplus_text_encoder_lr_ratio",
)  # fmt: skip
_OF_LYCORIS = ("factor", "decompose_both", "use_tucker", "use_scalar", "train_norm", "dora_wd", "bypass_mode")
_OF_THE_GUI = frozenset(
    "LoRA_type LyCORIS_preset epoch lr_warmup sdxl optimizer_args additional_parameters noise_offset_type conv_dim "
    "conv_alpha unit xformers model_list extra_accelerate_launch_args num_processes num_machines "
    "num_cpu_threads_per_process multi_gpu gpu_ids main_process_port dynamo_mode dynamo_use_dynamic "
    "dynamo_use_fullgraph use_wandb".split()
)
"""Fields that are no options of sd-scripts: read below, or about how the GUI starts it."""
_LISTS = ("optimizer_args", "text_encoder_lr", "base_weights_multiplier")
"""Fields whose text is several words."""


def is_gui(value: Mapping[str, Any]) -> bool:
    return "LoRA_type" in value or ("max_resolution" in value and "train_data_dir" in value)


def options_of_gui(value: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a saved GUI setting. The GUI saves every field, so an empty one, 0 or off means that it is not set.

    Raises:
        TrainingError: a kind of LoRA that is not known.
    """
    known = {*_OF_THE_GUI, *_NETWORK_ARGUMENTS, *_OF_LYCORIS}
    options = {_NAMES.get(name, name): entry for name, entry in value.items() if name not in known}
    options = {name: entry for name, entry in options.items() if _is_set(entry)}
    options |= _amount(value) | _parts(value) | _network(value)
    options["script"] = "sdxl_train_network.py" if value.get("sdxl") else "train_network.py"
    options |= {name: str(value[name]).split() for name in _LISTS if _is_set(value.get(name))}
    if value.get("noise_offset_type") == "Original":
        options.pop("multires_noise_iterations", None)
    elif value.get("noise_offset_type") == "Multires":
        options.pop("noise_offset", None)
    more = str(value.get("additional_parameters", "")).strip()
    return options | (read_command(more) if more else {})


def _amount(value: Mapping[str, Any]) -> dict[str, Any]:
    """The GUI's epochs count where neither of sd-scripts' own two limits is set."""
    options: dict[str, Any] = {}
    if not _is_set(value.get("max_train_epochs")) and not _is_set(value.get("max_train_steps")):
        options["max_train_epochs"] = value.get("epoch", 1)
    if value.get("lr_scheduler") == "cosine_with_restarts" and not _is_set(value.get("lr_scheduler_num_cycles")):
        options["lr_scheduler_num_cycles"] = value.get("epoch", 1)
    if not _is_set(value.get("lr_warmup_steps")) and _is_set(value.get("lr_warmup")):
        options["lr_warmup_steps"] = f"{value['lr_warmup']}%"
    return options


def _parts(value: Mapping[str, Any]) -> dict[str, Any]:
    """Where only one part has a rate, the GUI trains that one alone."""
    rates = [value.get(name) for name in ("unet_lr", "text_encoder_lr")]
    if None in rates or _is_set(rates[0]) == _is_set(rates[1]):
        return {}
    return {"network_train_unet_only" if _is_set(rates[0]) else "network_train_text_encoder_only": True}


def _network(value: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(value.get("LoRA_type", "Standard"))
    if kind not in _NETWORKS:
        raise TrainingError(
            f"the GUI's LoRA type {kind!r} cannot be imported. Known are {', '.join(_NETWORKS)}; choose one of them."
        )
    module, arguments = _NETWORKS[kind]
    arguments = dict(arguments)
    if module == "lycoris.kohya":
        arguments["preset"] = value.get("LyCORIS_preset", "full")
        arguments |= {name: value[name] for name in _OF_LYCORIS if _is_set(value.get(name))}
    if kind != "Standard":
        arguments |= {name: value[name] for name in ("conv_dim", "conv_alpha") if _is_set(value.get(name))}
    arguments |= {name: value[name] for name in _NETWORK_ARGUMENTS if _is_set(value.get(name))}
    return {"network_module": module, "network_args": [f"{name}={entry}" for name, entry in arguments.items()]}


def _is_set(entry: Any) -> bool:
    return entry not in (None, "", 0, 0.0, False, [], "0", "0.0")
