"""Every optimizer goes on where a run stopped, bit for bit: in an epoch, at its edge, in an accumulation, twice."""

import typing

import pytest
import torch

from tests.toy_runs import ACCUMULATION, RATES, STEPS, ToyRun, plan_of, toy_loss, toy_parts
from trainer_core.training.plan import OptimizerPlan, SchedulePlan

NAMES = typing.get_args(typing.get_type_hints(OptimizerPlan)["name"])
SCHEDULE = SchedulePlan(name="cosine_with_restarts", cycles=2, warmup_steps=2)
STOPS = {
    "in an epoch": [{"until": 6}],
    "at the edge of an epoch": [{"until": 4}],
    "after the first step": [{"until": 1}],
    "amid an accumulation": [{"interrupt_at": (5, 2)}],
    "before the first step": [{"interrupt_at": (0, 1)}],
    "twice in a row": [{"until": 5}, {"until": 6}],
    "twice amid one accumulation": [{"interrupt_at": (7, 1)}, {"interrupt_at": (7, 2)}],
    "without a step between": [{"until": 8}, {"until": 8}],
}


def equal(ones, others):
    return len(ones) == len(others) and all(map(torch.equal, ones, others))


@pytest.fixture(scope="module", params=NAMES)
def straight(request, tmp_path_factory):
    """A run that nothing stopped, and its weights."""
    run = ToyRun(tmp_path_factory.mktemp("straight"), plan_of(request.param), SCHEDULE)
    return run, run.train()


def test_every_optimizer_has_a_rate_here():
    assert set(NAMES) == set(RATES)


def test_the_toy_learns_so_that_its_weights_tell_runs_apart(straight):
    run, weights = straight
    untrained = toy_loss(toy_parts(), STEPS - 1, ACCUMULATION - 1)
    assert run.losses[STEPS - 1] < 0.7 * untrained
    assert all(torch.isfinite(weight).all() and weight.any() for weight in weights)


@pytest.mark.parametrize("stops", STOPS.values(), ids=STOPS)
def test_a_run_that_was_stopped_ends_with_the_same_weights(straight, stops, tmp_path):
    whole, expected = straight
    run = ToyRun(tmp_path, whole.plan, SCHEDULE)
    for stop in stops:
        assert not equal(run.train(**stop), expected)
    assert equal(run.train(), expected)
    assert run.losses == whole.losses
    assert run.kept.keys() == whole.kept.keys() and all(equal(run.kept[step], whole.kept[step]) for step in run.kept)


@pytest.mark.parametrize("name", ["AdamW", "Lion", "AdamWScheduleFree"])
def test_groups_of_lora_plus_go_on_as_well(name, tmp_path):
    plan = plan_of(name, lora_plus_ratio=4.0)
    expected = ToyRun(tmp_path / "straight", plan, SCHEDULE).train()
    run = ToyRun(tmp_path / "stopped", plan, SCHEDULE)
    run.train(until=5)
    assert equal(run.train(), expected)
    assert not equal(ToyRun(tmp_path / "plain", plan_of(name), SCHEDULE).train(), expected)
