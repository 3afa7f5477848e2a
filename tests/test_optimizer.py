"""Learning rates: which part gets which, and how they change."""

import pytest
import torch
from torch import nn

from trainer_core.training.optimizer import make_optimizer, rate_factor, set_rates
from trainer_core.training.plan import OptimizerPlan, SchedulePlan


def parameters(count):
    return [nn.Parameter(torch.ones(2)) for _ in range(count)]


def rates(plan, factor=1.0):
    optimizer = make_optimizer(plan, parameters(2), parameters(3))
    set_rates(optimizer, factor)
    return [(len(group["params"]), group["lr"]) for group in optimizer.param_groups]


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"learning_rate": 1e-3, "text_encoder_rate": None}, [(2, 1e-3), (3, 1e-3)]),
        ({"learning_rate": 1e-3, "unet_rate": 2e-4, "text_encoder_rate": 5e-5}, [(2, 2e-4), (3, 5e-5)]),
        ({"learning_rate": 1e-3, "text_encoder_rate": 0.0}, [(2, 1e-3)]),
        ({"learning_rate": 1e-3, "unet_rate": 0.0, "text_encoder_rate": None}, [(3, 1e-3)]),
        ({"learning_rate": 0.0, "unet_rate": 1e-4, "text_encoder_rate": None}, [(2, 1e-4)]),
    ],
)
def test_each_part_has_its_own_rate_and_rate_0_leaves_it_out(settings, expected):
    assert rates(OptimizerPlan(**settings)) == expected


def test_a_factor_scales_every_group():
    assert rates(OptimizerPlan(learning_rate=1.0, text_encoder_rate=0.5), 0.25) == [(2, 0.25), (3, 0.125)]


def test_weight_decay_reaches_the_optimizer():
    optimizer = make_optimizer(OptimizerPlan(weight_decay=0.3), parameters(1), [])
    assert optimizer.param_groups[0]["weight_decay"] == 0.3 and isinstance(optimizer, torch.optim.AdamW)


def test_constant_stays():
    assert {rate_factor(SchedulePlan(name="constant"), step, 10) for step in range(10)} == {1.0}


def test_cosine_falls_from_1_through_a_half_to_nearly_0():
    factors = [rate_factor(SchedulePlan(name="cosine"), step, 100) for step in range(100)]
    assert factors[0] == 1.0 and factors[50] == pytest.approx(0.5) and 0 < factors[-1] < 0.001
    assert factors == sorted(factors, reverse=True)


@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_warm_up_climbs_to_the_full_rate_and_the_rest_of_the_run_follows(name):
    factors = [rate_factor(SchedulePlan(name=name, warmup_steps=4), step, 20) for step in range(20)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert all(0 < factor <= 1 for factor in factors)


def test_a_warm_up_longer_than_the_run_is_no_error():
    assert rate_factor(SchedulePlan(name="cosine", warmup_steps=50), 9, 10) == pytest.approx(10 / 51)
