"""Timestep weights, each derived anew in float64 from what it does to the error in the picture."""

import math

import numpy as np
import pytest
import torch

from tests.tiny_models import tiny_sdxl
from trainer_core.errors import TrainingError
from trainer_core.training.objective import noise_schedule
from trainer_core.training.plan.weighting import WeightingPlan
from trainer_core.training.weighting import signal_to_noise, timestep_weights


def alpha_bar(zero_snr):
    """Stable Diffusion's schedule, and Lin et al.'s rescaling of it, in float64."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    root = np.cumprod(1 - betas) ** 0.5
    return (root if not zero_snr else (root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2


def snr(zero_snr=False):
    return alpha_bar(zero_snr) / (1 - alpha_bar(zero_snr))


@pytest.fixture(scope="module")
def schedules():
    """A schedule for each prediction type, with and without zero terminal SNR."""
    models = {}
    for prediction in ("epsilon", "v_prediction"):
        for zero_snr in (False, True):
            model = tiny_sdxl(prediction_type=prediction)
            model.zero_terminal_snr = zero_snr
            models[prediction, zero_snr] = noise_schedule(model)
    return models


KINDS = [("epsilon", False), ("v_prediction", False), ("epsilon", True), ("v_prediction", True)]


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_weight_every_timestep_counts_exactly_one(schedules, kind):
    weights = timestep_weights(WeightingPlan(), schedules[kind])
    assert weights.dtype == torch.float32 and torch.equal(weights, torch.ones(1000))


@pytest.mark.parametrize("zero_snr", [False, True])
def test_the_ratio_is_taken_from_the_schedule_as_it_is_trained(schedules, zero_snr):
    ratio = signal_to_noise(schedules["v_prediction", zero_snr]).numpy()
    np.testing.assert_allclose(ratio[:990], snr(zero_snr)[:990], rtol=2e-3)
    assert ratio[-1] == (0 if zero_snr else pytest.approx(0.004682, rel=1e-3))


def error_ratios(prediction, zero_snr):
    """The squared error of the UNet's answer over that of the picture it means, measured at every timestep.

    The noisy latent z = a x + s e is known, so a picture wrong by d means a noise wrong by -a d / s, and a velocity
    v = a e - s x wrong by -(a^2 / s + s) d.
    """
    a, s = alpha_bar(zero_snr) ** 0.5, (1 - alpha_bar(zero_snr)) ** 0.5
    wrong_by = a / s if prediction == "epsilon" else a**2 / s + s
    return wrong_by**2


@pytest.mark.parametrize("prediction, zero_snr", KINDS)
@pytest.mark.parametrize("gamma", [1.0, 5.0, 20.0])
def test_min_snr_counts_an_error_in_the_picture_by_the_capped_ratio_whatever_the_unet_answers(
    schedules, prediction, zero_snr, gamma
):
    weights = timestep_weights(WeightingPlan(min_snr_gamma=gamma), schedules[prediction, zero_snr]).double().numpy()
    in_the_picture = weights * error_ratios(prediction, zero_snr)
    np.testing.assert_allclose(in_the_picture[:990], np.minimum(snr(zero_snr), gamma)[:990], rtol=2e-3)
    np.testing.assert_allclose(in_the_picture[990:], np.minimum(snr(zero_snr), gamma)[990:], rtol=0.1, atol=1e-6)


def test_debiased_is_the_papers_root_for_the_noise_and_even_in_the_picture_for_the_velocity(schedules):
    plan = WeightingPlan(debiased=True)
    noise = timestep_weights(plan, schedules["epsilon", False]).double().numpy()
    np.testing.assert_allclose(noise[1:], snr()[1:] ** -0.5, rtol=1e-3)
    velocity = timestep_weights(plan, schedules["v_prediction", False]).double().numpy()
    in_the_picture = velocity * error_ratios("v_prediction", False)
    np.testing.assert_allclose(in_the_picture[1:], np.ones(999), rtol=1e-3)


def test_a_scaled_velocity_loss_is_the_noises_and_a_noise_loss_takes_in_the_velocitys(schedules):
    as_noise = error_ratios("epsilon", False) / error_ratios("v_prediction", False)
    scaled = timestep_weights(WeightingPlan(scale_v_prediction=True), schedules["v_prediction", False])
    np.testing.assert_allclose(scaled.numpy()[1:], as_noise[1:], rtol=1e-3)
    like = timestep_weights(WeightingPlan(v_prediction_like=0.25), schedules["epsilon", False])
    np.testing.assert_allclose(like.numpy()[1:], 1 + 0.25 / as_noise[1:], rtol=1e-3)


def kohya(snr, is_velocity, gamma=0.0, scale_v=False, v_like=0.0, debiased=False):
    """What kohya's trainer makes of a loss of 1, step by step in its order."""
    bounded = np.minimum(snr, 1000)
    loss = np.ones_like(snr)
    if gamma:
        loss = loss * np.minimum(snr, gamma) / (snr + 1 if is_velocity else snr)
    if scale_v:
        loss = loss * bounded / (bounded + 1)
    if v_like:
        loss = loss + loss / (bounded / (bounded + 1)) * v_like
    if debiased:
        loss = loss / (bounded + 1 if is_velocity else bounded**0.5)
    return loss


