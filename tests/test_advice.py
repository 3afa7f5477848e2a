"""Settings that are allowed and yet unlikely to be meant."""

import pytest

from trainer_core.training.plan import TrainingPlan
from trainer_core.training.plan.advice import plan_warnings


def warnings(optimizer=None, schedule=None, steps=1000):
    return plan_warnings(TrainingPlan.from_json({"optimizer": optimizer or {}, "schedule": schedule or {}}), steps)


def prodigy(rate):
    return {"name": "Prodigy", "learning_rate": rate, "text_encoder_rate": None}


@pytest.mark.parametrize(
    ("optimizer", "schedule", "words"),
    [
        (prodigy(1e-4), {}, "Prodigy finds the rate by itself, and 0.0001 scales what it finds. Set the rates to 1."),
        ({"learning_rate": 1.0}, {}, "a rate of 1 is high for AdamW"),
        ({"text_encoder_rate": 0.5}, {}, "a rate of 0.5 is high for AdamW"),
        ({"name": "Lion", "learning_rate": 1e-4}, {}, "a rate of 0.0001 is high for Lion. Up to 3e-05 is usual."),
        ({"name": "Lion8bit", "learning_rate": 1e-4}, {}, "high for Lion8bit"),
        ({"name": "CAME", "learning_rate": 1e-3}, {}, "high for CAME"),
        ({"name": "AdamWScheduleFree"}, {"name": "cosine"}, "Set the schedule to constant."),
        ({"prodigy_d_coef": 2.0}, {}, "prodigy_d_coef has no effect with AdamW"),
        ({}, {"warmup_steps": 1000}, "the warm-up of 1000 steps is no shorter than the run of 1000"),
        ({}, {"name": "cosine_with_restarts", "cycles": 1}, "never restarts"),
        ({}, {"name": "cosine_with_restarts", "cycles": 501}, "501 cycles leave less than 2 steps"),
        ({}, {"name": "cosine_with_restarts", "cycles": 300, "warmup_steps": 500}, "300 cycles"),
        ({}, {"name": "cosine", "cycles": 4}, "cycles has no effect with the schedule cosine. Choose cosine_with_res"),
        ({}, {"name": "linear", "power": 2.0}, "power has no effect"),
        ({}, {"name": "rex", "decay_share": 0.5}, "decay_share has no effect with the schedule rex. Choose wsd"),
        ({}, {"name": "constant", "floor": 0.1}, "the floor has no effect"),
    ],
)
def test_what_is_unlikely_to_be_meant_is_said_once_with_what_to_change(optimizer, schedule, words):
    (line,) = warnings(optimizer, schedule)
    assert words in line and "\n" not in line and line.endswith(".")


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        ({}, {}),
        (prodigy(1.0) | {"prodigy_d_coef": 2.0, "prodigy_d0": 1e-5}, {}),
        (prodigy(1.0) | {"text_encoder_rate": 0.0}, {"name": "constant"}),
        ({"name": "Lion", "learning_rate": 2e-5, "text_encoder_rate": 1e-5}, {}),
        ({"name": "AdamWScheduleFree"}, {"name": "constant", "warmup_steps": 50}),
        ({}, {"name": "cosine_with_restarts", "cycles": 5, "floor": 0.1}),
        ({}, {"name": "polynomial", "power": 2.0}),
        ({}, {"name": "wsd", "decay_share": 0.5}),
        ({}, {"warmup_steps": 999}),
        ({"lora_plus_ratio": 16.0, "weight_decay": 0.0, "beta1": 0.8}, {}),
    ],
)
def test_ordinary_plans_are_not_talked_about(optimizer, schedule):
    assert warnings(optimizer, schedule) == []


def test_each_oddity_has_a_line_of_its_own():
    assert len(warnings({"name": "Lion", "prodigy_d0": 1e-3}, {"power": 2.0, "warmup_steps": 10}, steps=10)) == 4
