"""What a UNet's layers do otherwise on a GPU than diffusers has it."""

from __future__ import annotations

from diffusers import UNet2DConditionModel

from ..families.attention import use_attention
from ..lora.joint import JointAttention


def use_gpu_layers(unet: UNet2DConditionModel, *, fuses: bool, will_compile: bool) -> None:
    """Have a frozen UNet in channels last compute as is fastest on a GPU.

    Args:
        fuses: Triton works here (`can_fuse`).
        will_compile: Transformers' blocks stay as they are: the compiler fuses them itself.
    """
    use_attention(unet, JointAttention())
    if fuses:
        from ..families.gpu.layers import use_fused_layers  # needs Triton

        use_fused_layers(unet, transformers=not will_compile)
