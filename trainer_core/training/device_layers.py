"""What a base model's layers do otherwise on a device than diffusers has it."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel

from ..families.attention import use_attention
from ..families.base_model import BaseModel
from ..families.cpu.attention import attend
from ..families.cpu.layers import blocks_of_many_places, bytes_of_transforms, transform_convolutions, use_cpu_layers
from ..families.gpu.trial import can_fuse
from ..lora.joint import JointAttention
from ..lora.layer import AdapterLayer
from ..lora.low_rank import LoraLayer


def has_cpu_layers(device: str, precision: str) -> bool:
    """Whether a run's layers are those of families/cpu."""
    return device == "cpu" and precision == "fp32"


def use_layers_of_cpu(model: BaseModel, *, in_parts: bool) -> None:
    """Have a frozen model in fp32 compute as is fastest on a CPU; `in_parts` as `use_cpu_layers` has it."""
    for part in (model.unet, model.vae, *model.text_encoders):
        use_cpu_layers(part, in_parts=in_parts)
    transform_convolutions(model.vae)
    use_attention(model.unet, JointAttention(attend))


def transform_for_cpu(unet: UNet2DConditionModel, places: int) -> None:
    """Transform the convolutions of a UNet that has these layers and its adapters. Those stay that adapters read the
    weights of, for what they read is to be exact. `places`: of the latents of a usual batch."""
    adapted = (layer for layer in unet.modules() if isinstance(layer, AdapterLayer))
    read = {layer.base for layer in adapted if type(layer) is not LoraLayer}
    for block in blocks_of_many_places(unet, places):
        transform_convolutions(block, read)


def bytes_of_cpu_layers(unet: UNet2DConditionModel, places: int) -> int:
    """By how much `transform_for_cpu` makes a UNet larger."""
    return sum(map(bytes_of_transforms, blocks_of_many_places(unet, places)))


def use_gpu_layers(unet: UNet2DConditionModel, device: str, dtype: torch.dtype, *, will_compile: bool) -> None:
    """Have a frozen UNet in channels last compute as is fastest on a GPU; `dtype` is what it computes in.

    Args:
        will_compile: Transformers' blocks stay as they are: the compiler fuses them itself.
    """
    use_attention(unet, JointAttention())
    if can_fuse(device, dtype):
        from ..families.gpu.layers import use_fused_layers  # needs Triton

        use_fused_layers(unet, transformers=not will_compile)
