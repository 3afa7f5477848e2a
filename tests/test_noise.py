"""What is added to white noise, against the formulas in float64 and against the statistics they promise."""

import math

import numpy as np
import pytest
import torch

from trainer_core.errors import TrainingError
from trainer_core.training.batches import stream_seed
from trainer_core.training.noise import perturb_noise, shape_noise
from trainer_core.training.plan.noise import NoisePlan


def white(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def stream(name, step=5, place=0, seed=7):
    return torch.Generator().manual_seed(stream_seed(seed, name, step, place))


def bilinear(values_HW, height, width):
    """Samples at the centres of the new pixels, edges repeated, in float64."""

    def axis(old, new):
        centre = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        below = np.floor(centre).astype(int)
        return below, np.minimum(below + 1, old - 1), centre - below

    y0, y1, fy = axis(values_HW.shape[0], height)
    x0, x1, fx = axis(values_HW.shape[1], width)
    upper = values_HW[y0][:, x0] * (1 - fx) + values_HW[y0][:, x1] * fx
    lower = values_HW[y1][:, x0] * (1 - fx) + values_HW[y1][:, x1] * fx
    return upper * (1 - fy)[:, None] + lower * fy[:, None]


def pyramid(noise_CHW, iterations, discount, generator):
    """kohya's multires noise for a batch of one, in float64, with the draws of `generator`."""
    channels, height, width = noise_CHW.shape
    total = noise_CHW.double().numpy().copy()
    for i in range(iterations):
        r = 2 + 2 * torch.rand((), generator=generator).item()
        h, w = max(1, int(height / r**i)), max(1, int(width / r**i))
        drawn = torch.randn((channels, h, w), generator=generator).double().numpy()
        total += discount**i * np.stack([bilinear(channel, height, width) for channel in drawn])
        if h == 1 or w == 1:
            break
    return total / total.std(ddof=1)


PLANS = [
    NoisePlan(offset=0.1),
    NoisePlan(offset=0.1, offset_random=True),
    NoisePlan(multires_iterations=6),
    NoisePlan(offset=0.05, multires_iterations=8, multires_discount=0.8),
]


def test_the_default_plan_leaves_white_noise_bit_for_bit():
    noise = white(3, 4, 8, 8)
    assert torch.equal(shape_noise(noise, NoisePlan(), 7, 5), noise)
    assert torch.equal(perturb_noise(noise, NoisePlan(), 7, 5), noise)


@pytest.mark.parametrize("is_random", [False, True])
def test_the_offset_is_one_value_for_a_channel(is_random):
    noise = white(2, 4, 8, 8)
    shaped = shape_noise(noise, NoisePlan(offset=0.1, offset_random=is_random), 7, 5)
    for place in range(2):
        generator = stream("offset", place=place)
        strength = 0.1 * torch.rand((), generator=generator).item() if is_random else 0.1
        expected = noise[place].double() + strength * torch.randn((4, 1, 1), generator=generator).double()
        torch.testing.assert_close(shaped[place].double(), expected, rtol=1e-6, atol=1e-6)


def test_the_offset_adds_its_square_to_the_variance_of_a_channels_mean():
    noise = white(4000, 4, 8, 8)
    means = shape_noise(noise, NoisePlan(offset=0.5), 0, 0).mean((2, 3)).flatten()
    assert means.var().item() == pytest.approx(1 / 64 + 0.25, rel=0.05)
    means = shape_noise(noise, NoisePlan(offset=0.5, offset_random=True), 0, 0).mean((2, 3)).flatten()
    assert means.var().item() == pytest.approx(1 / 64 + 0.25 / 3, rel=0.05), "E[u^2] = 1/3"


@pytest.mark.parametrize("iterations", [1, 2, 6, 10, 16])
@pytest.mark.parametrize("discount", [0.3, 0.8, 1.0])
@pytest.mark.parametrize("size", [(64, 64), (96, 64), (13, 7), (64, 1), (5, 40)])
def test_multires_noise_is_kohyas_for_a_batch_of_one(iterations, discount, size):
    noise = white(1, 4, *size)
    plan = NoisePlan(multires_iterations=iterations, multires_discount=discount)
    expected = pyramid(noise[0], iterations, discount, stream("multires"))
    np.testing.assert_allclose(shape_noise(noise, plan, 7, 5)[0].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_multires_noise_has_unit_variance_in_every_picture_and_more_of_it_is_coarse():
    noise = white(64, 4, 32, 32)

    def coarse_share(shaped):
        """Share of the variance that is left in blocks of 8 x 8: 1 / 64 for white noise."""
        return torch.nn.functional.avg_pool2d(shaped, 8).var().item()

    shares = [coarse_share(noise)]
    for discount in (0.3, 0.5, 0.8):
        shaped = shape_noise(noise, NoisePlan(multires_iterations=8, multires_discount=discount), 0, 0)
        torch.testing.assert_close(shaped.std((1, 2, 3)), torch.ones(64))
        shares.append(coarse_share(shaped))
    assert shares[0] == pytest.approx(1 / 64, rel=0.1) and shares == sorted(shares) and shares[3] > 0.2


def test_the_offset_comes_before_the_layers_which_scale_it_too():
    noise = white(1, 4, 16, 16)
    both = shape_noise(noise, NoisePlan(offset=0.5, multires_iterations=3), 7, 5)
    offset = shape_noise(noise, NoisePlan(offset=0.5), 7, 5)
    np.testing.assert_allclose(both[0].numpy(), pyramid(offset[0], 3, 0.3, stream("multires")), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("is_random", [False, True])
def test_perturbation_is_shown_beside_the_noise_by_its_strength(is_random):
    noise = white(2, 4, 8, 8)
    shown = perturb_noise(noise, NoisePlan(perturbation=0.1, perturbation_random=is_random), 7, 5)
    for place in range(2):
        generator = stream("perturbation", place=place)
        strength = 0.1 * torch.rand((), generator=generator).item() if is_random else 0.1
        expected = noise[place].double() + strength * torch.randn((4, 8, 8), generator=generator).double()
        torch.testing.assert_close(shown[place].double(), expected, rtol=1e-6, atol=1e-6)


def test_perturbation_adds_its_square_to_the_variance():
    noise = white(200, 4, 16, 16)
    assert perturb_noise(noise, NoisePlan(perturbation=0.5), 0, 0).var().item() == pytest.approx(1.25, rel=0.02)
    drawn = perturb_noise(noise, NoisePlan(perturbation=0.5, perturbation_random=True), 0, 0)
    assert drawn.var().item() == pytest.approx(1 + 0.25 / 3, rel=0.02)


@pytest.mark.parametrize("plan", PLANS)
def test_a_pictures_noise_does_not_depend_on_the_others_of_its_batch(plan):
    noise = white(3, 4, 12, 8)
    mates = noise.clone()
    mates[1:] = 9 * white(2, 4, 12, 8, seed=1)
    assert torch.equal(shape_noise(noise, plan, 7, 5)[0], shape_noise(mates, plan, 7, 5)[0])
    assert torch.equal(shape_noise(noise, plan, 7, 5)[0], shape_noise(noise[:1], plan, 7, 5)[0])


@pytest.mark.parametrize("plan", PLANS)
def test_the_draw_follows_from_seed_step_and_place_alone(plan):
    noise = white(1, 4, 8, 8).expand(2, 4, 8, 8)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    shaped = shape_noise(noise, plan, 7, 5)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(shape_noise(noise, plan, 7, 5), shaped)
    assert not torch.equal(shaped[0], shaped[1])
    assert not torch.equal(shape_noise(noise, plan, 7, 6), shaped)
    assert not torch.equal(shape_noise(noise, plan, 8, 5), shaped)


def test_perturbation_is_drawn_apart_from_the_offset_and_from_each_step():
    zeros = torch.zeros(2, 4, 8, 8)
    plan = NoisePlan(perturbation=1.0)
    shown = perturb_noise(zeros, plan, 7, 5)
    assert torch.equal(perturb_noise(zeros, plan, 7, 5), shown)
    assert not torch.equal(perturb_noise(zeros, plan, 7, 6), shown) and not torch.equal(shown[0], shown[1])
    assert not torch.equal(shown[0, 0, 0, :4], shape_noise(zeros, NoisePlan(offset=1.0), 7, 5)[0, :, 0, 0])


def test_the_white_noise_that_comes_in_is_left_as_it_was():
    noise = white(2, 4, 8, 8)
    kept = noise.clone()
    plan = NoisePlan(offset=1.0, multires_iterations=4, perturbation=1.0)
    perturb_noise(shape_noise(noise, plan, 0, 0), plan, 0, 0)
    assert torch.equal(noise, kept)


@pytest.mark.parametrize(
    "field, value, words",
    [
        ("offset", -0.1, "noise offset must be between 0 and 1, got -0.1. 0.05 is usual."),
        ("offset", math.nan, "noise offset"),
        ("offset", 1.5, "noise offset"),
        ("multires_iterations", -1, "multires iterations must be between 0 and 16, got -1"),
        ("multires_iterations", 17, "multires iterations"),
        ("multires_discount", 0.0, "multires discount must be above 0 and at most 1, got 0"),
        ("multires_discount", 1.1, "multires discount"),
        ("perturbation", -1.0, "input perturbation must be between 0 and 1, got -1"),
        ("perturbation", math.inf, "input perturbation"),
    ],
)
def test_a_value_that_makes_no_noise_is_refused(field, value, words):
    with pytest.raises(TrainingError, match=words):
        NoisePlan(**{field: value})
