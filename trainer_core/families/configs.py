"""diffusers and transformers configs read off the shapes of a checkpoint's tensors, so that nothing is looked up.

Not in the shapes, and so written here as the families define them: 32 norm groups, the head split (SD1.5: 8
heads; SDXL and CLIP: 64 channels a head), CLIP-L's quick_gelu against CLIP-G's gelu, the VAE's latent scale.
"""

from __future__ import annotations

import re
from typing import Any

from transformers import CLIPTextConfig

from .identify import Shapes


def unet_config(shapes: Shapes) -> dict[str, Any]:
    """Arguments of UNet2DConditionModel. `shapes`: original names below model.diffusion_model."""
    levels = _unet_levels(shapes)
    depths = [depth for _, depth in levels]
    mid_depth = _count(shapes, r"middle_block\.1\.transformer_blocks\.(\d+)\.")
    is_linear = len(shapes["middle_block.1.proj_in.weight"]) == 2
    channels = tuple(width for width, _ in levels)
    config = {
        "block_out_channels": channels,
        "layers_per_block": _layers_per_block(shapes),
        "down_block_types": tuple("CrossAttnDownBlock2D" if d else "DownBlock2D" for d in depths),
        "up_block_types": tuple("CrossAttnUpBlock2D" if d else "UpBlock2D" for d in reversed(depths)),
        # The middle block takes the last entry; the last level uses it only if it has transformers itself.
        "transformer_layers_per_block": (*(d or 1 for d in depths[:-1]), mid_depth),
        "cross_attention_dim": shapes["middle_block.1.transformer_blocks.0.attn2.to_k.weight"][1],
        "use_linear_projection": is_linear,
        "attention_head_dim": tuple(max(1, c // 64) for c in channels) if is_linear else 8,
        "in_channels": shapes["input_blocks.0.0.weight"][1],
        "out_channels": shapes["out.2.weight"][0],
    }
    if "label_emb.0.0.weight" in shapes:
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": shapes["label_emb.0.0.weight"][1],
        }
    return config


def _unet_levels(shapes: Shapes) -> list[tuple[int, int]]:
    """(channels, transformer depth) of each level on the way down."""
    levels, block = [], 1
    step = _layers_per_block(shapes) + 1
    while f"input_blocks.{block}.0.out_layers.3.weight" in shapes:
        depth = _count(shapes, rf"input_blocks\.{block}\.1\.transformer_blocks\.(\d+)\.")
        levels.append((shapes[f"input_blocks.{block}.0.out_layers.3.weight"][0], depth))
        block += step
    return levels


def _layers_per_block(shapes: Shapes) -> int:
    """Residual blocks before the first downsampler."""
    block = 1
    while f"input_blocks.{block}.0.out_layers.3.weight" in shapes:
        block += 1
    return block - 1


def vae_config(shapes: Shapes, scaling_factor: float) -> dict[str, Any]:
    """Arguments of AutoencoderKL. `shapes`: original names below first_stage_model."""
    levels = _count(shapes, r"encoder\.down\.(\d+)\.")
    return {
        "block_out_channels": tuple(shapes[f"encoder.down.{i}.block.0.conv1.weight"][0] for i in range(levels)),
        "layers_per_block": _count(shapes, r"encoder\.down\.0\.block\.(\d+)\."),
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "latent_channels": shapes["post_quant_conv.weight"][1],
        "scaling_factor": scaling_factor,
    }


def clip_l_config(shapes: Shapes) -> CLIPTextConfig:
    """Config of CLIP-L. `shapes`: transformers names, with or without `text_model.`."""
    shapes = {name.removeprefix("text_model."): shape for name, shape in shapes.items()}
    vocabulary, width = shapes["embeddings.token_embedding.weight"]
    return _clip_config(
        vocabulary,
        width,
        positions=shapes["embeddings.position_embedding.weight"][0],
        layers=_count(shapes, r"encoder\.layers\.(\d+)\."),
        inner=shapes["encoder.layers.0.mlp.fc1.weight"][0],
        activation="quick_gelu",
        projection=width,
    )


def clip_g_config(shapes: Shapes) -> CLIPTextConfig:
    """Config of CLIP-G (OpenCLIP bigG). `shapes`: open_clip names."""
    vocabulary, width = shapes["token_embedding.weight"]
    return _clip_config(
        vocabulary,
        width,
        positions=shapes["positional_embedding"][0],
        layers=_count(shapes, r"transformer\.resblocks\.(\d+)\."),
        inner=shapes["transformer.resblocks.0.mlp.c_fc.weight"][0],
        activation="gelu",
        projection=shapes["text_projection"][1],
    )


def _clip_config(
    vocabulary: int, width: int, *, positions: int, layers: int, inner: int, activation: str, projection: int
) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // 64),
        max_position_embeddings=positions,
        hidden_act=activation,
        projection_dim=projection,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )


def _count(shapes: Shapes, pattern: str) -> int:
    """One more than the highest number that `pattern`'s group matches at the start of a name; 0 if none does."""
    numbers = [int(match[1]) for name in shapes if (match := re.match(pattern, name))]
    return max(numbers, default=-1) + 1
