"""Which modules get an adapter, and what kohya's format calls each: a table, not the modules' own paths.

The default targets are kohya's: every Linear and 1x1 convolution of the UNet's transformers, and the attention and
MLP of the text encoders. The names must be exactly these: ComfyUI, A1111 and diffusers match them as text, and
a name that does not match is ignored in silence. transformers moves modules about between versions, which must
never rename anything in a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import nn

from ..errors import TrainingError
from ..families import ldm_layout
from ..training.plan.adapter import TargetSet
from .block_weights import BlockWeights

if TYPE_CHECKING:
    from ..families.base_model import BaseModel

_ATTENTION = (
    "attn1.to_q",
    "attn1.to_k",
    "attn1.to_v",
    "attn1.to_out.0",
    "attn2.to_q",
    "attn2.to_k",
    "attn2.to_v",
    "attn2.to_out.0",
)
_FEED_FORWARD = ("ff.net.0.proj", "ff.net.2")
_CLIP_ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj")
_CLIP_MLP = ("mlp.fc1", "mlp.fc2")
_RESNET = ("conv1", "time_emb_proj", "conv2", "conv_shortcut")
_SIDES = {"input_blocks": "IN", "middle_block": "MID", "output_blocks": "OUT"}


@dataclass(frozen=True, slots=True)
class Target:
    """One module that gets an adapter."""

    module: str
    """Its path in the loaded model."""
    name: str
    """Its name in a LoRA file, before ".lora_down.weight"."""
    block: str = ""
    """Its UNet block, such as "IN04", "MID" or "OUT11"; "" in a text encoder."""
    rate_factor: float = 1.0
    """Its learning rate is the part's rate times this."""


def unet_targets(unet: nn.Module, *, original_names: bool, targets: TargetSet = "attention and mlp") -> list[Target]:
    """Adapter targets of a UNet, from its config. SD1.5 files use diffusers' names, SDXL's the original ones."""
    config = unet.config
    prefixes = ldm_layout.unet_prefixes(config.up_block_types, config.layers_per_block)
    found = []
    for path in _unet_paths(unet, targets):
        original = ldm_layout.original_name(path, prefixes)
        named = original if original_names else path
        found.append(Target(path, f"lora_unet_{named.replace('.', '_')}", _block(original)))
    return found


def _unet_paths(unet: nn.Module, targets: TargetSet) -> list[str]:
    paths = []
    inside = _ATTENTION if targets == "attention" else _ATTENTION + _FEED_FORWARD
    for transformer, depth in _transformers(unet.config):
        layers = [f"transformer_blocks.{i}.{layer}" for i in range(depth) for layer in inside]
        if targets != "attention":
            layers = ["proj_in", *layers, "proj_out"]
        paths += [f"{transformer}.{layer}" for layer in layers]
    return paths + (_convolutions(unet) if targets == "with convolutions" else [])


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


def _convolutions(unet: nn.Module) -> list[str]:
    """kohya's further targets: residual blocks and samplers. The first and the last convolution never take part."""
    levels, layers = len(unet.config.down_block_types), unet.config.layers_per_block
    resnets = [f"down_blocks.{level}.resnets.{i}" for level in range(levels) for i in range(layers)]
    resnets += [f"mid_block.resnets.{i}" for i in range(2)]
    resnets += [f"up_blocks.{level}.resnets.{i}" for level in range(levels) for i in range(layers + 1)]
    paths = [f"{resnet}.{layer}" for resnet in resnets for layer in _RESNET]
    for level in range(levels - 1):
        paths += [f"down_blocks.{level}.downsamplers.0.conv", f"up_blocks.{level}.upsamplers.0.conv"]
    return [path for path in paths if _has(unet, path)]


def _has(unet: nn.Module, path: str) -> bool:
    """A residual block that keeps its channels has no shortcut; the blocks of a short UNet may lack a sampler."""
    parent, _, name = path.rpartition(".")
    try:
        return isinstance(getattr(unet.get_submodule(parent), name, None), nn.Module)
    except AttributeError:
        return False


