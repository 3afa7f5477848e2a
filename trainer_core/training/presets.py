"""Plans to start from, by what is trained, on which family of models, with how much GPU memory.

Each value comes with its reason. A preset sets a part of a plan; everything else keeps its default. What a step takes
of a GPU's memory is the trainer's own count in bf16 (memory.py), with the largest rank of a family's presets; a screen
takes about 1 GB beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..errors import TrainingError
from .plan import TrainingPlan

Subject = Literal["person", "anime character", "style"]
Family = Literal["SD1.5", "SDXL"]
MEMORIES = (6, 8, 12, 16, 24)
"""GPU memory in GB for which there are presets."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One value that a preset sets."""

    field: str
    """Its place in the plan, such as "network.rank"; or "crop.size"."""
    value: Any
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """A plan to start from."""

    subject: Subject
    family: Family
    memory: int
    """GB."""
    choices: tuple[Choice, ...]
    """Sorted by field, each field once."""

    @property
    def name(self) -> str:
        return f"{self.subject}, {self.family}, {self.memory} GB"

    @property
    def fields(self) -> tuple[str, ...]:
        """What choosing this preset changes, by place in the plan; "crop.size" is the crop's."""
        return tuple(choice.field for choice in self.choices)

    def plan(self) -> dict[str, Any]:
        """The part of the plan that it sets, as a job file's "plan" holds it."""
        value: dict[str, Any] = {}
        for choice in self.choices:
            part, _, field = choice.field.rpartition(".")
            if part != "crop":
                (value.setdefault(part, {}) if part else value)[field] = choice.value
        return value

    def crop(self) -> dict[str, Any]:
        """The part of a job file's "crop" that it sets."""
        return {c.field.removeprefix("crop."): c.value for c in self.choices if c.field.startswith("crop.")}


def preset(subject: Subject, family: Family, memory: int) -> Preset:
    """The preset for a GPU of `memory` GB; between two sizes the smaller one is taken.

    Raises:
        TrainingError: there is none, as for SDXL below 8 GB.
    """
    for name, given, known in (("subject", subject, get_args(Subject)), ("family", family, get_args(Family))):
        if given not in known:
            raise TrainingError(f"there is no preset for the {name} {given!r}. Choose {', '.join(known)}.")
    smallest = MEMORIES[0] if family == "SD1.5" else MEMORIES[1]
    if memory < smallest:
        raise TrainingError(f"{family} needs a GPU of {smallest} GB or more, this one has {memory}. {_ADVICE[family]}")
    size = max(known for known in MEMORIES if known <= memory)
    layers = (_FOR_ALL, _OF_FAMILY[family], _OF_SUBJECT[family, subject], _OF_MEMORY[family, size])
    merged = {choice.field: choice for layer in layers for choice in layer}
    choices = tuple(merged[field] for field in sorted(merged))
    found = Preset(subject=subject, family=family, memory=size, choices=choices)
    TrainingPlan.from_json(found.plan())
    return found


def presets() -> tuple[Preset, ...]:
    """Every preset that there is."""
    return tuple(
        preset(subject, family, memory)
        for subject in get_args(Subject)
        for family in get_args(Family)
        for memory in MEMORIES
        if (family, memory) in _OF_MEMORY
    )


_ADVICE = {
    "SD1.5": "Train on another computer.",
    "SDXL": "Take the preset of 8 GB with offload on, which counts 1.3 GB, or train SD1.5 instead.",
}

_FOR_ALL = (
    Choice(
        "optimizer.name", "AdamW", "needs no further package; its state for a LoRA is below 0.7 GB at any rank here"
    ),
    Choice("optimizer.learning_rate", 1e-4, "what most trainers start at with alpha at half the rank"),
    Choice("weighting.min_snr_gamma", 5.0, "the one loss weight with a paper and an ablation behind it (2303.09556)"),
    Choice("precision.training", "auto", "bf16 where the GPU has it, which needs no scaling; fp16 on older ones"),
    Choice("saving.every_epochs", 0, "an epoch of few pictures is too short to be worth a file"),
    Choice("saving.every_steps", 250, "enough files to go back to, before the LoRA was overfitted"),
)

_OF_FAMILY = {
    "SD1.5": (
        Choice("crop.size", "512x512", "what SD1.5 was made with"),
        Choice("schedule.name", "cosine", "the last steps are small and settle detail"),
    ),
    "SDXL": (
        Choice("crop.size", "1024x1024", "what SDXL was made with"),
        Choice("optimizer.text_encoder_rate", 0.0, "SDXL learns as well without, and it saves memory and time"),
        Choice("schedule.name", "constant", "what kohya's SDXL guide and most SDXL trainers use"),
        Choice("noise.offset", 0.0357, "what SDXL itself was trained with"),
    ),
}

