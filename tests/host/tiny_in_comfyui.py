"""ComfyUI's families with the sizes of tests/tiny_models.py. To be imported in ComfyUI's Python, after ComfyUI."""

from __future__ import annotations

import comfy.supported_models as supported

TEXT_CONFIG = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 1}


class TinySD15(supported.SD15):
    unet_config = {**supported.SD15.unet_config, "model_channels": 32, "context_dim": 64}


class TinySDXL(supported.SDXL):
    unet_config = {
        **supported.SDXL.unet_config,
        "model_channels": 32, "context_dim": 128, "adm_in_channels": 6 * 256 + 64, "transformer_depth": [0, 2],
    }  # fmt: skip


def teach_tiny_models() -> None:
    """Have ComfyUI take the tiny models for what they are."""
    supported.models[:0] = [TinySD15, TinySDXL]
