"""The demo base's UNet and text encoder. They see the plain world only."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from . import world
from .base_steps import count_steps, log_loss
from .base_vae import PICTURE_SIZE, VAE_SCALE, to_tensor
from .tokenizer import write_tokenizer

UNET_CONFIG = dict(
    sample_size=8,
    block_out_channels=(64, 128),
    down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    layers_per_block=1,
    cross_attention_dim=64,
    attention_head_dim=8,
)


def train_unet(work: Path, steps: int, batch: int, learning_rate: float, pictures: int = 24_000) -> None:
    """Train both from where WORK/unet.pt stopped, on WORK/vae/, and write WORK/unet/ and WORK/text_encoder/."""
    vae = AutoencoderKL.from_pretrained(work / "vae")
    vocabulary = write_tokenizer(work / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    scenes, latents = _encoded_world(work, vae, pictures)

    torch.manual_seed(0)
    unet = UNet2DConditionModel(**UNET_CONFIG)
    text_encoder = CLIPTextModel(_text_config(vocabulary))
    both = torch.nn.ModuleDict({"unet": unet, "text_encoder": text_encoder})
    average = torch.optim.swa_utils.AveragedModel(both, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998))
    optimizer = torch.optim.AdamW(both.parameters(), lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.01)
    schedule = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    snr_T = schedule.alphas_cumprod / (1 - schedule.alphas_cumprod)
    for step in count_steps(work / "unet.pt", steps, learning_rate, both, average, optimizer):
        rng, generator = random.Random(step), torch.Generator().manual_seed(step)
        picked = [rng.randrange(len(scenes)) for _ in range(batch)]
        x_BCHW = latents[picked]
        captions = [_training_caption(rng, scenes[i]) for i in picked]
        tokens = tokenizer(captions, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
        noise_BCHW = torch.randn(x_BCHW.shape, generator=generator)
        t_B = torch.randint(0, 1000, (batch,), generator=generator)
        states_BLD = text_encoder(tokens.input_ids).last_hidden_state
        predicted = unet(schedule.add_noise(x_BCHW, noise_BCHW, t_B), t_B, states_BLD).sample
        loss_B = F.mse_loss(predicted, noise_BCHW, reduction="none").mean((1, 2, 3))
        (loss_B * (snr_T[t_B].clamp(max=5) / snr_T[t_B])).mean().backward()  # min-SNR-gamma, arXiv:2303.09556
        torch.nn.utils.clip_grad_norm_(both.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.update_parameters(both)
        log_loss("unet", step, loss_B.mean())
    average.module["unet"].save_pretrained(work / "unet")
    average.module["text_encoder"].save_pretrained(work / "text_encoder")


@torch.no_grad()
def _encoded_world(work: Path, vae: AutoencoderKL, count: int) -> tuple[list[world.Scene], Tensor]:
    """`count` scenes with their scaled latents (N, 4, 8, 8), encoded once and kept in WORK."""
    rng = random.Random(7)
    scenes = [world.random_scene(rng) for _ in range(count)]
    cache = work / f"latents-{count}.pt"
    if not cache.exists():
        chunks = []
        for i in range(0, count, 64):
            x_BCHW = to_tensor([world.draw(scene, PICTURE_SIZE) for scene in scenes[i : i + 64]])
            chunks.append(vae.encode(x_BCHW).latent_dist.mean * VAE_SCALE)
        torch.save(torch.cat(chunks), cache)
    return scenes, torch.load(cache, weights_only=True)


def _text_config(vocabulary: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=1,
        max_position_embeddings=77,
        hidden_act="quick_gelu",
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )


def _training_caption(rng: random.Random, scene: world.Scene) -> str:
    """The caption with parts left out and reordered, so that every part of a prompt works alone."""
    if rng.random() < 0.1:
        return ""
    subject = scene.object if rng.random() < 0.15 else f"{scene.colour} {scene.object}"
    parts = [subject, f"{scene.background} background"]
    if rng.random() < 0.15:
        parts.pop(rng.randrange(2))
    rng.shuffle(parts)
    return ", ".join(parts)
