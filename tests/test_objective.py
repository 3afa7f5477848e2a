"""What the UNet is asked for, checked against the noising path itself."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.tiny_models import tiny_sd15, tiny_sdxl
from trainer_core.errors import TrainingError
from trainer_core.training.objective import (
    apply_prediction,
    huber_thresholds,
    loss_per_picture,
    noise_schedule,
    target,
)
from trainer_core.training.plan.loss import LossPlan
from trainer_core.training.plan.timesteps import TimestepPlan
from trainer_core.training.plan.weighting import WeightingPlan
from trainer_core.training.weighting import timestep_weights


@pytest.fixture(scope="module")
def epsilon():
    return noise_schedule(tiny_sd15())


@pytest.fixture(scope="module")
def velocity():
    return noise_schedule(tiny_sdxl(prediction_type="v_prediction"))


def draw(count=4):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, count, 4, 8, 8, generator=generator)


def test_the_schedule_is_stable_diffusions(epsilon):
    sigma = ((1 - epsilon.alphas_cumprod) / epsilon.alphas_cumprod).sqrt()
    assert float(sigma[0]) == pytest.approx(0.0292, abs=1e-4) and float(sigma[-1]) == pytest.approx(14.6146, abs=1e-3)


def test_an_epsilon_model_is_asked_for_the_noise_that_was_added(epsilon):
    x, noise = draw()
    t = torch.tensor([0, 300, 700, 999])
    noisy = epsilon.add_noise(x, noise, t)
    alpha_bar = epsilon.alphas_cumprod[t][:, None, None, None]
    recovered = (noisy - alpha_bar.sqrt() * x) / (1 - alpha_bar).sqrt()
    torch.testing.assert_close(target(epsilon, x, noise, t), recovered, rtol=1e-3, atol=1e-3)


def test_a_velocity_model_is_asked_for_the_slope_of_the_noising_path(velocity):
    """With angle phi, cos phi = sqrt(alpha_bar): v is d(cos phi x + sin phi noise) / d phi."""
    x, noise = draw()
    t = torch.tensor([10, 300, 700, 990])
    phi = torch.acos(velocity.alphas_cumprod[t].double().sqrt())[:, None, None, None]
    step = 1e-5
    ahead = torch.cos(phi + step) * x + torch.sin(phi + step) * noise
    behind = torch.cos(phi - step) * x + torch.sin(phi - step) * noise
    slope = (ahead - behind) / (2 * step)
    torch.testing.assert_close(target(velocity, x, noise, t).double(), slope, rtol=1e-3, atol=1e-3)


def test_zero_terminal_snr_leaves_nothing_of_the_picture_at_the_end(velocity, epsilon):
    assert float(velocity.alphas_cumprod[-1]) < 1e-6 < float(epsilon.alphas_cumprod[-1])
    assert math.isclose(float(velocity.alphas_cumprod[0]), float(epsilon.alphas_cumprod[0]), rel_tol=1e-4)


def test_each_picture_has_its_own_loss_in_fp32():
    zeros = torch.zeros(3, 4, 8, 8, dtype=torch.bfloat16)
    offsets = torch.tensor([0.0, 1.0, 2.0])[:, None, None, None].expand(3, 4, 8, 8)
    loss = loss_per_picture(zeros, offsets)
    assert loss.dtype == torch.float32 and loss.tolist() == [0.0, 1.0, 4.0]


# ------------------------------------------------------------------------------------------------- huber and smooth L1

KINDS = ["l2", "huber", "smooth_l1"]


def error(kind, d, c):
    """The penalty of a difference as the paper writes it, in float64."""
    root = np.sqrt(d.astype(np.float64) ** 2 + c**2) - c
    return {"l2": d.astype(np.float64) ** 2, "huber": 2 * c * root, "smooth_l1": 2 * root}[kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [0.01, 0.3, 3.0, 100.0])
def test_every_kind_of_loss_is_its_formula(kind, scale):
    predicted, wanted = draw() * scale
    c = torch.tensor([1.0, 0.5, 0.1, 0.01])
    expected = error(kind, (predicted - wanted).numpy(), c.double().numpy()[:, None, None, None]).mean((1, 2, 3))
    np.testing.assert_allclose(loss_per_picture(predicted, wanted, None, kind, c), expected, rtol=1e-5)


def test_huber_is_l2_for_small_errors_and_grows_with_the_size_of_large_ones():
    def loss(kind, difference, c=0.1):
        ones = torch.ones(1, 4, 8, 8)
        return loss_per_picture(ones * difference, torch.zeros(1, 4, 8, 8), None, kind, torch.tensor([c])).item()

    assert loss("huber", 1e-4) == pytest.approx(1e-8, rel=1e-5), "not lost to rounding"
    assert loss("huber", 200) == pytest.approx(2 * loss("huber", 100), rel=1e-2)
    assert loss("smooth_l1", 1e-4) == pytest.approx(1e-8 / 0.1, rel=1e-5)
    assert loss("smooth_l1", 100) == pytest.approx(200, rel=1e-2)


@pytest.mark.parametrize("c", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("schedule", ["constant", "exponential", "snr"])
@pytest.mark.parametrize("model", ["epsilon", "velocity"])
def test_the_threshold_follows_its_schedule(request, schedule, c, model):
    noise = request.getfixturevalue(model)
    thresholds = huber_thresholds(LossPlan(huber_c=c, huber_schedule=schedule), noise)
    alpha_bar = noise.alphas_cumprod.double().numpy()
    with np.errstate(divide="ignore"):
        sigma = np.sqrt((1 - alpha_bar) / alpha_bar)
    expected = {
        "constant": np.full(1000, c),
        "exponential": np.exp(np.log(c) * np.arange(1000) / 1000),
        "snr": (1 - c) / (1 + sigma) ** 2 + c,
    }[schedule]
    assert thresholds.dtype == torch.float32
    np.testing.assert_allclose(thresholds, expected, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_mask_and_a_weight_of_one_change_no_bit(kind):
    predicted, wanted = draw()
    threshold = torch.full((4,), 0.1)
    plain = loss_per_picture(predicted, wanted, None, kind, threshold)
    assert torch.equal(loss_per_picture(predicted, wanted, torch.ones(4, 1, 8, 8), kind, threshold), plain)
    if kind == "l2":
        assert torch.equal(loss_per_picture(predicted, wanted), plain)


@pytest.mark.parametrize("c", [0.0, -0.1, 1.5, math.nan])
def test_a_threshold_without_a_meaning_is_refused(c):
    with pytest.raises(TrainingError, match="huber c must be above 0 and at most 1"):
        LossPlan(huber_c=c)


# ----------------------------------------------------------------------------------------------------------- gradients


class ToyUnet(nn.Module):
    """A 1 x 1 convolution and a tanh: small enough to differentiate by trying."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4, generator=torch.Generator().manual_seed(2)))

    def forward(self, x_BCHW):
        return torch.einsum("dc,bchw->bdhw", self.weight, x_BCHW).tanh()


