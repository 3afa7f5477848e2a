"""The curves of the learning rate, against closed forms and against transformers' and diffusers' schedulers."""

import math

import pytest
import torch
import transformers
from diffusers.optimization import get_scheduler

from trainer_core.errors import TrainingError
from trainer_core.training.plan import SchedulePlan
from trainer_core.training.schedule import rate_factor

NAMES = ["constant", "linear", "cosine", "cosine_with_restarts", "polynomial", "rex", "wsd"]
FALLING = NAMES[1:]


def curve(total, **settings):
    plan = SchedulePlan(**settings)
    return [rate_factor(plan, step, total) for step in range(total)]


def peers_curve(total, make):
    """What a scheduler of torch's kind gives at each step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("name", NAMES)
def test_every_curve_starts_at_the_full_rate_and_stays_above_0(name):
    factors = curve(97, name=name)
    assert factors[0] == 1.0
    assert all(0 < factor <= 1 for factor in factors)


@pytest.mark.parametrize("name", sorted({*FALLING} - {"cosine_with_restarts"}))
def test_curves_without_restarts_only_fall_and_end_near_0(name):
    factors = curve(1000, name=name)
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] < 0.005


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"name": "constant"}, [1, 1, 1, 1]),
        ({"name": "linear"}, [1, 0.75, 0.5, 0.25]),
        ({"name": "cosine"}, [1, (2 + math.sqrt(2)) / 4, 0.5, (2 - math.sqrt(2)) / 4]),
        ({"name": "cosine_with_restarts", "cycles": 2}, [1, 0.5, 1, 0.5]),
        ({"name": "polynomial", "power": 2.0}, [1, 0.5625, 0.25, 0.0625]),
        ({"name": "polynomial", "power": 0.5}, [1, math.sqrt(0.75), math.sqrt(0.5), 0.5]),
        ({"name": "rex"}, [1, 0.75 / 0.875, 0.5 / 0.75, 0.25 / 0.625]),
        ({"name": "wsd", "decay_share": 0.5}, [1, 1, 1, 1 - math.sqrt(0.5)]),
        ({"name": "wsd", "decay_share": 1.0}, [1, 0.5, 1 - math.sqrt(0.5), 1 - math.sqrt(0.75)]),
    ],
)
def test_a_run_of_4_steps_has_these_factors(settings, expected):
    assert curve(4, **settings) == pytest.approx(expected)


@pytest.mark.parametrize(("cycles", "total"), [(1, 30), (3, 30), (5, 1000), (7, 49), (49, 343)])
def test_restarts_come_on_time_and_as_often_as_asked(cycles, total):
    factors = curve(total, name="cosine_with_restarts", cycles=cycles)
    assert [step for step, factor in enumerate(factors) if factor == 1.0] == list(range(0, total, total // cycles))


def test_rex_stays_above_linear_and_steepens():
    rex, linear = curve(100, name="rex"), curve(100, name="linear")
    assert all(a > b for a, b in zip(rex[1:], linear[1:], strict=True))
    falls = [before - after for before, after in zip(rex, rex[1:], strict=False)]
    assert falls == sorted(falls)


@pytest.mark.parametrize("name", NAMES)
def test_a_warm_up_climbs_evenly_from_its_first_step_to_the_full_rate(name):
    factors = curve(20, name=name, warmup_steps=4)
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


@pytest.mark.parametrize("name", sorted({*NAMES} - {"wsd"}))
def test_the_curve_behind_a_warm_up_is_that_of_a_shorter_run(name):
    assert curve(50, name=name, warmup_steps=10)[10:] == pytest.approx(curve(40, name=name))


def test_the_decay_of_wsd_is_a_share_of_the_whole_run_and_never_reaches_into_the_warm_up():
    factors = curve(100, name="wsd", warmup_steps=10, decay_share=0.3)
    assert factors[10:71] == [1.0] * 61 and factors[71] < 1
    assert curve(20, name="wsd", warmup_steps=15, decay_share=1.0)[15] == 1.0


@pytest.mark.parametrize("name", FALLING)
def test_the_floor_raises_the_end_and_leaves_the_start(name):
    plain, raised = curve(40, name=name), curve(40, name=name, floor=0.25)
    assert raised == pytest.approx([0.25 + 0.75 * factor for factor in plain])


def test_the_warm_up_starts_below_the_floor():
    assert curve(40, name="cosine", warmup_steps=9, floor=0.5)[0] == pytest.approx(0.1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("warmup", "total"), [(50, 10), (10, 10), (0, 1), (1, 2)])
def test_a_run_shorter_than_its_warm_up_or_of_one_step_is_no_error(name, warmup, total):
    factors = curve(total, name=name, warmup_steps=warmup)
    assert factors == pytest.approx([min(1.0, (step + 1) / (warmup + 1)) for step in range(total)])


PEERS = {
    "linear": ({}, lambda o, w, t: transformers.get_linear_schedule_with_warmup(o, w, t)),
    "cosine": ({}, lambda o, w, t: transformers.get_cosine_schedule_with_warmup(o, w, t)),
    "cosine_with_restarts": (
        {"cycles": 4},
        lambda o, w, t: transformers.get_cosine_with_hard_restarts_schedule_with_warmup(o, w, t, num_cycles=4),
    ),
    "polynomial": (
        {"power": 2.0, "floor": 0.1},
        lambda o, w, t: transformers.get_polynomial_decay_schedule_with_warmup(o, w, t, lr_end=0.1, power=2.0),
    ),
    "wsd": (
        {"decay_share": 0.25, "floor": 0.1},
        lambda o, w, t: transformers.get_wsd_schedule(
            o, w, round(t * 0.25), num_training_steps=t, decay_type="1-sqrt", min_lr_ratio=0.1
        ),
    ),
}
DIFFUSERS = {
    "constant_with_warmup": ({"name": "constant"}, {}),
    "linear": ({}, {}),
    "cosine": ({}, {}),
    "cosine_with_restarts": ({"cycles": 4}, {"num_cycles": 4}),
    "polynomial": ({"power": 3.0, "floor": 1e-7}, {"power": 3.0}),
}


@pytest.mark.parametrize("warmup", [0, 8])
@pytest.mark.parametrize("name", PEERS)
def test_behind_the_warm_up_the_rates_are_those_of_transformers_at_the_same_step(name, warmup):
    settings, make = PEERS[name]
    ours = curve(72, name=name, warmup_steps=warmup, **settings)
    theirs = peers_curve(72, lambda optimizer: make(optimizer, warmup, 72))
    assert ours[warmup:] == pytest.approx(theirs[warmup:], abs=1e-12)


@pytest.mark.parametrize("warmup", [0, 8])
@pytest.mark.parametrize("name", DIFFUSERS)
def test_behind_the_warm_up_the_rates_are_those_of_diffusers_at_the_same_step(name, warmup):
    settings, options = DIFFUSERS[name]
    ours = curve(72, **{"name": name, "warmup_steps": warmup} | settings)
    theirs = peers_curve(
        72, lambda optimizer: get_scheduler(name, optimizer, None, warmup, num_training_steps=72, **options)
    )
    assert ours[warmup:] == pytest.approx(theirs[warmup:], abs=1e-12)


def test_in_the_warm_up_they_are_those_of_a_warm_up_longer_by_the_lost_step_of_rate_0():
    theirs = peers_curve(20, lambda optimizer: transformers.get_constant_schedule_with_warmup(optimizer, 9))
    assert theirs[0] == 0
    assert curve(19, name="constant", warmup_steps=8) == pytest.approx(theirs[1:])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"warmup_steps": -1}, "warm-up steps"),
        ({"cycles": 0}, "cycles"),
        ({"power": 0.0}, "power"),
        ({"floor": 1.5}, "floor"),
        ({"floor": -0.1}, "floor"),
        ({"decay_share": 0.0}, "decay share"),
        ({"decay_share": 1.1}, "decay share"),
        ({"power": math.nan}, "power"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused_by_name(settings, words):
    with pytest.raises(TrainingError, match=words):
        SchedulePlan(**settings)
