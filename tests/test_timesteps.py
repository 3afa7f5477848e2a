"""Which timesteps are drawn: in range, as often as the plan says, the same for the same generator."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from trainer_core.errors import TrainingError
from trainer_core.training.objective import TIMESTEPS
from trainer_core.training.plan.timesteps import TimestepPlan
from trainer_core.training.timesteps import draw_timesteps

SAMPLINGS = ["uniform", "logit_normal", "content", "style"]


def draw(plan, count=40_000, seed=0):
    return draw_timesteps(count, plan, torch.Generator().manual_seed(seed))


def test_the_default_draws_what_was_always_drawn():
    generator = torch.Generator().manual_seed(11)
    noise = torch.randn(4, generator=generator)
    drawn = draw_timesteps(3, TimestepPlan(), generator)
    again = torch.Generator().manual_seed(11)
    assert torch.equal(noise, torch.randn(4, generator=again))
    assert torch.equal(drawn, torch.randint(0, TIMESTEPS, (3,), generator=again)) and drawn.dtype == torch.int64


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("first, last", [(0, 999), (200, 300), (0, 1), (999, 999), (0, 0)])
def test_both_ends_of_the_range_are_drawn_and_nothing_beyond(sampling, first, last):
    drawn = draw(TimestepPlan(first=first, last=last, sampling=sampling, logit_std=2.0), 200_000)
    assert drawn.min() == first and drawn.max() == last and drawn.dtype == torch.int64


CUMULATIVE = {
    "uniform": lambda u: u,
    "logit_normal": lambda u: norm.cdf((np.log(u / (1 - u)) - 0.5) / 0.8),
    "content": lambda u: 1 - (1 - u) ** (1 / 3),
    "style": lambda u: u ** (1 / 3),
}


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("first, last", [(0, 999), (100, 599)])
def test_draws_are_spread_as_the_formula_says(sampling, first, last):
    """Kolmogorov-Smirnov: the largest gap between the drawn and the exact distribution, over 40,000 draws."""
    drawn = draw(TimestepPlan(first=first, last=last, sampling=sampling, logit_mean=0.5, logit_std=0.8)).numpy()
    edges = np.arange(first + 1, last + 1)
    exact = CUMULATIVE[sampling]((edges - first) / (last - first + 1))
    observed = np.searchsorted(np.sort(drawn), edges, side="left") / len(drawn)
    assert np.abs(observed - exact).max() < 1.63 / math.sqrt(len(drawn)), "1 % level"


def test_content_leans_to_the_noisy_end_and_style_is_its_mirror_image():
    content, style = draw(TimestepPlan(sampling="content")), draw(TimestepPlan(sampling="style"))
    assert content.double().mean() > 700 > 300 > style.double().mean()
    assert torch.equal(content, 999 - style)
    flat = draw(TimestepPlan(sampling="content", bias=1.0)).double().mean()
    assert flat == pytest.approx(499.5, abs=6)
    assert draw(TimestepPlan(sampling="content", bias=6.0)).double().mean() > content.double().mean()


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_draw_follows_from_the_generator_alone(sampling):
    plan = TimestepPlan(sampling=sampling)
    before = torch.random.get_rng_state()
    assert torch.equal(draw(plan, 50), draw(plan, 50)) and not torch.equal(draw(plan, 50), draw(plan, 50, seed=1))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    "values, words",
    [
        ({"first": -1}, "first timestep must be between 0 and 999, got -1"),
        ({"first": 1000}, "first timestep"),
        ({"last": 1000}, "last timestep must be between the first, 0, and 999, got 1000"),
        ({"first": 500, "last": 499}, "between the first, 500, and 999, got 499"),
        ({"logit_mean": 5.0}, "logit mean"),
        ({"logit_mean": math.nan}, "logit mean"),
        ({"logit_std": 0.0}, "logit std must be above 0"),
        ({"bias": 0.5}, "timestep bias must be between 1 and 10"),
        ({"prediction": "epsilon", "zero_terminal_snr": "on"}, "needs v-prediction.*v_prediction.*off"),
    ],
)
def test_a_range_or_shape_that_cannot_be_drawn_is_refused(values, words):
    with pytest.raises(TrainingError, match=words):
        TimestepPlan(**values)
