"""A job: what to train on what. In a file it is JSON, with paths relative to the file.

    {
      "name": "mochi",
      "base_model": "models/anylora.safetensors",
      "dataset": {"folder": "pictures", "repeats": 10, "regularisation": "regularisation"},
      "crop": {"size": "512x768", "method": "focus", "buckets": false},
      "captions": {"trigger_word": "mochi", "remove_tags": ["blue eyes"], "add_tags": []},
      "plan": {"epochs": 10, "network": {"rank": 16, "alpha": 8}}
    }

A run folder's job.json holds the pictures one by one instead ("dataset": {"images": […]}), so it trains the same
run again whatever has changed in the folder since.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .crop.crop import crop_dataset
from .dataset.folder import combine, read_folder
from .dataset.types import Dataset
from .errors import TrainingError
from .files import file_name, read_json
from .tagging.captions import edit_captions
from .training.plan import TrainingPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """Everything a run needs."""

    base_model: Path
    dataset: Dataset
    plan: TrainingPlan
    name: str = "lora"

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "base_model": str(self.base_model),
            "dataset": self.dataset.to_json(),
            "plan": self.plan.to_json(),
        }


def read_job(path: Path) -> Job:
    """Read a job file.

    Raises:
        TrainingError: not JSON, an unknown or missing field, a folder without pictures; by name.
    """
    value = read_json(path)
    _check_fields(value, "the job", required=("base_model", "dataset"), optional=("name", "crop", "captions", "plan"))
    here = path.parent
    return Job(
        name=file_name(str(value.get("name", path.stem))),
        base_model=here / Path(value["base_model"]).expanduser(),
        dataset=_read_dataset(value, here),
        plan=TrainingPlan.from_json(value.get("plan", {})),
    )


def parse_size(text: str) -> tuple[int, int]:
    """ "512x768" -> (512, 768).

    Raises:
        TrainingError: of another form.
    """
    match = re.fullmatch(r"\s*(\d{1,5})\s*[x×*]\s*(\d{1,5})\s*", text)
    if not match:
        raise TrainingError(f"the size {text!r} is not of the form WIDTHxHEIGHT, such as 512x768.")
    return int(match[1]), int(match[2])


def _read_dataset(value: dict[str, Any], here: Path) -> Dataset:
    source = value["dataset"]
    if isinstance(source, dict) and "images" in source:
        return Dataset.from_json(source)
    _check_fields(
        source, "dataset", required=("folder",), optional=("repeats", "regularisation", "regularisation_repeats")
    )
    training = read_folder(here / Path(source["folder"]).expanduser(), repeats=source.get("repeats", 1))
    regularisation = None
    if source.get("regularisation"):
        folder = here / Path(source["regularisation"]).expanduser()
        repeats = source.get("regularisation_repeats", 1)
        regularisation = read_folder(folder, repeats=repeats, is_regularisation=True)
    return _cropped(_captioned(combine(training, regularisation), value.get("captions", {})), value.get("crop", {}))


def _captioned(dataset: Dataset, value: dict[str, Any]) -> Dataset:
    _check_fields(value, "captions", optional=("trigger_word", "remove_tags", "add_tags"))
    return edit_captions(
        dataset,
        trigger_word=value.get("trigger_word", ""),
        remove_tags=value.get("remove_tags", ()),
        add_tags=value.get("add_tags", ()),
    )


def _cropped(dataset: Dataset, value: dict[str, Any]) -> Dataset:
    _check_fields(value, "crop", optional=("size", "method", "buckets"))
    width, height = parse_size(value.get("size", "512x512"))
    return crop_dataset(
        dataset,
        width=width,
        height=height,
        method=value.get("method", "focus"),
        use_buckets=value.get("buckets", False),
    )


def _check_fields(value: Any, where: str, *, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> None:
    if not isinstance(value, dict):
        raise TrainingError(f"{where} must be an object with named fields, got {value!r}.")
    if missing := [name for name in required if name not in value]:
        raise TrainingError(f"{where} lacks the field {missing[0]!r}.")
    if unknown := sorted(set(value) - {*required, *optional}):
        raise TrainingError(f"{where} has no field {unknown[0]!r}. It has: {', '.join((*required, *optional))}.")
