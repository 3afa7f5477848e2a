"""The loss as a picture."""

import numpy as np
import pytest

from trainer_core.training.loss_chart import loss_chart, round_ticks, running_mean

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "losses", [[], [0.1], [0.1, 0.1, 0.1], [NAN, NAN], [0.3, INF, 0.2], [0.0, 0.0], list(range(5000))]
)
def test_any_losses_make_a_chart(losses):
    assert loss_chart(losses, epoch_steps=[1, 2]).size == (960, 480)


def test_a_falling_loss_is_drawn_falling():
    picture = np.asarray(loss_chart([1 - i / 100 for i in range(100)])).astype(int)
    is_orange = (picture[..., 0] > 200) & (picture[..., 2] < 120)
    rows = [np.nonzero(is_orange[:, x])[0].mean() for x in range(120, 900, 60)]
    assert rows == sorted(rows)


def test_the_running_mean_starts_at_the_first_value_and_skips_nan():
    assert running_mean([2.0, 2.0, NAN, 2.0]) == pytest.approx([2.0] * 4)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0812, 0.1337, [0.09, 0.1, 0.11, 0.12, 0.13]),
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.03, 0.13, [0.04, 0.06, 0.08, 0.1, 0.12]),
        (0.11, 0.24, [0.125, 0.15, 0.175, 0.2, 0.225]),
        (1, 1200, [200, 400, 600, 800, 1000, 1200]),
        (1, 47, [10, 20, 30, 40]),
        (7, 7, [7]),
    ],
)
def test_ticks_are_round_numbers_within_the_axis(low, high, ticks):
    assert round_ticks(low, high, most=6) == ticks


@pytest.mark.parametrize("most", [2, 3, 6, 8])
@pytest.mark.parametrize("high", [1e-6, 0.0301, 0.7, 3.0, 99.0, 12345.0, 1e7])
@pytest.mark.parametrize("start", [0.0, 0.2, 0.999])
def test_an_axis_has_few_ticks_but_never_none(start, high, most):
    ticks = round_ticks(start * high, high, most=most)
    assert 1 <= len(ticks) <= most
    assert all(start * high * (1 - 1e-6) <= tick <= high * (1 + 1e-6) for tick in ticks)
