"""diffusers and peft in the plain loop that diffusers' own examples have (train_text_to_image_lora and its sdxl kin).

As there: a frozen UNet in the precision that is asked for, LoRAs in fp32, autocast, a gradient scaler in fp16 only,
AdamW, no TF32. Unlike there, pictures and captions are encoded before and wait on the device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers.training_utils import cast_training_params
from PIL import Image
from torch import Tensor

from trainer_core.families.base_model import BaseModel, Conditioning, PictureSize
from trainer_core.families.loading import load_base_model
from trainer_core.training import objective
from trainer_core.training.precision import FORMATS, autocast

from .device_clock import give_back
from .other_trainers import RATE, SEED
from .task import Setting, Task

# Shape suffixes: N pictures of the set, B batch, C latent channels, H and W latent height and width.

_TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2")
"""The layers that get an adapter here by default, as peft is told them."""


@dataclass(frozen=True, slots=True)
class _Encoded:
    """All pictures and captions, on the device, in the UNet's format."""

    latents_NCHW: Tensor
    captions: Conditioning
    added: dict[str, Tensor] | None
    """What SDXL's UNet takes beside."""

    def batch(self, rows_B: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor] | None]:
        added = None if self.added is None else {name: values[rows_B] for name, values in self.added.items()}
        return self.latents_NCHW[rows_B], self.captions.states_BLD[rows_B], added


def peft_loop(task: Task) -> Iterator[Sequence[str]]:
    """Stops after each step; has nothing to remark."""
    from peft import LoraConfig

    setting = task.setting
    model = load_base_model(Path(task.base), FORMATS[setting.precision], [Path(task.tokenizer)])
    encoded = _encode(model, Path(task.pictures), setting)
    unet, schedule = model.unet.to(setting.device), objective.noise_schedule(model)
    del model
    give_back(setting.device)  # what encoding took is not the loop's
    unet.add_adapter(LoraConfig(r=setting.rank, lora_alpha=setting.rank, target_modules=list(_TARGETS)))
    cast_training_params(unet, dtype=torch.float32)
    if setting.checkpointing:
        unet.enable_gradient_checkpointing()
    unet.train()
    parameters = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE)
    scaler = torch.amp.GradScaler(setting.device, enabled=setting.precision == "fp16")
    torch.manual_seed(SEED)
    for step in range(task.all_steps):
        first = step * setting.batch
        rows_B = torch.arange(first, first + setting.batch, device=setting.device) % len(encoded.latents_NCHW)
        x_BCHW, states_BLD, added = encoded.batch(rows_B)
        noise_BCHW = torch.randn_like(x_BCHW)
        t_B = torch.randint(0, objective.TIMESTEPS, (setting.batch,), device=setting.device)
        noisy_BCHW = schedule.add_noise(x_BCHW, noise_BCHW, t_B)
        with autocast(setting.precision, setting.device):
            predicted_BCHW = unet(noisy_BCHW, t_B, states_BLD, added_cond_kwargs=added).sample
        loss = torch.nn.functional.mse_loss(predicted_BCHW.float(), noise_BCHW.float())
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        loss.item()
        yield ()


@torch.no_grad()
def _encode(model: BaseModel, pictures: Path, setting: Setting) -> _Encoded:
    """The VAE's means in fp32, as in the examples, then in the UNet's format like the text states."""
    dtype, latents = FORMATS[setting.precision], []
    for part in (model.vae, *model.text_encoders):
        part.to(setting.device)
    paths = sorted(pictures.glob("*.png"))
    for path in paths:
        pixels = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None] / 127.5 - 1
        mean = model.vae.encode(pixels.to(setting.device)).latent_dist.mean
        latents.append((mean * model.latent_scale).to(dtype))
    texts = [path.with_suffix(".txt").read_text(encoding="utf-8") for path in paths]
    captions = model.encode_text(texts, 1).to(setting.device, dtype)
    side = (setting.side, setting.side)
    added = model.added_conditions(captions, [PictureSize(side, (0, 0), side)] * len(texts))
    return _Encoded(torch.cat(latents), captions, added)
