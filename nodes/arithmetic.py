"""What a graph would train, from the values of its widgets: nothing is run, and nothing but headers of a model is read.

The page sends a training as {"dataset": {...} or null, "run": the node's last run or null, "train": {widget: value},
"network": {widget: value} or null}, or with {"again": {widget: value}} in place of the last two. A dataset is
{"node": a node's id, "values": {widget: value}, "datasets": [what comes into the node]}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..trainer_core.crop.crop import crop_dataset
from ..trainer_core.crop.overrides import read_overrides
from ..trainer_core.crop.rules import CropRules
from ..trainer_core.dataset.folder import read_folder
from ..trainer_core.dataset.merge import combine, merge
from ..trainer_core.dataset.rules import ReadingRules
from ..trainer_core.dataset.types import Dataset
from ..trainer_core.errors import TrainingError
from ..trainer_core.training.again import plan_from_lora
from ..trainer_core.training.plan import (
    AdapterPlan,
    NetworkPlan,
    OptimizerPlan,
    PrecisionPlan,
    SavingPlan,
    TrainingPlan,
    ValidationPlan,
)
from . import host
from .folders import NO_FOLDER, find_folder
from .train_lora_rate_inputs import own_rate

Values = Mapping[str, Any]

_DEEPEST = 32
"""Nodes in a row, of which each takes the dataset of the one before."""
_MOST_DATASETS = 64
_MOST = {"epochs": 10_000, "steps": 1_000_000}
"""As on the node."""


def dataset_of(source: Values, depth: int = 0) -> Dataset:
    """The pictures as they will be trained, all but where their windows lie, which changes no number.

    Raises:
        TrainingError: a value that cannot be used, a folder that is not there or without pictures; in the words of
            the node.
    """
    if depth > _DEEPEST:
        raise TrainingError("the dataset comes through too many nodes. Shorten the graph.")
    before = [dataset_of(entry, depth + 1) for entry in part_of(source, "datasets", list)[:_MOST_DATASETS]]
    match source.get("node"), before:
        case "LoraAtelierLoadDataset", []:
            return _loaded(part_of(source, "values", dict))
        case "LoraAtelierSmartCrop", [dataset]:
            return _cropped(dataset, part_of(source, "values", dict))
        case "LoraAtelierMergeDatasets", [_, *_]:
            return merge(before)
    raise TrainingError("this dataset is not known before the graph is run. Queue it once.")


def plan_of(training: Values) -> TrainingPlan:
    """The parts of the plan that the size of a run depends on.

    Raises:
        TrainingError: a value that cannot be used; in the words of the plan.
    """
    if again := part_of(training, "again", dict):
        plan, _ = plan_from_lora(host.find_lora(str(again.get("lora"))))
        return plan
    value = _Widgets(part_of(training, "train", dict))
    network = part_of(training, "network", dict)
    for name, most in _MOST.items():  # a link may bring any number, and every epoch is put in order
        if value.whole(name) > most:
            raise TrainingError(f"{name} is {value.whole(name)}. Give at most {most}.")
    plan = TrainingPlan(
        epochs=value.whole("epochs"),
        steps=value.whole("steps"),
        batch_size=value.whole("batch_size"),
        accumulation=value.whole("accumulation"),
        seed=value.whole("seed"),
        network=NetworkPlan(rank=value.whole("rank"), alpha=value.number("alpha")),
        adapter=_adapter(_Widgets(network)) if network else AdapterPlan(),
        optimizer=OptimizerPlan(
            learning_rate=value.number("learning_rate"),
            unet_rate=own_rate(value.number("unet_rate")),
            text_encoder_rate=own_rate(value.number("text_encoder_rate")),
        ),
        precision=PrecisionPlan(
            training=value.word("precision"),
            saving=value.word("save_precision"),
            gradient_checkpointing=value.flag("gradient_checkpointing"),
        ),
        saving=SavingPlan(
            every_epochs=value.whole("save_every_epochs"),
            every_steps=value.whole("save_every_steps"),
            keep_last=value.whole("keep_last"),
        ),
        validation=ValidationPlan(
            every_epochs=value.whole("validate_every_epochs"),
            held_out_share=value.number("held_out_share"),
            seed=value.whole("validation_seed"),
        ),
    )
    return TrainingPlan.from_json(plan.to_json())  # which knows the words that may be chosen


class _Widgets:
    """Values that a page sent, each of the kind that its widget has."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def whole(self, name: str) -> int:
        return self._as(name, int, "a whole number")

    def number(self, name: str) -> float:
        return float(self._as(name, (int, float), "a number"))

    def word(self, name: str) -> str:
        return self._as(name, str, "a text")

    def flag(self, name: str) -> bool:
        return self._as(name, bool, "true or false", allows_flag=True)

    def _as(self, name: str, kind: type | tuple[type, ...], wanted: str, *, allows_flag: bool = False) -> Any:
        value = self._values.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and not allows_flag):
            raise TrainingError(f"{name} is {value!r}. Give {wanted}.")
        return value


def _loaded(values: Values) -> Dataset:
    """As Load Dataset reads its folders."""
    value = _Widgets(values)
    rules = ReadingRules(
        smallest_side=value.whole("smallest_side"),
        largest_aspect=value.number("largest_aspect"),
        background=value.word("background"),
        transparency_as_mask=value.flag("transparency_as_mask"),
        caption_lines=value.word("caption_lines"),
        most_unusable=value.number("most_unusable") / 100,
    )

    def read(name: str, repeats: int) -> Dataset:
        folder = find_folder(name, host.picture_roots())
        return read_folder(folder, repeats=repeats, rules=rules, caches=host.scans_folder())

    dataset = read(value.word("folder"), value.whole("repeats"))
    regularisation = value.word("regularisation")
    return dataset if regularisation == NO_FOLDER else combine(dataset, read(regularisation, 1))


def _cropped(dataset: Dataset, values: Values) -> Dataset:
    """As Smart Crop shapes them: where a window lies is what takes it its time, and no matter here."""
    value = _Widgets(values)
    rules = CropRules(
        width=value.whole("width"),
        height=value.whole("height"),
        method="center",
        buckets=value.flag("buckets"),
        bucket_step=value.whole("bucket_step") or None,
        smallest_bucket_side=value.whole("smallest_bucket_side") or None,
        largest_bucket_side=value.whole("largest_bucket_side") or None,
        enlarge=value.flag("enlarge"),
    )
    return crop_dataset(dataset, rules, overrides=read_overrides(value.word("overrides")))


def _adapter(value: _Widgets) -> AdapterPlan:
    """As LoRA Network has it, as far as it decides the size of a file."""
    return AdapterPlan(
        kind=value.word("kind"),
        targets=value.word("targets"),
        conv_rank=value.whole("conv_rank"),
        conv_alpha=value.number("conv_alpha"),
        lokr_factor=value.whole("lokr_factor"),
        block_weights=value.word("block_weights"),
    )


def part_of(value: Values, name: str, kind: type) -> Any:
    """A part of what was sent; an empty one where it is left out."""
    part = value.get(name)
    if part is None:
        return kind()
    if not isinstance(part, kind) or (kind is list and not all(isinstance(entry, dict) for entry in part)):
        raise TrainingError(f"{name} is not what this page sends. Refresh the page.")
    return part
