"""BaseModel -> tensors of one checkpoint file in the original layout: the demo base and the tests' small models."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from . import ldm_layout
from .base_model import BaseModel
from .identify import SD1_TEXT, SDXL_TEXT_1, SDXL_TEXT_2, UNET, VAE
from .sdxl import SDXL


def original_tensors(model: BaseModel, dtype: torch.dtype) -> dict[str, Tensor]:
    """All tensors of a model under their original names, ready for safetensors' save_file."""
    is_sdxl = isinstance(model, SDXL)
    tensors = _unet(model.unet) | _vae(model.vae)
    tensors |= _clip_l(model.text_encoders[0], SDXL_TEXT_1 if is_sdxl else SD1_TEXT)
    if is_sdxl:
        clip_g = model.text_encoders[1]
        layers = clip_g.config.num_hidden_layers
        converted = ldm_layout.clip_g_to_open_clip(clip_g.state_dict(), layers)
        tensors |= {SDXL_TEXT_2 + name: tensor for name, tensor in converted.items()}
    if model.prediction_type == "v_prediction":
        tensors["v_pred"] = torch.zeros(0)
    if model.zero_terminal_snr:
        tensors["ztsnr"] = torch.zeros(0)
    return {name: tensor.detach().to(dtype).contiguous().clone() for name, tensor in tensors.items()}


def _unet(unet: nn.Module) -> dict[str, Tensor]:
    prefixes = ldm_layout.unet_prefixes(unet.config.up_block_types, unet.config.layers_per_block)
    return {UNET + ldm_layout.original_name(name, prefixes): tensor for name, tensor in unet.state_dict().items()}


def _vae(vae: nn.Module) -> dict[str, Tensor]:
    prefixes = ldm_layout.vae_prefixes(len(vae.config.block_out_channels), vae.config.layers_per_block)
    found = {}
    for name, tensor in vae.state_dict().items():
        original = ldm_layout.original_name(name, prefixes)
        is_attention_weight = ".attn_1." in original and tensor.ndim == 2
        found[VAE + original] = tensor[:, :, None, None] if is_attention_weight else tensor
    return found


def _clip_l(encoder: nn.Module, prefix: str) -> dict[str, Tensor]:
    names = {name: f"text_model.{name.removeprefix('text_model.')}" for name in encoder.state_dict()}
    return {prefix + names[name]: tensor for name, tensor in encoder.state_dict().items()}
