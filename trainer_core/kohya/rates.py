"""Optimizer, rates, schedule, and how long a run is: options that only mean something together."""

from __future__ import annotations

from typing import Any

from .options import Options, read_number, read_pairs

_DEFAULT_STEPS = 1600

_OPTIMIZERS = {
    "adamw": ("AdamW", 0.01),
    "adamw8bit": ("AdamW8bit", 0.01),
    "pagedadamw": ("AdamW", 0.01),
    "pagedadamw32bit": ("AdamW", 0.01),
    "pagedadamw8bit": ("AdamW8bit", 0.01),
    "lion": ("Lion", 0.0),
    "lion8bit": ("Lion8bit", 0.0),
    "pagedlion8bit": ("Lion8bit", 0.0),
    "prodigy": ("Prodigy", 0.0),
    "adafactor": ("Adafactor", 0.0),
    "adamwschedulefree": ("AdamWScheduleFree", 0.0),
    "came": ("CAME", 0.0),
}
"""Name in small letters, without its module -> ours, and the weight decay of the library that sd-scripts take."""

_NEAREST = {"dadapt": "prodigy", "prodigy": "prodigy", "schedulefree": "adamwschedulefree", "lion": "lion"}
"""Part of an optimizer's name -> the one that is nearest to it."""

_SCHEDULES = {
    "constant": "constant",
    "constant_with_warmup": "constant",
    "linear": "linear",
    "cosine": "cosine",
    "cosine_with_min_lr": "cosine",
    "cosine_with_restarts": "cosine_with_restarts",
    "polynomial": "polynomial",
    "warmup_stable_decay": "wsd",
    "rex": "rex",
}
_WITHOUT_EFFECT = ("decouple", "safeguard_warmup", "relative_step", "scale_parameter", "warmup_init", "eps")


def amount(options: Options) -> dict[str, Any]:
    """Epochs, where they are set, come before steps, as in sd-scripts."""
    epochs, steps = options.whole("max_train_epochs", 0), options.whole("max_train_steps", _DEFAULT_STEPS)
    return {"epochs": epochs, "steps": 0} if epochs else {"steps": steps}


def seed(options: Options) -> dict[str, Any]:
    if "seed" not in options:
        options.notes.append("no seed is given, which sd-scripts draw by chance; it is 0 here")
    return {"seed": options.whole("seed", 0)}


def optimizer(options: Options) -> dict[str, Any]:
    """The optimizer, its arguments and the rates of the parts."""
    name, decay = _optimizer_name(options)
    arguments = read_pairs(options.texts("optimizer_args"), "optimizer_args")
    found: dict[str, Any] = {"optimizer.name": name}
    found["optimizer.weight_decay"] = read_number(arguments.pop("weight_decay", decay), "weight_decay")
    if "betas" in arguments:
        found |= _betas(arguments.pop("betas"), name, options)
    if name == "Prodigy":
        found |= _prodigy(arguments)
    if name == "Adafactor" and arguments.get("relative_step", "True").lower() == "true":
        options.notes.append("sd-scripts' Adafactor finds its rate by itself (relative_step); here it takes the rates")
    for argument, value in arguments.items():
        if argument not in _WITHOUT_EFFECT:
            options.unsupported.append(f"optimizer_args {argument}={value}: there is no such setting here")
    return found | _rates(options, name)


def schedule(options: Options, steps: int) -> dict[str, Any]:
    """`steps`: of the whole run; 0 where the epochs decide, so that a share of the run is not known in steps."""
    given = options.text("lr_scheduler", "constant").lower()
    custom = options.text("lr_scheduler_type", "").rpartition(".")[2].lower()
    name = "rex" if "rex" in custom else _SCHEDULES.get(given, "cosine")
    if given not in _SCHEDULES or (custom and name != "rex"):
        options.unsupported.append(f"lr_scheduler {custom or given}: there is no such schedule here, {name} is taken")
    found: dict[str, Any] = {
        "schedule.name": name,
        "schedule.warmup_steps": _steps_of(options, "lr_warmup_steps", steps),
    }
    decay = _steps_of(options, "lr_decay_steps", steps)
    if name == "wsd" and decay and steps:
        found["schedule.decay_share"] = decay / steps
    elif decay:
        options.notes.append("lr_decay_steps is not taken over: set schedule.decay_share to its share of the run")
    return found


