"""sd-scripts' TOML files: --config_file holds options, --dataset_config holds folders and how each is read."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import TrainingError
from ..files import read_text

_OPTION_NAMES = {"batch_size": "train_batch_size", "num_repeats": "dataset_repeats"}
_OF_ONE_FOLDER = ("image_dir", "num_repeats", "is_reg", "class_tokens", "metadata_file", "subsets")


@dataclass(frozen=True, kw_only=True, slots=True)
class Subset:
    """One folder of a dataset config, with everything that holds for it."""

    folder: str
    repeats: int
    is_regularisation: bool
    class_tokens: str
    options: Mapping[str, Any]
    """What else is set for it, by sd-scripts' option names."""


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file.

    Raises:
        TrainingError: missing, or not TOML; says where.
    """
    return parse_toml(read_text(path), path.name)


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """TOML text; `name` stands for it in messages.

    Raises:
        TrainingError: not TOML; says where.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise TrainingError(f"{name} is not valid TOML: {problem}. Correct it there.") from problem


def is_dataset_config(value: Mapping[str, Any]) -> bool:
    return isinstance(value.get("datasets"), list)


def options_of_config(value: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a --config_file: sections only group them, as for sd-scripts."""
    options: dict[str, Any] = {}
    for name, entry in value.items():
        options |= entry if isinstance(entry, dict) else {name: entry}
    return options


def subsets_of(config: Mapping[str, Any]) -> Iterator[Subset]:
    """Every folder of a dataset config; what a folder does not set comes from its dataset, then from [general].

    Raises:
        TrainingError: no datasets, one without folders, or captions in a metadata file.
    """
    general = _table(config.get("general", {}), "general")
    if not config["datasets"]:
        raise TrainingError("the dataset config has no datasets. Give it one with a folder of pictures.")
    for dataset in config["datasets"]:
        entries = _table(dataset, "datasets").get("subsets", [])
        if not isinstance(entries, list) or not entries:
            raise TrainingError("a dataset in the dataset config has no subsets. Give it one with an image_dir.")
        for entry in entries:
            yield _subset({**general, **dataset, **_table(entry, "subsets")})


def _subset(entry: dict[str, Any]) -> Subset:
    if not entry.get("image_dir"):
        raise TrainingError(
            "a subset in the dataset config has no image_dir. Give it a folder; "
            "captions of a metadata_file are read where the file lies in that folder as metadata.jsonl."
        )
    return Subset(
        folder=str(entry["image_dir"]),
        repeats=_repeats(entry.get("num_repeats", 1)),
        is_regularisation=entry.get("is_reg", False) is True,
        class_tokens=str(entry.get("class_tokens", "")),
        options={_OPTION_NAMES.get(k, k): v for k, v in entry.items() if k not in _OF_ONE_FOLDER},
    )


def _repeats(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise TrainingError(f"num_repeats must be a whole number from 1, got {value!r}. Correct the dataset config.")
    return value


def _table(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TrainingError(f"{name} in the dataset config must be a table, got {value!r}. Correct it.")
    return value
