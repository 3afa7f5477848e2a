"""Presets: each is a plan that can be trained, says why, and names the fields that it sets."""

from __future__ import annotations

import dataclasses

import pytest

from trainer_core.crop.rules import CropRules
from trainer_core.errors import TrainingError
from trainer_core.job import parse_size
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.presets import Preset, preset, presets

each = pytest.mark.parametrize("found", presets(), ids=lambda found: found.name)


def plan_of(found: Preset) -> TrainingPlan:
    return TrainingPlan.from_json(found.plan())


def test_there_is_one_for_every_subject_family_and_size_but_sdxl_in_6_gb():
    assert len({found.name for found in presets()}) == len(presets()) == 3 * 2 * 5 - 3


@each
def test_a_preset_is_a_plan_and_a_size(found):
    plan = plan_of(found)
    assert plan.network.alpha == plan.network.rank / 2
    width, height = parse_size(found.crop()["size"])
    assert CropRules(width=width, height=height).width == (512 if found.family == "SD1.5" else 1024)


@each
def test_its_fields_are_exactly_what_it_sets_each_with_a_reason(found):
    set_places = {f"{part}.{name}" for part, entry in found.plan().items() if isinstance(entry, dict) for name in entry}
    set_places |= {part for part, entry in found.plan().items() if not isinstance(entry, dict)} | {"crop.size"}
    assert set(found.fields) == set_places and len(found.fields) == len(set_places)
    assert all(len(choice.reason) > 7 for choice in found.choices)


@each
def test_it_leaves_everything_else_at_its_default(found):
    plan, default = plan_of(found).to_json(), TrainingPlan().to_json()
    for part in dataclasses.fields(TrainingPlan):
        given = found.plan().get(part.name, {})
        if not isinstance(given, dict):
            continue
        expected = {**default[part.name], **given} if isinstance(default[part.name], dict) else default[part.name]
        assert plan[part.name] == expected


@each
def test_it_needs_no_package_that_may_be_missing(found):
    assert plan_of(found).optimizer.name == "AdamW"


@pytest.mark.parametrize(
    ("family", "subject", "rank", "text_rate"),
    [
        ("SD1.5", "person", 64, 5e-5),
        ("SD1.5", "anime character", 32, 5e-5),
        ("SDXL", "anime character", 8, 0.0),
        ("SDXL", "person", 16, 0.0),
    ],
)
def test_photos_get_more_rank_than_drawings_and_sdxl_trains_no_text_encoder(family, subject, rank, text_rate):
    plan = plan_of(preset(subject, family, 24))
    assert (plan.network.rank, plan.optimizer.text_encoder_rate) == (rank, text_rate)


@pytest.mark.parametrize("family", ["SD1.5", "SDXL"])
def test_more_memory_never_means_a_smaller_batch_or_rank(family):
    plans = [plan_of(preset("person", family, memory)) for memory in (8, 12, 16, 24)]
    assert [p.batch_size for p in plans] == sorted(p.batch_size for p in plans)
    assert [p.network.rank for p in plans] == sorted(p.network.rank for p in plans)


def test_between_two_sizes_the_smaller_counts():
    assert preset("style", "SD1.5", 11) == preset("style", "SD1.5", 8)
    assert preset("style", "SD1.5", 80) == preset("style", "SD1.5", 24)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("style", "SDXL", 6), "SDXL needs a GPU of 8 GB or more, this one has 6"),
        (("style", "SD1.5", 4), "SD1.5 needs a GPU of 6 GB or more"),
        (("cat", "SDXL", 8), "no preset for the subject 'cat'"),
        (("style", "Flux", 8), "no preset for the family 'Flux'"),
    ],
)
def test_what_there_is_no_preset_for_is_refused(arguments, says):
    with pytest.raises(TrainingError, match=says):
        preset(*arguments)
