"""What a step is measured by: the arithmetic of the UNet forward and of its inputs' gradients, with convolutions as
PyTorch computes them, at the device's best speed."""

from __future__ import annotations

import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from trainer_core.families.base_model import BaseModel
from trainer_core.families.cpu.matrices import linear
from trainer_core.training.precision import FORMATS

from .device_clock import synchronise

_SIDES_OF_MATRICES = {"cpu": (320, 640, 1280, 2048), "cuda": (2048, 4096, 8192)}
_TIMES = 10
_HELD = 0.5
"""Seconds."""


def flops_of_step(outline: BaseModel, side: int, batch: int) -> int:
    """Of the UNet forward and of its inputs' gradients, which are as many. `outline`: a model without storage."""
    unet, latent = outline.unet, side // outline.pixels_per_latent
    config, added = unet.config, None
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        if config.addition_embed_type == "text_time":
            pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
            added = {"text_embeds": torch.zeros(batch, pooled), "time_ids": torch.zeros(batch, 6)}
        states = torch.zeros(batch, 77, config.cross_attention_dim)
        unet(torch.zeros(batch, 4, latent, latent), torch.zeros(batch), states, added_cond_kwargs=added)
    return 2 * counter.get_total_flops()


@torch.no_grad()
def fastest_multiplication(device: str, precision: str) -> float:
    """FLOP/s of the best square multiplication, by PyTorch's own choice of library or, in fp32 on a CPU, by oneDNN.

    On a GPU fp32 is fp32, not TF32, as PyTorch has it where nobody says otherwise.
    """
    multiplications = [torch.mm]
    if (device, precision) == ("cpu", "fp32"):
        multiplications.append(linear)
    best = 0.0
    for side in _SIDES_OF_MATRICES[device]:
        a, b = (torch.randn(side, side, device=device, dtype=FORMATS[precision]) for _ in range(2))
        for multiply in multiplications:
            for _ in range(_TIMES):
                synchronise(device)
                began = time.perf_counter()
                multiply(a, b)
                synchronise(device)
                best = max(best, 2 * side**3 / (time.perf_counter() - began))
    return best


@torch.no_grad()
def held_multiplication(device: str, precision: str) -> float:
    """FLOP/s of a large square multiplication over and over, for half a second: a GPU that takes all the power it may
    is slower than in its best single one."""
    side = _SIDES_OF_MATRICES[device][-1]
    a, b = (torch.randn(side, side, device=device, dtype=FORMATS[precision]) for _ in range(2))
    answer, count = torch.mm(a, b), 0
    synchronise(device)
    began = time.perf_counter()
    while time.perf_counter() - began < _HELD:
        for _ in range(_TIMES):
            torch.mm(a, b, out=answer)
        synchronise(device)
        count += _TIMES
    return count * 2 * side**3 / (time.perf_counter() - began)
