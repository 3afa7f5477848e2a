"""What the UNet is asked for, checked against the noising path itself."""

import math

import pytest
import torch

from tests.tiny_models import tiny_sd15, tiny_sdxl
from trainer_core.training.objective import loss_per_picture, noise_schedule, target


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
