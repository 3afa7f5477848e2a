"""Names in the original (LDM) checkpoint layout against diffusers' names: one table, read in both directions.

Loading a checkpoint, writing one, and naming SDXL's LoRA modules all use it. Rows are module prefixes; what
follows a prefix (".weight", ".transformer_blocks.0.attn1.to_q.weight") is equal in both layouts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_UNET_ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def unet_prefixes(up_block_types: Sequence[str], layers_per_block: int) -> dict[str, str]:
    """diffusers module prefix -> original prefix, for a UNet with these blocks on the way up.

    Blocks are numbered through in the original layout: each level has `layers_per_block` blocks on the way down
    and one more on the way up. A block is a residual block (.0), perhaps a transformer (.1), and last a sampler.
    """
    names = dict(_UNET_ENDS)
    for level in range(len(up_block_types)):
        start = 1 + level * (layers_per_block + 1)
        for layer in range(layers_per_block):
            names |= _resnet(f"down_blocks.{level}.resnets.{layer}", f"input_blocks.{start + layer}.0")
            names[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{start + layer}.1"
        names[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{start + layers_per_block}.0.op"
    names |= _resnet("mid_block.resnets.0", "middle_block.0")
    names |= _resnet("mid_block.resnets.1", "middle_block.2")
    names["mid_block.attentions.0"] = "middle_block.1"
    for level, kind in enumerate(up_block_types):
        start = level * (layers_per_block + 1)
        for layer in range(layers_per_block + 1):
            names |= _resnet(f"up_blocks.{level}.resnets.{layer}", f"output_blocks.{start + layer}.0")
            names[f"up_blocks.{level}.attentions.{layer}"] = f"output_blocks.{start + layer}.1"
        place = 2 if kind.startswith("CrossAttn") else 1
        names[f"up_blocks.{level}.upsamplers.0.conv"] = f"output_blocks.{start + layers_per_block}.{place}.conv"
    return names


def _resnet(ours: str, original: str) -> dict[str, str]:
    return {f"{ours}.{a}": f"{original}.{b}" for a, b in _RESNET.items()}


_VAE_RESNET = {"norm1": "norm1", "conv1": "conv1", "norm2": "norm2", "conv2": "conv2", "conv_shortcut": "nin_shortcut"}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def vae_prefixes(levels: int, layers_per_block: int) -> dict[str, str]:
    """diffusers module prefix -> original prefix, for an AutoencoderKL."""
    names = {"quant_conv": "quant_conv", "post_quant_conv": "post_quant_conv"}
    for half in ("encoder", "decoder"):
        names |= {f"{half}.{end}": f"{half}.{end}" for end in ("conv_in", "conv_out")}
        names[f"{half}.conv_norm_out"] = f"{half}.norm_out"
        for ours, original in (("resnets.0", "block_1"), ("resnets.1", "block_2")):
            names |= {f"{half}.mid_block.{ours}.{a}": f"{half}.mid.{original}.{b}" for a, b in _VAE_RESNET.items()}
        attention = f"{half}.mid_block.attentions.0"
        names |= {f"{attention}.{a}": f"{half}.mid.attn_1.{b}" for a, b in _VAE_ATTENTION.items()}
    for level in range(levels):
        up = levels - 1 - level  # the original numbers decoder levels from the picture's side
        names[f"encoder.down_blocks.{level}.downsamplers.0.conv"] = f"encoder.down.{level}.downsample.conv"
        names[f"decoder.up_blocks.{level}.upsamplers.0.conv"] = f"decoder.up.{up}.upsample.conv"
        for layer in range(layers_per_block + 1):
            for a, b in _VAE_RESNET.items():
                names[f"encoder.down_blocks.{level}.resnets.{layer}.{a}"] = f"encoder.down.{level}.block.{layer}.{b}"
                names[f"decoder.up_blocks.{level}.resnets.{layer}.{a}"] = f"decoder.up.{up}.block.{layer}.{b}"
    return names


_CLIP_G_ENDS = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
}
_CLIP_G_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def clip_g_names(layers: int) -> dict[str, str]:
    """transformers tensor name -> open_clip tensor name, but for q, k, v and the projection (see below)."""
    names = dict(_CLIP_G_ENDS)
    for layer in range(layers):
        for ours, original in _CLIP_G_LAYER.items():
            for end in ("weight", "bias"):
                key = f"text_model.encoder.layers.{layer}.{ours}.{end}"
                names[key] = f"transformer.resblocks.{layer}.{original}.{end}"
    return names


# ------------------------------------------------------------------------------------------------ both directions


def translate(tensors: dict[str, Tensor], prefixes: dict[str, str], wanted: Iterable[str]) -> dict[str, Tensor]:
    """Original tensors under the diffusers names `wanted`; names that have no tensor are left out."""
    pairs = ((name, original_name(name, prefixes)) for name in wanted)
    return {name: tensors[original] for name, original in pairs if original in tensors}


def original_name(name: str, prefixes: dict[str, str]) -> str:
    """The original name of a diffusers tensor or module.

    Raises:
        KeyError: the table has no row for it.
    """
    prefix = name
    while prefix not in prefixes:
        if "." not in prefix:
            raise KeyError(name)
        prefix = prefix.rpartition(".")[0]
    return prefixes[prefix] + name[len(prefix) :]


def clip_g_from_open_clip(tensors: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """open_clip's text tower as transformers' CLIPTextModelWithProjection: q, k, v split, projection transposed."""
    found = {ours: tensors[original] for ours, original in clip_g_names(layers).items() if original in tensors}
    for layer in range(layers):
        for end in ("weight", "bias"):
            joined = tensors[f"transformer.resblocks.{layer}.attn.in_proj_{end}"]
            for part, tensor in zip("qkv", joined.chunk(3), strict=True):
                found[f"text_model.encoder.layers.{layer}.self_attn.{part}_proj.{end}"] = tensor.clone()
    found["text_projection.weight"] = tensors["text_projection"].T.contiguous()
    return found


def clip_g_to_open_clip(tensors: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """The reverse of `clip_g_from_open_clip`."""
    found = {original: tensors[ours] for ours, original in clip_g_names(layers).items()}
    for layer in range(layers):
        for end in ("weight", "bias"):
            parts = [tensors[f"text_model.encoder.layers.{layer}.self_attn.{part}_proj.{end}"] for part in "qkv"]
            found[f"transformer.resblocks.{layer}.attn.in_proj_{end}"] = torch.cat(parts)
    found["text_projection"] = tensors["text_projection.weight"].T.contiguous()
    return found
