"""What a LoRA says of itself: kohya's ss_* keys, modelspec's, and the whole plan, so that it can be made again.

No times, paths, user or host names: the same job gives the same bytes, and sharing a LoRA tells nothing of where
it was made. So kohya's ss_training_started_at, ss_training_finished_at and modelspec.date are left out, and
ss_session_id follows from the job.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path, PureWindowsPath
from typing import Any

from ..dataset.types import Dataset
from ..families.base_model import BaseModel
from ..files import digest
from ..kohya.hashes import base_model_hash
from ..kohya.run_keys import dataset_keys, plan_keys, training_size
from ..lora.file import PLAN_KEY, THUMBNAIL_KEY
from .plan import TrainingPlan

_MAKER = "LoRA Atelier"


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
    zero_terminal_snr: bool = False,
    arithmetic: str = "",
    held_out: int = 0,
    thumbnail: str = "",
) -> dict[str, str]:
    """Metadata of a LoRA after `epoch` epochs and `step` steps; every value is text, "None" where kohya has none.

    `arithmetic`: "fp32", "bf16" or "fp16", what the plan's "auto" came to; empty: as the plan says.
    `held_out`: how many pictures were not trained. `thumbnail`: a data URL from `thumbnail()`; empty for none.
    """
    fingerprint = dataset.fingerprint()
    values: dict[str, Any] = {
        "ss_output_name": name,
        "ss_session_id": int(digest(plan.to_json(), fingerprint, base_identity)[:8], 16),
        "ss_training_comment": _MAKER,
        "ss_epoch": epoch,
        "ss_steps": step,
        "ss_max_train_steps": total_steps,
        "ss_num_batches_per_epoch": batches_per_epoch,
        "ss_num_validation_images": held_out,
        **_base_model_keys(family, base_model, base_identity),
        **plan_keys(plan, arithmetic or plan.precision.training, zero_terminal_snr=zero_terminal_snr),
        **dataset_keys(dataset),
        **_modelspec_keys(name, family, prediction_type, plan, dataset, thumbnail),
        PLAN_KEY: json.dumps(shareable(plan).to_json(), sort_keys=True, ensure_ascii=False),
        "lora_atelier.dataset": fingerprint,
    }
    return {key: _in_utf8(str(value)) for key, value in values.items()}


def _in_utf8(text: str) -> str:
    """With question marks for what is not, as in names from another system: a LoRA's metadata holds nothing else."""
    return text.encode("utf-8", "replace").decode("utf-8")


def shareable(plan: TrainingPlan) -> TrainingPlan:
    """The plan with the files that it names reduced to their names: folders tell who made it, and where."""
    adapter = plan.adapter
    merges = "; ".join(f"{_name_of(path)}:{strength!r}" for path, strength in adapter.merges)
    own = dataclasses.replace(adapter, start_from=_name_of(adapter.start_from), merge_first=merges)
    return dataclasses.replace(plan, adapter=own)


def _name_of(path: Path | str) -> str:
    """The last part of a path of any system."""
    return PureWindowsPath(path).name


def _base_model_keys(family: type[BaseModel], base_model: Path, base_identity: str) -> dict[str, Any]:
    hashes = {}
    if base_model.is_file():  # a folder of weights has no hash that others would know
        hashes = {"ss_sd_model_hash": base_model_hash(base_model), "ss_new_sd_model_hash": base_identity}
    return {
        "ss_sd_model_name": base_model.name,
        **hashes,
        "ss_base_model_version": family.kohya_version,
        "ss_v2": False,
    }


def _modelspec_keys(
    name: str, family: type[BaseModel], prediction_type: str, plan: TrainingPlan, dataset: Dataset, thumbnail: str
) -> dict[str, Any]:
    """ModelSpec 1.0.1, as Stability AI's and kohya's programs write and read it; keys without a value are left out."""
    width, height = training_size(dataset)
    timesteps = plan.timesteps
    is_partial = (timesteps.first, timesteps.last) != (0, 999)
    optional = {
        "modelspec.trigger_phrase": ", ".join(dataset.trigger_words),
        "modelspec.timestep_range": f"{timesteps.first},{timesteps.last + 1}" if is_partial else "",
        THUMBNAIL_KEY: thumbnail,
    }
    return {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": family.architecture,
        "modelspec.implementation": family.implementation,
        "modelspec.implementation_version": _MAKER,
        "modelspec.title": name,
        "modelspec.resolution": f"{width}x{height}",
        "modelspec.prediction_type": "v" if prediction_type == "v_prediction" else "epsilon",
        "modelspec.encoder_layer": plan.text.clip_skip,
        **{key: text for key, text in optional.items() if text},
    }
