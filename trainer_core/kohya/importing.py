"""Settings of kohya's sd-scripts, in any form in which people keep them -> a job file, and what is lost on the way."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from ..crop.rules import CropRules
from ..errors import TrainingError
from ..files import expanded, file_name, read_json, read_text
from ..training.plan import TrainingPlan
from . import networks, pictures, rates, samples
from .arguments import read_command
from .gui import is_gui, options_of_gui
from .mapping import FIELDS, mapped_fields, report_what_is_left
from .options import Options
from .places import Places
from .toml import Subset, is_dataset_config, options_of_config, read_toml, subsets_of

_FILES = (".toml", ".json", ".sh", ".bat", ".cmd", ".ps1", ".txt")
_WORTH_TELLING = ("network_dim", "network_alpha", "learning_rate", "save_precision", "mixed_precision")


@dataclass(frozen=True, kw_only=True, slots=True)
class KohyaImport:
    """Settings of sd-scripts as a job."""

    job: dict[str, Any]
    """What a job file holds. "base_model" or "dataset" are left out where the settings do not name them."""
    unsupported: tuple[str, ...]
    """"option value: why", a line for each option that is set and not taken over."""
    notes: tuple[str, ...]
    """What was guessed, changed or left at sd-scripts' defaults, a line each."""


def read_kohya(text_or_path: str | Path) -> KohyaImport:
    """Import a command line of train_network.py or sdxl_train_network.py, a shell script with one, a --config_file or
    --dataset_config in TOML, or a setting that bmaltais' GUI has saved as JSON.

    Files and folders named in the settings are looked for beside the file that names them, then from the current
    folder. Whatever is left out gets sd-scripts' default and not ours, so that the run stays what it was.

    Raises:
        TrainingError: nothing that can be imported, SD 2, another kind of model, or values that no plan has; by name.
    """
    path = settings_file(text_or_path)
    here = path.parent if path else Path()
    given, subsets = _read(path, str(text_or_path), here)
    options, places = Options(given), Places(here)
    job = places.found(_job(options, subsets, imported_plan(options)))
    options.notes += [f"{name} is not there: correct it in the job file" for name in places.missing]
    _report_differences(subsets, options)
    report_what_is_left(options)
    return KohyaImport(job=job, unsupported=tuple(options.unsupported), notes=tuple(options.notes))


def imported_plan(options: Options) -> dict[str, Any]:
    """The plan of a job file from sd-scripts' options, checked.

    Raises:
        TrainingError: a value that no plan has.
    """
    if options.flag("v2", False):
        raise TrainingError("these settings are for Stable Diffusion 2, which is not known here. Choose SD1.5 or SDXL.")
    if left := [name for name in _WORTH_TELLING if name not in options]:
        defaults = {field.option: field.default for field in FIELDS}
        listed = ", ".join(f"{name} {defaults[name]}" for name in left)
        options.notes.append(f"left out, so sd-scripts' own default: {listed}")
    length = rates.amount(options)
    found = {
        **length,
        **rates.seed(options),
        **mapped_fields(options),
        **rates.optimizer(options),
        **rates.schedule(options, length["steps"] if "epochs" not in length else 0),
        **networks.network(options),
        **samples.samples(options),
    }
    found |= rates.saving(options, length.get("epochs", 0), found["saving.every_steps"]) | _loss(options)
    plan = _nested(found)
    TrainingPlan.from_json(plan)
    return plan


def _loss(options: Options) -> dict[str, Any]:
    kind = options.text("loss_type", "l2")
    if kind == "l1":
        options.unsupported.append("loss_type l1: huber with a small huber_c is nearest to it; l2 is taken")
        kind = "l2"
    if options.number("huber_scale", 1.0) != 1:
        options.unsupported.append(f"{options.shown('huber_scale')}: the threshold is loss.huber_c alone")
    is_masked = options.flag("masked_loss", False) or options.flag("alpha_mask", False)
    return {"loss.kind": kind, "loss.masked": is_masked}


