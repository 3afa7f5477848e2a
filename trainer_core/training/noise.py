"""The noise of a step beyond plain white noise: offset, multi-resolution layers, input perturbation.

Each kind draws from a stream of its own for every step and place in the batch, on the CPU. So switching one on changes
neither the white noise nor the timesteps, and what a picture gets does not depend on the others of its batch.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from .batches import stream_seed
from .plan.noise import NoisePlan

# Shape suffixes: B batch, C latent channels, H and W latent height and width.


def shape_noise(noise_BCHW: Tensor, plan: NoisePlan, seed: int, step: int) -> Tensor:
    """White noise with the plan's offset and layers: what is added to the latents and what the target is made of."""
    pictures = []
    for place, noise_CHW in enumerate(noise_BCHW):
        if plan.offset:
            noise_CHW = noise_CHW + _offset(noise_CHW, plan, _generator(seed, "offset", step, place))
        if plan.multires_iterations:
            noise_CHW = _with_layers(noise_CHW, plan, _generator(seed, "multires", step, place))
        pictures.append(noise_CHW)
    return torch.stack(pictures)


def perturb_noise(noise_BCHW: Tensor, plan: NoisePlan, seed: int, step: int) -> Tensor:
    """Noise as the UNet is shown it (Ning et al., arXiv:2301.11706); the target stays made of `noise_BCHW`."""
    if not plan.perturbation:
        return noise_BCHW
    pictures = []
    for place, noise_CHW in enumerate(noise_BCHW):
        generator = _generator(seed, "perturbation", step, place)
        strength = _strength(plan.perturbation, plan.perturbation_random, generator)
        pictures.append(noise_CHW + strength * torch.randn(noise_CHW.shape, generator=generator))
    return torch.stack(pictures)


def _offset(noise_CHW: Tensor, plan: NoisePlan, generator: Generator) -> Tensor:
    """One value (C, 1, 1) for each channel: crosslabs.org/blog/diffusion-with-offset-noise."""
    strength = _strength(plan.offset, plan.offset_random, generator)
    return strength * torch.randn((len(noise_CHW), 1, 1), generator=generator)


def _with_layers(noise_CHW: Tensor, plan: NoisePlan, generator: Generator) -> Tensor:
    """Noise plus coarser layers, scaled back to unit variance (J. Whitaker, "Multi-Resolution Noise", 2023).

    Layer i is smaller by r^i, with r drawn anew between 2 and 4, and counts discount^i. Layer 0 is as large as the
    noise itself, so white noise counts twice, as in kohya's trainer: the usual discounts were found with it. Unlike
    there, the variance is one picture's and not the batch's; for a batch of one both give the same noise.
    """
    height, width = noise_CHW.shape[1:]
    total_CHW = noise_CHW
    for layer in range(plan.multires_iterations):
        shrink = (2 + 2 * torch.rand((), generator=generator).item()) ** layer
        size = max(1, int(height / shrink)), max(1, int(width / shrink))
        coarse_CHW = torch.randn((len(noise_CHW), *size), generator=generator)
        spread_CHW = F.interpolate(coarse_CHW[None], size=(height, width), mode="bilinear")[0]
        total_CHW = total_CHW + spread_CHW * plan.multires_discount**layer
        if 1 in size:
            break
    return total_CHW / total_CHW.std()


def _strength(largest: float, is_random: bool, generator: Generator) -> float:
    return largest * torch.rand((), generator=generator).item() if is_random else largest


def _generator(seed: int, stream: str, step: int, place: int) -> Generator:
    return Generator().manual_seed(stream_seed(seed, stream, step, place))