_PERSON = (
    Choice("steps", 2000, "1500 to 3000 steps are usual for one person"),
    Choice("captions.shuffle", False, "photos are captioned in sentences, whose words have an order"),
)
_CHARACTER = (
    Choice("steps", 2000, "1500 to 3000 steps are usual for one character"),
    Choice("captions.shuffle", True, "tags have no order; trigger words stay in front"),
)
_STYLE = (
    Choice("steps", 4000, "3000 to 6000 steps are usual for a style"),
    Choice("captions.shuffle", True, "tags have no order; trigger words stay in front"),
    Choice("captions.caption_dropout", 0.1, "a style is to show without being called"),
)

_OF_SUBJECT = {
    ("SD1.5", "person"): (
        *_PERSON,
        Choice("network.rank", 64, "faces of photos need room: 64 to 128"),
        Choice("network.alpha", 32.0, "half the rank"),
        Choice("optimizer.text_encoder_rate", 5e-5, "half the UNet's rate, so that the trigger word is learned too"),
        Choice("text.clip_skip", 1, "models for photos read the last layer"),
    ),
    ("SD1.5", "anime character"): (
        *_CHARACTER,
        Choice("network.rank", 32, "drawn characters need less room than photos: 8 to 32"),
        Choice("network.alpha", 16.0, "half the rank"),
        Choice("optimizer.unet_rate", 2e-4, "a character sits at twice the usual rate before it overfits"),
        Choice("optimizer.text_encoder_rate", 5e-5, "a quarter of the UNet's rate, so that the name is learned too"),
        Choice("text.clip_skip", 2, "anime models of SD1.5 read the layer before the last"),
    ),
    ("SD1.5", "style"): (
        *_STYLE,
        Choice("network.rank", 32, "drawn styles need 8 to 32"),
        Choice("network.alpha", 16.0, "half the rank"),
        Choice("optimizer.text_encoder_rate", 1e-5, "a tenth of the UNet's rate: a style is seen more than named"),
        Choice("text.clip_skip", 2, "anime models of SD1.5 read the layer before the last; set 1 for photos"),
    ),
    ("SDXL", "person"): (
        *_PERSON,
        Choice("network.rank", 16, "SDXL's adapters are six times as large at the same rank"),
        Choice("network.alpha", 8.0, "half the rank"),
    ),
    ("SDXL", "anime character"): (
        *_CHARACTER,
        Choice("network.rank", 8, "enough for one character, in a file of 41 MiB"),
        Choice("network.alpha", 4.0, "half the rank"),
    ),
    ("SDXL", "style"): (
        *_STYLE,
        Choice("network.rank", 16, "a style shows in more layers than a character"),
        Choice("network.alpha", 8.0, "half the rank"),
    ),
}


def _batch(pictures: int, reason: str) -> Choice:
    return Choice("batch_size", pictures, reason)


def _checkpointing(on: bool, reason: str) -> Choice:
    return Choice("precision.gradient_checkpointing", on, reason)


_SAVES_MEMORY = "the memory of activations, for about a third more time"
_OF_MEMORY = {
    ("SD1.5", 6): (_batch(1, "takes 3.9 GB"), _checkpointing(False, "one picture fits without")),
    ("SD1.5", 8): (_batch(1, "takes 3.9 GB"), _checkpointing(False, "one picture fits without")),
    ("SD1.5", 12): (_batch(2, "takes 4.9 GB"), _checkpointing(False, "two pictures fit without")),
    ("SD1.5", 16): (_batch(4, "takes 6.8 GB"), _checkpointing(False, "four pictures fit without")),
    ("SD1.5", 24): (_batch(8, "takes 10.7 GB"), _checkpointing(False, "eight pictures fit without")),
    ("SDXL", 8): (
        _batch(1, "takes 6.2 GB at rank 8"),
        _checkpointing(True, _SAVES_MEMORY),
        Choice("network.rank", 8, "kohya's guide says 4 to 8 for 8 GB"),
        Choice("network.alpha", 4.0, "half the rank"),
    ),
    ("SDXL", 12): (_batch(1, "takes 6.6 GB, and 12.7 without checkpointing"), _checkpointing(True, _SAVES_MEMORY)),
    ("SDXL", 16): (_batch(2, "takes 7.2 GB, and 19.4 without checkpointing"), _checkpointing(True, _SAVES_MEMORY)),
    ("SDXL", 24): (_batch(4, "takes 8.5 GB"), _checkpointing(True, _SAVES_MEMORY)),
}
