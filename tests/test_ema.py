"""The average of the weights, against the sum it stands for, and exact on resume."""

import math

import pytest
import torch
from torch import nn

from trainer_core.errors import TrainingError
from trainer_core.training.ema import WeightAverage
from trainer_core.training.plan.ema import EmaPlan


def parameters():
    return [nn.Parameter(torch.randn(3, 2, generator=torch.Generator().manual_seed(i))) for i in range(3)]


def walk(weights, step):
    """Weights after a step: any path, the same each time."""
    with torch.no_grad():
        for place, weight in enumerate(weights):
            weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(100 * step + place)))


def averaged(average, weights):
    with average.in_place():
        return [weight.detach().clone() for weight in weights]


@pytest.mark.parametrize("warm_up", [False, True])
@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_the_average_is_the_weighted_sum_of_all_the_steps(decay, warm_up):
    weights = parameters()
    average = WeightAverage(weights, EmaPlan(decay=decay, warm_up=warm_up))
    steps = range(1, 31)
    decays = [min(decay, (1 + k) / (10 + k)) if warm_up else decay for k in steps]
    expected = [weight.detach().double() * math.prod(decays) for weight in weights]
    for k in steps:
        walk(weights, k)
        share = (1 - decays[k - 1]) * math.prod(decays[k:])
        expected = [e + share * weight.detach().double() for e, weight in zip(expected, weights, strict=True)]
        average.update(k)
    for mean, wanted in zip(averaged(average, weights), expected, strict=True):
        torch.testing.assert_close(mean.double(), wanted, rtol=1e-5, atol=1e-6)


def test_a_warm_average_forgets_its_start_within_a_short_run():
    def share_of_the_start(warm_up):
        weight = nn.Parameter(torch.ones(1))
        average = WeightAverage([weight], EmaPlan(decay=0.999, warm_up=warm_up))
        with torch.no_grad():
            weight.zero_()
        for step in range(1, 101):
            average.update(step)
        return averaged(average, [weight])[0].item()

    assert share_of_the_start(True) < 1e-6 < 0.9 < share_of_the_start(False)


def test_the_weights_hold_the_average_for_a_while_and_are_then_exactly_as_before():
    weights = parameters()
    average = WeightAverage(weights, EmaPlan(decay=0.9))
    walk(weights, 1)
    average.update(1)
    trained = [weight.detach().clone() for weight in weights]
    addresses = [weight.data_ptr() for weight in weights]
    with pytest.raises(KeyError), average.in_place():
        assert not any(torch.equal(weight, kept) for weight, kept in zip(weights, trained, strict=True))
        raise KeyError
    assert all(torch.equal(weight, kept) for weight, kept in zip(weights, trained, strict=True))
    assert [weight.data_ptr() for weight in weights] == addresses and all(weight.requires_grad for weight in weights)


def test_what_was_averaged_does_not_follow_the_weights():
    weights = parameters()
    average = WeightAverage(weights, EmaPlan(decay=0.9))
    before = average.tensors()
    walk(weights, 1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in average.tensors().items())
    average.update(1)
    assert not any(torch.equal(tensor, before[name]) for name, tensor in average.tensors().items())


@pytest.mark.parametrize("stops", [(1,), (7,), (7, 8), (19,)])
def test_a_resumed_average_is_bit_for_bit_the_uninterrupted_one(stops):
    plan = EmaPlan(decay=0.99)

    def run(stops):
        weights = parameters()
        average = WeightAverage(weights, plan)
        for step in range(1, 21):
            walk(weights, step)
            average.update(step)
            if step in stops:
                state = average.tensors()
                average = WeightAverage(weights, plan)
                average.load(state)
        return average.tensors()

    straight, resumed = run(()), run(stops)
    assert straight.keys() == resumed.keys() == {"0", "1", "2"}
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_an_average_of_another_lora_is_refused():
    average = WeightAverage(parameters(), EmaPlan(decay=0.9))
    state = average.tensors()
    with pytest.raises(TrainingError, match="average is not of this LoRA"):
        average.load({name: tensor for name, tensor in state.items() if name != "2"})
    with pytest.raises(TrainingError, match="average is not of this LoRA"):
        average.load(state | {"1": torch.zeros(4)})


def test_without_a_decay_nothing_is_held_and_nothing_happens():
    weights = parameters()
    average = WeightAverage(weights, EmaPlan())
    walk(weights, 1)
    kept = [weight.detach().clone() for weight in weights]
    average.update(1)
    with average.in_place():
        assert all(torch.equal(weight, k) for weight, k in zip(weights, kept, strict=True))
    average.load({})
    assert average.tensors() == {}


def test_gradients_see_nothing_of_the_average():
    weights = parameters()
    average = WeightAverage(weights, EmaPlan(decay=0.9))
    sum((weight**2).sum() for weight in weights).backward()
    average.update(1)
    assert not any(tensor.requires_grad for tensor in average.tensors().values())


@pytest.mark.parametrize("decay", [-0.1, 1.0, 1.5, math.nan])
def test_a_decay_that_keeps_all_or_more_is_refused(decay):
    with pytest.raises(TrainingError, match="EMA decay must be at least 0 and below 1"):
        EmaPlan(decay=decay)
