"""The loss as a picture."""

import numpy as np
import pytest

from trainer_core.training.loss_chart import loss_chart, running_mean

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
