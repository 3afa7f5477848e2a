"""What a base model's layers do otherwise on a device than diffusers has it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from ..families.attention import use_attention
from ..families.base_model import BaseModel
from ..families.cpu.attention import attend
from ..families.cpu.layers import blocks_of_many_places, bytes_of_transforms, transform_convolutions, use_cpu_layers
from ..families.gpu.trial import can_attend, can_fuse, can_gather
from ..families.loading import parts_of
from ..lora.border import put_borders
from ..lora.joint_attention import JointAttention
from ..lora.layer import AdapterLayer
from ..lora.low_rank import LoraLayer
from .plan import AdapterPlan


def usual_pixels(batches: Sequence[Sequence[int]], buckets: Sequence[tuple[int, int]], parts: int) -> int:
    """Of the pictures that go through the UNet at a time: half of the batches have fewer, half more. It depends on
    nothing that changes within a run, so that one that goes on computes as it began.

    Args:
        batches: `first_batches`.
        buckets: (width, height) of every picture of the dataset.
        parts: In how many a batch goes through the model.
    """
    return statistics.median_low(-(-len(batch) // parts) * math.prod(buckets[batch[0]]) for batch in batches)


def has_cpu_layers(device: str, precision: str) -> bool:
    """Whether a run's layers are those of families/cpu."""
    return device == "cpu" and precision == "fp32"


def use_layers_of_cpu(model: BaseModel, *, in_parts: bool) -> None:
    """Have a frozen model in fp32 compute as is fastest on a CPU, before it has adapters; `in_parts` as
    `use_cpu_layers` has it. The UNet's convolutions are for `transform_for_cpu`."""
    for part in parts_of(model):
        use_cpu_layers(part, in_parts=in_parts)
    if model.vae is not None:
        transform_convolutions(model.vae)
    use_attention(model.unet, JointAttention(attend))


def transform_for_cpu(unet: UNet2DConditionModel, places: int) -> None:
    """Transform the convolutions of a UNet that has its adapters. Those stay whose weights adapters read, for what they
    read is to be exact. `places`: what the latents of a usual batch have together."""
    read = _read_by_adapters(unet)
    for block in blocks_of_many_places(unet, places):
        transform_convolutions(block, keeping=read)


def bytes_of_cpu_layers(unet: UNet2DConditionModel, places: int) -> int:
    """By how much `transform_for_cpu` makes a UNet larger."""
    read = _read_by_adapters(unet)
    return sum(bytes_of_transforms(block, keeping=read) for block in blocks_of_many_places(unet, places))


def _read_by_adapters(unet: UNet2DConditionModel) -> set[nn.Module]:
    adapted = (layer for layer in unet.modules() if isinstance(layer, AdapterLayer))
    return {layer.base for layer in adapted if type(layer) is not LoraLayer}


def use_gpu_layers(unet: nn.Module, device: str, dtype: torch.dtype, *, will_compile: bool) -> None:
    """Have a frozen UNet in channels last, or a block of one, compute as is fastest on a GPU; `dtype` is what it
    computes in.

    Args:
        will_compile: Transformers' blocks stay as they are: the compiler fuses them itself.
    """
    attention = JointAttention()
    if can_fuse(device, dtype):
        from ..families.gpu.few_keys import attend_few_keys  # these need Triton
        from ..families.gpu.layers import use_fused_layers

        use_fused_layers(unet, transformers=not will_compile)
        if not will_compile and can_attend(device, dtype):
            attention = JointAttention(attend_few_keys)
    use_attention(unet, attention)


def put_borders_for_gpu(unet: UNet2DConditionModel, device: str, dtype: torch.dtype, plan: AdapterPlan) -> int:
    """Have fused layers multiply together with their LoRAs, once the UNet has its adapters; by how many bytes that
    makes it larger. What dropout leaves out is between the two."""
    if plan.drops_out or not can_fuse(device, dtype):
        return 0
    from ..families.gpu.layers import FusedTransformerBlock  # these need Triton
    from ..families.gpu.narrow_gradients import NarrowGradients

    gathered = NarrowGradients()
    blocks = (block for block in unet.modules() if isinstance(block, FusedTransformerBlock))
    sets = (layers for block in blocks for layers in block.layers_by_input())
    return put_borders(sets, lambda rank: gathered if can_gather(device, dtype, rank) else None)
