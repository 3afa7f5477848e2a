"""A job: what to train on what. In a file it is JSON, with paths relative to the file.

    {
      "name": "mochi",
      "base_model": "models/anylora.safetensors",
      "dataset": {"folder": "pictures", "repeats": 10, "regularisation": "regularisation"},
      "crop": {"size": "512x768", "method": "focus", "buckets": false, "overrides": {"a.png": "left"}},
      "captions": {"trigger_word": "mochi", "remove_tags": ["blue eyes"], "tagger": {"name": "wd-vit-tagger-v3"}},
      "plan": {"epochs": 10, "network": {"rank": 16, "alpha": 8}}
    }

"dataset" may be a list of such objects: they are merged, each with its own repeats. A run folder's job.json holds the
pictures one by one instead ("dataset": {"images": […]}), so it trains the same run again whatever has changed in the
folder since.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .crop.crop import crop_dataset
from .crop.faces import load_face_finder
from .crop.overrides import overrides_from_json
from .crop.rules import CropRules
from .dataset.folder import read_folder
from .dataset.merge import combine, merge
from .dataset.rules import ReadingRules
from .dataset.types import Dataset, DatasetImage
from .errors import TrainingError
from .fields import check_field, read_fields
from .files import expanded, file_name, read_json
from .job_captions import caption_dataset
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


def read_job(path: Path, caches: Path | None = None, *, device: str = "cpu") -> Job:
    """Read a job file. With a folder for `caches`, pictures that did not change are not opened again, nor shown to
    a tagger, which runs on `device`.

    Raises:
        TrainingError: not JSON, an unknown or missing field, a folder without pictures; by name.
    """
    value = read_json(path)
    _check_fields(value, "the job", required=("base_model", "dataset"), optional=("name", "crop", "captions", "plan"))
    here = path.parent.absolute()
    return Job(
        name=file_name(check_field(str, value.get("name", path.stem), "name")),
        base_model=_path(value["base_model"], "base_model", here),
        dataset=_read_dataset(value, here, caches, device),
        plan=_with_paths(TrainingPlan.from_json(value.get("plan", {})), here),
    )


def _path(entry: Any, where: str, here: Path) -> Path:
    """A file or folder that a job names, found from the job file's folder."""
    return here / expanded(check_field(str, entry, where))


def _with_paths(plan: TrainingPlan, here: Path) -> TrainingPlan:
    """The LoRA files that a plan names, found from the job file's folder."""
    adapter = plan.adapter
    start = str(_path(adapter.start_from, "plan.adapter.start_from", here)) if adapter.start_from else ""
    merges = "\n".join(
        f"{_path(str(path), 'plan.adapter.merge_first', here)}:{strength!r}" for path, strength in adapter.merges
    )
    return replace(plan, adapter=replace(adapter, start_from=start, merge_first=merges))


def parse_size(text: str) -> tuple[int, int]:
    """ "512x768" -> (512, 768).

    Raises:
        TrainingError: of another form.
    """
    match = re.fullmatch(r"\s*(\d{1,5})\s*[x×*]\s*(\d{1,5})\s*", text)
    if not match:
        raise TrainingError(f"the size {text!r} is not of the form WIDTHxHEIGHT, such as 512x768.")
    return int(match[1]), int(match[2])


def _read_dataset(value: dict[str, Any], here: Path, caches: Path | None, device: str) -> Dataset:
    source = value["dataset"]
    if isinstance(source, dict) and "images" in source:
        if idle := [name for name in ("crop", "captions") if name in value]:
            raise TrainingError(
                f"{' and '.join(idle)} in the job would do nothing, as its dataset names every picture with its crop "
                "and caption. Take that out, or give the dataset a folder."
            )
        return _found_from(here, Dataset.from_json(source))
    sources = source if isinstance(source, list) else [source]
    dataset = merge([_read_source(entry, here, caches) for entry in sources])
    cropped = _cropped(dataset, value.get("crop", {}), here)
    return caption_dataset(cropped, value.get("captions", {}), device=device, caches=caches)


def _found_from(here: Path, dataset: Dataset) -> Dataset:
    """Pictures and masks whose paths are relative, found from the job file's folder."""

    def placed(image: DatasetImage) -> DatasetImage:
        mask = image.mask and replace(image.mask, path=here / image.mask.path)
        return replace(image, path=here / image.path, mask=mask)

    return dataset.with_images(tuple(map(placed, dataset.images)))


def _read_source(source: Any, here: Path, caches: Path | None) -> Dataset:
    """One folder, with the regularisation pictures that belong to it."""
    _check_fields(
        source,
        "dataset",
        required=("folder",),
        optional=("repeats", "regularisation", "regularisation_repeats", "reading"),
    )
    rules = ReadingRules.from_json(source.get("reading", {}))

    def read(name: str, repeats: str, is_regularisation: bool = False) -> Dataset:
        return read_folder(
            _path(source[name], f"dataset.{name}", here),
            repeats=check_field(int, source.get(repeats, 1), f"dataset.{repeats}"),
            is_regularisation=is_regularisation,
            rules=rules,
            caches=caches,
        )

    training = read("folder", "repeats")
    if not source.get("regularisation"):
        return training
    return combine(training, read("regularisation", "regularisation_repeats", is_regularisation=True))


def _cropped(dataset: Dataset, value: dict[str, Any], here: Path) -> Dataset:
    """Everything but size, overrides and face_model is a field of CropRules."""
    if not isinstance(value, dict):
        raise TrainingError(f"crop must be an object with named fields, got {value!r}.")
    rules = {name: entry for name, entry in value.items() if name not in ("size", "overrides", "face_model")}
    if given := {"width", "height"} & rules.keys():
        raise TrainingError(f'crop has no field {min(given)!r}. Give the training size as "size": "512x768".')
    width, height = parse_size(check_field(str, value.get("size", "512x512"), "crop.size"))
    face_model = value.get("face_model")
    return crop_dataset(
        dataset,
        read_fields(CropRules, {**rules, "width": width, "height": height}, "crop"),
        overrides=overrides_from_json(value.get("overrides", {})),
        faces=load_face_finder(_path(face_model, "crop.face_model", here)) if face_model else None,
    )


def _check_fields(value: Any, where: str, *, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> None:
    if not isinstance(value, dict):
        raise TrainingError(f"{where} must be an object with named fields, got {value!r}.")
    if missing := [name for name in required if name not in value]:
        raise TrainingError(f"{where} lacks the field {missing[0]!r}.")
    if unknown := sorted(set(value) - {*required, *optional}):
        raise TrainingError(f"{where} has no field {unknown[0]!r}. It has: {', '.join((*required, *optional))}.")
