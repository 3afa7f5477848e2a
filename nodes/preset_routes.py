"""What the page asks about presets: which there are, what each sets on Train LoRA, and what on other nodes."""

from __future__ import annotations

from typing import Any

from ..trainer_core.job import parse_size
from ..trainer_core.training.plan import TrainingPlan
from ..trainer_core.training.presets import Preset, presets
from .routes import Routes

WIDGETS = {
    "batch_size": "batch_size",
    "network.alpha": "alpha",
    "network.rank": "rank",
    "optimizer.learning_rate": "learning_rate",
    "optimizer.name": "optimizer",
    "optimizer.text_encoder_rate": "text_encoder_rate",
    "optimizer.unet_rate": "unet_rate",
    "precision.gradient_checkpointing": "gradient_checkpointing",
    "precision.training": "precision",
    "saving.every_epochs": "save_every_epochs",
    "saving.every_steps": "save_every_steps",
    "schedule.name": "scheduler",
    "steps": "steps",
    "text.clip_skip": "clip_skip",
}
"""Fields of the plan that presets set -> widgets of Train LoRA."""

ELSEWHERE = {
    "captions.caption_dropout": ("Caption Options", "caption_dropout"),
    "captions.shuffle": ("Caption Options", "shuffle"),
    "noise.offset": ("Noise and Loss", "noise_offset"),
    "weighting.min_snr_gamma": ("Noise and Loss", "min_snr_gamma"),
}
"""Fields that other nodes set: the node and its widget. crop.size is Smart Crop's."""

_OWN_RATE = -1.0
"""A rate that is not set: Train LoRA's widget says so by this number."""


def add_preset_routes(routes: Routes) -> None:
    routes.reads("/presets", lambda request: {"presets": [preset_for_page(found) for found in presets()]})


def preset_for_page(found: Preset) -> dict[str, Any]:
    """A preset by widgets. "fields" has every widget that any preset sets, so that the one chosen before leaves
    nothing behind; "reasons" has those that this one sets. "needs" is what has to be set on other nodes: node ->
    {widget: value}, without what is so by default."""
    plan = TrainingPlan.from_json(found.plan()).to_json()
    return {
        "subject": found.subject,
        "family": found.family,
        "memory": found.memory,
        "fields": {widget: _shown(_at(plan, place)) for place, widget in WIDGETS.items()},
        "reasons": {WIDGETS[choice.field]: choice.reason for choice in found.choices if choice.field in WIDGETS},
        "needs": _needs(found),
    }


def _needs(found: Preset) -> dict[str, dict[str, Any]]:
    width, height = parse_size(found.crop()["size"])
    needs: dict[str, dict[str, Any]] = {"Smart Crop": {"width": width, "height": height}}
    plain = TrainingPlan().to_json()
    for choice in found.choices:
        if choice.field in ELSEWHERE and choice.value != _at(plain, choice.field):
            node, widget = ELSEWHERE[choice.field]
            needs.setdefault(node, {})[widget] = choice.value
    return needs


def _at(plan: dict[str, Any], place: str) -> Any:
    part, _, field = place.rpartition(".")
    return plan[part][field] if part else plan[field]


def _shown(value: Any) -> Any:
    return _OWN_RATE if value is None else value