def _job(options: Options, subsets: Sequence[Subset], plan: dict[str, Any]) -> dict[str, Any]:
    is_sdxl = options.text("script", "").startswith("sdxl")
    base_model = options.text("pretrained_model_name_or_path", "")
    if not base_model:
        options.notes.append("no base model is given: fill in base_model")
    name = PureWindowsPath(options.text("output_name", "lora")).name
    size = pictures.crop(options, is_sdxl=is_sdxl)
    width, height = (int(side) for side in size["size"].split("x"))
    CropRules(width=width, height=height, **{key: value for key, value in size.items() if key != "size"})
    parts = {
        "name": file_name(name or "lora"),
        "base_model": base_model,
        "dataset": pictures.dataset(options, subsets),
        "captions": pictures.captions(options),
        "crop": size,
        "plan": plan,
    }
    return {key: value for key, value in parts.items() if value}


def settings_file(text_or_path: str | Path) -> Path | None:
    """The file that is meant; None for a command line."""
    if isinstance(text_or_path, Path):
        return text_or_path
    text = text_or_path.strip()
    is_name = "\n" not in text and "--" not in text and Path(text).suffix.lower() in _FILES
    return expanded(text) if is_name else None


def _read(path: Path | None, text: str, here: Path) -> tuple[dict[str, Any], list[Subset]]:
    """The options, and the folders of a dataset config."""
    subsets: list[Subset] = []
    if path and path.suffix.lower() == ".json":
        given = _gui_options(path)
    elif path and path.suffix.lower() == ".toml":
        given, subsets = _toml_options(read_toml(path), {})
    else:
        given = read_command(read_text(path) if path else text)
    if name := given.get("config_file"):
        own, subsets = _toml_options(read_toml(_named(str(name), here)), given)
        given = own | given  # the command line comes first
    if name := given.get("dataset_config"):
        given, subsets = _toml_options(read_toml(_named(str(name), here)), given)
    if (prompts := samples.file_named(str(given.get("sample_prompts", "")))) and os.path.exists(here / prompts):
        given["sample_prompts"] = str(here / prompts)
    return given, subsets


def _named(name: str, here: Path) -> Path:
    """A file that the settings name; sd-scripts add .toml to a name without it."""
    path = expanded(name if name.endswith(".toml") else f"{name}.toml")
    return here / path if os.path.exists(here / path) else path


def _toml_options(value: dict[str, Any], given: dict[str, Any]) -> tuple[dict[str, Any], list[Subset]]:
    """What a dataset config sets comes before `given`, as for sd-scripts; of its folders the first counts."""
    if not is_dataset_config(value):
        return options_of_config(value), []
    subsets = list(subsets_of(value))
    first = next((subset for subset in subsets if not subset.is_regularisation), subsets[0])
    return given | dict(first.options), subsets


def _report_differences(subsets: Sequence[Subset], options: Options) -> None:
    training = [subset for subset in subsets if not subset.is_regularisation]
    for subset in training[1:]:
        first = training[0].options
        for name in sorted({*first, *subset.options}):
            if first.get(name) != subset.options.get(name):
                given, taken = subset.options.get(name, "not set"), first.get(name, "not set")
                options.unsupported.append(f"{name} {given} of {subset.folder}: all folders share {taken}")


def _gui_options(path: Path) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict) or not is_gui(value):
        raise TrainingError(
            f"{path.name} is no setting of the kohya_ss GUI. Save one there with Configuration, Save as, "
            "or give a job file to train without --from-kohya."
        )
    return options_of_gui(value)


def _nested(places: dict[str, Any]) -> dict[str, Any]:
    """{"network.rank": 8} -> {"network": {"rank": 8}}"""
    plan: dict[str, Any] = {}
    for place, value in places.items():
        part, _, field = place.rpartition(".")
        (plan.setdefault(part, {}) if part else plan)[field] = value
    return plan
