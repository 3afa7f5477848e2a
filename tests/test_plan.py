"""The plan: strict reading, clear refusals, and every field is read by the trainer."""

import ast
import dataclasses
import functools
import json
import typing
from pathlib import Path

import pytest

from trainer_core.errors import TrainingError
from trainer_core.training.plan import TrainingPlan

CORE = Path(__file__).parent.parent / "trainer_core"


def test_a_plan_survives_json():
    plan = TrainingPlan.from_json({"epochs": 3, "network": {"rank": 8, "alpha": 4}, "optimizer": {"unet_rate": 2e-4}})
    assert TrainingPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    assert plan.network.rank == 8 and plan.optimizer.rate_of_unet == 2e-4


@pytest.mark.parametrize(
    "value, words",
    [
        ({"network": {"rank": 0}}, ["rank", "at least 1", "got 0"]),
        ({"network": {"rank": 1025}}, ["rank", "1024"]),
        ({"network": {"alpha": 0}}, ["alpha", "above 0"]),
        ({"network": {"alpha": float("nan")}}, ["alpha"]),
        ({"network": {"rank": 8.5}}, ["plan.network.rank", "whole number"]),
        ({"network": {"rank": True}}, ["plan.network.rank", "whole number"]),
        ({"epochs": 0}, ["epochs", "at least 1"]),
        ({"batch_size": 0}, ["batch size"]),
        ({"seed": -1}, ["seed"]),
        ({"optimizer": {"learning_rate": -1e-4}}, ["learning rate"]),
        ({"optimizer": {"learning_rate": 11}}, ["learning rate", "1e-4"]),
        ({"optimizer": {"unet_rate": 0, "text_encoder_rate": 0}}, ["both 0", "nothing would be trained"]),
        ({"optimizer": {"name": "Adam"}}, ["plan.optimizer.name", "AdamW", "'Adam'"]),
        ({"schedule": {"warmup_steps": -1}}, ["warm-up"]),
        ({"text": {"clip_skip": 13}}, ["clip skip"]),
        ({"saving": {"every_epochs": -1}}, ["save every epochs"]),
        ({"precision": {"training": "int4"}}, ["plan.precision.training", "bf16"]),
        ({"learningrate": 1}, ["no field 'learningrate'", "optimizer"]),
        ({"network": 3}, ["plan.network", "named fields"]),
    ],
)
def test_a_bad_value_is_named_in_one_line(value, words):
    with pytest.raises(TrainingError) as problem:
        TrainingPlan.from_json(value)
    text = str(problem.value)
    assert "\n" not in text
    for word in words:
        assert word in text


def test_an_empty_rate_means_the_learning_rate_and_zero_leaves_a_part_out():
    plan = TrainingPlan.from_json({"optimizer": {"learning_rate": 3e-4, "unet_rate": None, "text_encoder_rate": 0}})
    assert plan.optimizer.rate_of_unet == 3e-4
    assert plan.optimizer.rate_of_text_encoder == 0


def plan_fields(cls=TrainingPlan, path=()):
    for name, kind in typing.get_type_hints(cls).items():
        if dataclasses.is_dataclass(kind):
            yield from plan_fields(kind, (*path, name))
        else:
            yield (*path, name)


def attribute_chains(tree):
    """Every attribute access of a file as a tuple of names, such as (self, plan, network, rank)."""
    for node in ast.walk(tree):
        chain = []
        while isinstance(node, ast.Attribute):
            chain.append(node.attr)
            node = node.value
        if chain:
            yield (getattr(node, "id", "?"), *reversed(chain))


@functools.cache
def read_chains():
    """Every attribute access of the trainer's own files: not the plan, not the command line, not what only describes
    a LoRA."""
    paths = [path for part in ("training", "lora") for path in (CORE / part).glob("*.py") if path.name != "metadata.py"]
    return {chain for path in paths for chain in attribute_chains(ast.parse(path.read_text()))}


_READ_AS = {
    "learning_rate": "rate_of_unet",
    "unet_rate": "rate_of_unet",
    "text_encoder_rate": "rate_of_text_encoder",
    "block_weights": "blocks",
    "merge_first": "merges",
    "before_first": "is_due",
    **dict.fromkeys(("prompts", "negative", "width", "height", "cfg", "sampler"), "requests"),
}


@pytest.mark.parametrize("field", list(plan_fields()), ids=".".join)
def test_every_field_of_the_plan_is_read_by_the_trainer(field):
    name = _READ_AS.get(field[-1], field[-1])
    # A field counts as read where its group, or a local name for the plan or its group, is asked for it.
    owners = {"plan", "network", "rates", "saving", "optimizer", *field[:-1]}
    assert any(chain[-1] == name and chain[-2] in owners for chain in read_chains() if len(chain) > 1)
