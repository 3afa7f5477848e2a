"""LoRAs with random weights on tiny models, and what a model makes of fixed inputs."""

from __future__ import annotations

import torch

from tests.tiny_models import tiny_sd15, tiny_sdxl
from trainer_core.families.base_model import BaseModel, Conditioning, PictureSize
from trainer_core.lora.adapters import Adapters
from trainer_core.lora.file import lora_bytes
from trainer_core.lora.names import targets_of

RANK, ALPHA = 8, 3.0
BUILDERS = {"sd15": tiny_sd15, "sdxl": tiny_sdxl}


def with_random_lora(model: BaseModel, dtype: torch.dtype = torch.float32) -> tuple[list[Adapters], bytes]:
    """Adapters on every part, `up` away from zero as after training, and their file."""
    parts = [Adapters(module, targets, RANK, ALPHA) for module, targets in targets_of(model)]
    generator = torch.Generator().manual_seed(11)
    for number, part in enumerate(parts):
        part.initialise(number)
        for parameter in part.parameters()[1::2]:
            parameter.data.normal_(0, 0.3, generator=generator)
    tensors = {name: tensor for part in parts for name, tensor in part.tensors().items()}
    return parts, lora_bytes(tensors, {"ss_output_name": "mochi"}, dtype)


@torch.no_grad()
def randomise(part: Adapters, seed: int) -> None:
    """Weights of any kind of adapter as they may be after training."""
    part.initialise(seed)
    generator = torch.Generator().manual_seed(seed)
    for layer in part.layers:
        for suffix, tensor in layer.trained():
            noise = torch.randn(tensor.shape, generator=generator)
            if suffix == "dora_scale":
                tensor.mul_(1 + 0.2 * noise)
            elif suffix == "oft_blocks":
                tensor.copy_(0.1 * noise)
            elif suffix in layer.ups:
                tensor.copy_(0.3 * noise)


@torch.no_grad()
def outputs(model: BaseModel) -> list[torch.Tensor]:
    """The noise prediction for a fixed text, and each text encoder's last layer."""
    ids = torch.arange(2 * 77).reshape(2, 77) * 7 % model.text_encoders[0].config.vocab_size
    hidden = [encoder(ids, output_hidden_states=True) for encoder in model.text_encoders]
    pooled = [out.text_embeds for out in hidden if hasattr(out, "text_embeds")]
    states_BLD = torch.randn((2, 77, model.unet.config.cross_attention_dim), generator=torch.Generator().manual_seed(4))
    fixed = Conditioning(states_BLD, *pooled)
    x_BCHW = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(5))
    noise = model.predict(x_BCHW, torch.tensor([20, 900]), fixed, [PictureSize((64, 64), (0, 0), (64, 64))] * 2)
    return [noise, *(out.last_hidden_state for out in hidden), *pooled]


def relative_errors(found: list[torch.Tensor], expected: list[torch.Tensor]) -> list[float]:
    return [((a - b).norm() / b.norm()).item() for a, b in zip(found, expected, strict=True)]