@pytest.mark.parametrize("gamma", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("debiased", [False, True])
@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize("is_velocity", [False, True])
def test_every_combination_gives_kohyas_numbers_at_every_timestep(schedules, gamma, debiased, extra, is_velocity):
    scale_v, v_like = extra and is_velocity, 0.5 if extra and not is_velocity else 0.0
    plan = WeightingPlan(min_snr_gamma=gamma, debiased=debiased, scale_v_prediction=scale_v, v_prediction_like=v_like)
    weights = timestep_weights(plan, schedules["v_prediction" if is_velocity else "epsilon", False])
    expected = kohya(snr(), is_velocity, gamma, scale_v, v_like, debiased)
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-3)


@pytest.mark.parametrize(
    "prediction, plan",
    [
        ("epsilon", WeightingPlan(min_snr_gamma=5.0)),
        ("epsilon", WeightingPlan(debiased=True)),
        ("epsilon", WeightingPlan(v_prediction_like=1.0)),
        ("v_prediction", WeightingPlan(min_snr_gamma=5.0)),
        ("v_prediction", WeightingPlan(debiased=True)),
        ("v_prediction", WeightingPlan(scale_v_prediction=True)),
    ],
)
def test_zero_terminal_snr_divides_nothing_by_zero(schedules, prediction, plan):
    rescaled = timestep_weights(plan, schedules[prediction, True])
    plain = timestep_weights(plan, schedules[prediction, False])
    assert torch.isfinite(rescaled).all() and (rescaled >= 0).all()
    assert rescaled.max() <= plain.max() * 1.01, "no weight beyond the largest of the schedule without rescaling"


def test_at_zero_snr_min_snr_counts_noise_in_full_and_velocity_not_at_all(schedules):
    plan = WeightingPlan(min_snr_gamma=5.0)
    assert timestep_weights(plan, schedules["epsilon", True])[-1] == 1
    assert timestep_weights(plan, schedules["v_prediction", True])[-1] == 0


def test_a_weight_for_the_other_prediction_type_is_refused(schedules):
    with pytest.raises(TrainingError, match="needs v-prediction.*Turn it off"):
        timestep_weights(WeightingPlan(scale_v_prediction=True), schedules["epsilon", False])
    with pytest.raises(TrainingError, match="models that predict noise.*Set it to 0"):
        timestep_weights(WeightingPlan(v_prediction_like=1.0), schedules["v_prediction", False])


@pytest.mark.parametrize("field", ["min_snr_gamma", "v_prediction_like"])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_a_weight_below_zero_or_not_finite_is_refused(field, value):
    with pytest.raises(TrainingError, match="0 or more"):
        WeightingPlan(**{field: value})
