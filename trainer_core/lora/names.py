"""Which modules get an adapter, and what kohya's format calls each: a table, not the modules' own paths.

Targets are kohya's default: every Linear and 1x1 convolution of the UNet's transformers, and the attention and
MLP of the text encoders. The names must be exactly these: ComfyUI, A1111 and diffusers match them as text, and
a name that does not match is ignored in silence. transformers moves modules about between versions, which must
never rename anything in a file.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from ..families import ldm_layout
from ..families.base_model import BaseModel

_TRANSFORMER_LAYERS = (
    "attn1.to_q",
    "attn1.to_k",
    "attn1.to_v",
    "attn1.to_out.0",
    "attn2.to_q",
    "attn2.to_k",
    "attn2.to_v",
    "attn2.to_out.0",
    "ff.net.0.proj",
    "ff.net.2",
)
_CLIP_LAYERS = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.out_proj",
    "mlp.fc1",
    "mlp.fc2",
)


@dataclass(frozen=True, slots=True)
class Target:
    """One module that gets an adapter."""

    module: str
    """Its path in the loaded model."""
    name: str
    """Its name in a LoRA file, before ".lora_down.weight"."""


def unet_targets(unet: nn.Module, *, original_names: bool) -> list[Target]:
    """Adapter targets of a UNet, from its config. SD1.5 files use diffusers' names, SDXL's the original ones."""
    config = unet.config
    prefixes = ldm_layout.unet_prefixes(config.up_block_types, config.layers_per_block)
    targets = []
    for transformer, depth in _transformers(config):
        layers = [f"transformer_blocks.{i}.{layer}" for i in range(depth) for layer in _TRANSFORMER_LAYERS]
        for layer in ("proj_in", *layers, "proj_out"):
            path = f"{transformer}.{layer}"
            named = ldm_layout.original_name(path, prefixes) if original_names else path
            targets.append(Target(path, f"lora_unet_{named.replace('.', '_')}"))
    return targets


def _transformers(config) -> list[tuple[str, int]]:
    """(path, depth) of every transformer of a UNet."""
    levels, layers = len(config.down_block_types), config.layers_per_block
    depths = config.transformer_layers_per_block
    depths = [depths] * levels if isinstance(depths, int) else list(depths)
    found = []
    for level, kind in enumerate(config.down_block_types):
        if kind.startswith("CrossAttn"):
            found += [(f"down_blocks.{level}.attentions.{i}", depths[level]) for i in range(layers)]
    found.append(("mid_block.attentions.0", depths[-1]))
    for level, kind in enumerate(config.up_block_types):
        if kind.startswith("CrossAttn"):
            depth = depths[levels - 1 - level]
            found += [(f"up_blocks.{level}.attentions.{i}", depth) for i in range(layers + 1)]
    return found


def text_encoder_targets(encoder: nn.Module, prefix: str) -> list[Target]:
    """Adapter targets of a CLIP text encoder; `prefix` is the family's, such as "lora_te"."""
    layers_at = "text_model.encoder.layers" if hasattr(encoder, "text_model") else "encoder.layers"
    return [
        Target(f"{layers_at}.{i}.{layer}", f"{prefix}_text_model_encoder_layers_{i}_{layer.replace('.', '_')}")
        for i in range(encoder.config.num_hidden_layers)
        for layer in _CLIP_LAYERS
    ]


def targets_of(model: BaseModel) -> list[tuple[nn.Module, list[Target]]]:
    """Every part that a model still holds and that can carry adapters, with its targets: the UNet comes first."""
    found = [(model.unet, unet_targets(model.unet, original_names=model.unet_in_original_names))]
    for encoder, prefix in zip(model.text_encoders, model.text_encoder_prefixes, strict=False):
        found.append((encoder, text_encoder_targets(encoder, prefix)))
    return found