def toy_loss(weight, x, noise, mask, alpha_bar, per_timestep, threshold, prior, kind, is_velocity):
    """The whole loss of a step in float64 from first principles, for any weight matrix."""
    a, s = np.sqrt(alpha_bar)[:, None, None, None], np.sqrt(1 - alpha_bar)[:, None, None, None]
    answer = np.tanh(np.einsum("dc,bchw->bdhw", weight, a * x + s * noise))
    wanted = a * noise - s * x if is_velocity else noise
    penalty = error(kind, answer - wanted, threshold[:, None, None, None]) * mask
    return np.mean(penalty.mean((1, 2, 3)) * per_timestep * prior)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", ["epsilon", "velocity"])
@pytest.mark.parametrize("weighting", [WeightingPlan(), WeightingPlan(min_snr_gamma=5.0), WeightingPlan(debiased=True)])
@pytest.mark.parametrize("masked", [False, True])
def test_gradients_of_masked_and_weighted_losses_are_those_found_by_trying(request, kind, model, weighting, masked):
    schedule = request.getfixturevalue(model)
    x, noise = draw()
    t = torch.tensor([3, 250, 600, 950])
    prior = torch.tensor([1.0, 0.3, 1.0, 0.0])
    mask = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(3)) if masked else None
    per_timestep = timestep_weights(weighting, schedule)[t]
    threshold = huber_thresholds(LossPlan(), schedule)[t]

    unet = ToyUnet()
    answer = unet(schedule.add_noise(x, noise, t))
    loss_B = loss_per_picture(answer, target(schedule, x, noise, t), mask, kind, threshold)
    loss = (loss_B * per_timestep * prior).mean()
    loss.backward()

    def loss_at(weight):
        return toy_loss(
            weight,
            x.double().numpy(),
            noise.double().numpy(),
            1.0 if mask is None else mask.double().numpy(),
            schedule.alphas_cumprod[t].double().numpy(),
            per_timestep.double().numpy(),
            threshold.double().numpy(),
            prior.double().numpy(),
            kind,
            model == "velocity",
        )

    start = unet.weight.detach().double().numpy()
    assert loss.item() == pytest.approx(loss_at(start), rel=1e-4)
    by_trying = np.zeros((4, 4))
    for row, column in np.ndindex(4, 4):
        nudge = np.zeros((4, 4))
        nudge[row, column] = 1e-5
        by_trying[row, column] = (loss_at(start + nudge) - loss_at(start - nudge)) / 2e-5
    np.testing.assert_allclose(unet.weight.grad, by_trying, rtol=1e-3, atol=1e-5 * abs(by_trying).max())