def saving(options: Options, epochs: int, every_steps: int) -> dict[str, Any]:
    """Counts that sd-scripts give in another way: a number of files in all, or the steps that are kept."""
    found = {}
    if ratio := options.whole("save_n_epoch_ratio", 0):
        found["saving.every_epochs"] = max(1, epochs // ratio)
    if (steps := options.whole("save_last_n_steps", 0)) and every_steps:
        found["saving.keep_last"] = max(1, steps // every_steps)
        options.notes.append(f"the last {steps} steps of LoRAs are the last {found['saving.keep_last']} files here")
    return found


def _optimizer_name(options: Options) -> tuple[str, float]:
    given = options.text("optimizer_type", "")
    is_8bit, is_lion = options.flag("use_8bit_adam", False), options.flag("use_lion_optimizer", False)
    given = given or ("AdamW8bit" if is_8bit else "Lion" if is_lion else "AdamW")
    key = given.rpartition(".")[2].lower()
    if key not in _OPTIMIZERS:
        key = next((near for part, near in _NEAREST.items() if part in key), "adamw")
        options.unsupported.append(f"optimizer_type {given}: {_OPTIMIZERS[key][0]} is nearest to it, and is taken")
    return _OPTIMIZERS[key]


def _betas(text: str, name: str, options: Options) -> dict[str, Any]:
    numbers = [read_number(part, "betas") for part in text.strip("()[] ").split(",") if part.strip()]
    if len(numbers) < 2 or name == "Adafactor":
        options.unsupported.append(f"optimizer_args betas={text}: two numbers are read, and none for Adafactor")
        return {}
    return {"optimizer.beta1": numbers[0], "optimizer.beta2": numbers[1]}


def _prodigy(arguments: dict[str, str]) -> dict[str, Any]:
    """prodigyopt's own defaults where an argument is left out."""
    correction = arguments.pop("use_bias_correction", "False")
    return {
        "optimizer.prodigy_d_coef": read_number(arguments.pop("d_coef", 1.0), "d_coef"),
        "optimizer.prodigy_d0": read_number(arguments.pop("d0", 1e-6), "d0"),
        "optimizer.prodigy_bias_correction": correction.lower() == "true",
    }


def _rates(options: Options, optimizer: str) -> dict[str, Any]:
    unet = options.number("unet_lr", 0.0) if "unet_lr" in options else None
    encoders = [read_number(rate.strip("[],"), "text_encoder_lr") for rate in options.texts("text_encoder_lr")]
    if len(set(encoders)) > 1:
        options.notes.append(f"the text encoders share one rate, {encoders[0]:g}")
    text = encoders[0] if encoders else None
    if options.flag("network_train_unet_only", False):
        text = 0.0
    if options.flag("network_train_text_encoder_only", False):
        unet = 0.0
    shared = options.number("learning_rate", 2e-6)
    if optimizer == "Prodigy" and 0 != (unet := shared if unet is None else unet) != text != 0:
        options.notes.append(f"Prodigy has one rate for all parts, {unet:g}")
        text = unet
    return {"optimizer.unet_rate": unet, "optimizer.text_encoder_rate": text}


def _steps_of(options: Options, name: str, steps: int) -> int:
    """A number of steps, or a share of the run, below 1 or with a % sign."""
    text = options.text(name, "0")
    number = read_number(text.removesuffix("%"), name) / (100 if text.endswith("%") else 1)
    if number >= 1 and not text.endswith("%"):
        return int(number)
    if number and not steps:
        options.unsupported.append(f"{name} {text}: a share of the run; set it in steps, for the epochs decide here")
    return round(number * steps)