def _block(original: str) -> str:
    """ "input_blocks.4.1.proj_in" -> "IN04"."""
    side, number, _ = original.split(".", 2)
    return "MID" if side == "middle_block" else f"{_SIDES[side]}{int(number):02d}"


def text_encoder_targets(encoder: nn.Module, prefix: str, targets: TargetSet = "attention and mlp") -> list[Target]:
    """Adapter targets of a CLIP text encoder; `prefix` is the family's, such as "lora_te"."""
    layers_at = "text_model.encoder.layers" if hasattr(encoder, "text_model") else "encoder.layers"
    inside = _CLIP_ATTENTION if targets == "attention" else _CLIP_ATTENTION + _CLIP_MLP
    return [
        Target(f"{layers_at}.{i}.{layer}", f"{prefix}_text_model_encoder_layers_{i}_{layer.replace('.', '_')}")
        for i in range(encoder.config.num_hidden_layers)
        for layer in inside
    ]


def targets_of(
    model: BaseModel, targets: TargetSet = "attention and mlp", weights: BlockWeights | None = None
) -> list[tuple[nn.Module, list[Target]]]:
    """Every part that a model still holds and that can carry adapters, with its targets: the UNet comes first.

    Targets of a block whose weight is 0 are left out.

    Raises:
        TrainingError: the weights name blocks that this UNet does not have, or leave nothing of it.
    """
    unet = unet_targets(model.unet, original_names=model.unet_in_original_names, targets=targets)
    found = [(model.unet, _weighted(model.unet, unet, weights) if weights else unet)]
    for encoder, prefix in zip(model.text_encoders, model.text_encoder_prefixes, strict=False):
        found.append((encoder, text_encoder_targets(encoder, prefix, targets)))
    return found


def _weighted(unet: nn.Module, targets: list[Target], weights: BlockWeights) -> list[Target]:
    weights.check_fits(len(unet.config.up_block_types) * (unet.config.layers_per_block + 1))
    factors = [(target, weights.factor(target.block)) for target in targets]
    kept = [replace(target, rate_factor=factor) for target, factor in factors if factor]
    if not kept:
        raise TrainingError(
            "the block weights leave no block of the UNet to train. Raise one of them above 0; "
            "to train the text encoder alone, set the UNet rate to 0."
        )
    return kept


# --------------------------------------------------------------------------------------------- names that others write


def known_modules(model: BaseModel) -> list[tuple[nn.Module, Mapping[str, str]]]:
    """For each part: every name by which LoRA files may call one of its Linear or Conv2d layers -> its path.

    More than what is trained here, and under all spellings that ComfyUI reads: UNet layers by diffusers' and by
    original names, SD1.5's text encoder as lora_te and lora_te1.
    """
    config = model.unet.config
    prefixes = ldm_layout.unet_prefixes(config.up_block_types, config.layers_per_block)
    names = {}
    for path in _layers(model.unet):
        for prefix, spelling in (
            ("lora_unet", ldm_layout.original_name(path, prefixes)),
            ("lycoris", path),
            ("lora_unet", path),
        ):
            names[f"{prefix}_{spelling.replace('.', '_')}"] = path
    found = [(model.unet, names)]
    for encoder, prefix in zip(model.text_encoders, model.text_encoder_prefixes, strict=False):
        named = {}
        for path in _layers(encoder):
            if "encoder.layers." not in path:
                continue
            plain = path.removeprefix("text_model.").replace(".", "_")
            for spelling in {prefix, "lora_te1" if prefix == "lora_te" else prefix}:
                named[f"{spelling}_text_model_{plain}"] = path
        found.append((encoder, named))
    return found


def _layers(module: nn.Module) -> list[str]:
    """Paths of the Linear and Conv2d layers, as they are without adapters, whose frozen layer is called base."""
    layers = (path for path, layer in module.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d))
    return [path.removesuffix(".base") for path in layers]