# ------------------------------------------------------------------------------------------- what the base model is for


def test_a_plan_that_says_nothing_leaves_the_base_model_as_it_is():
    for model in (tiny_sd15(), tiny_sdxl(prediction_type="v_prediction")):
        before = model.prediction_type, model.zero_terminal_snr
        apply_prediction(model, TimestepPlan())
        assert (model.prediction_type, model.zero_terminal_snr) == before


def test_a_plan_says_for_a_file_that_does_not_what_it_was_made_for():
    model = tiny_sdxl()
    apply_prediction(model, TimestepPlan(prediction="v_prediction", zero_terminal_snr="on"))
    schedule = noise_schedule(model)
    assert schedule.config.prediction_type == "v_prediction" and float(schedule.alphas_cumprod[-1]) < 1e-6
    apply_prediction(model, TimestepPlan(zero_terminal_snr="off"))
    assert model.prediction_type == "v_prediction" and float(noise_schedule(model).alphas_cumprod[-1]) > 1e-3
    apply_prediction(model, TimestepPlan(prediction="epsilon"))
    x, noise = draw()
    assert target(noise_schedule(model), x, noise, torch.tensor([0, 1, 2, 3])) is noise


@pytest.mark.parametrize(
    "made, plan",
    [
        ("epsilon", TimestepPlan(zero_terminal_snr="on")),
        ("v_prediction", TimestepPlan(prediction="epsilon")),
    ],
)
def test_noise_is_not_asked_for_where_nothing_else_is_left(made, plan):
    model = tiny_sdxl(prediction_type=made)
    with pytest.raises(TrainingError, match="zero terminal SNR needs v-prediction"):
        apply_prediction(model, plan)
    assert model.prediction_type == made, "refused, so left alone"


def test_a_base_model_that_says_both_of_itself_is_let_be():
    model = tiny_sdxl()
    model.zero_terminal_snr = True
    apply_prediction(model, TimestepPlan())
    assert (model.prediction_type, model.zero_terminal_snr) == ("epsilon", True)
