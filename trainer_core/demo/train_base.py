"""How the demo base was made: a small SD1.5-layout model, trained from scratch on the drawn world.

    python -m trainer_core.demo.train_base vae WORK       # pictures <-> latents
    python -m trainer_core.demo.train_base unet WORK      # UNet and text encoder
    python -m trainer_core.demo.train_base export WORK    # writes base/demo-base.safetensors and its tokenizer

Each stage can be stopped and started again; it goes on from its last checkpoint in WORK. Nothing is downloaded.
The VAE also sees decorated scenes in random colours, so that it can draw things the UNet never saw; the UNet
and the text encoder see the plain world only.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import random
import time
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from PIL import ImageDraw
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ..families.identify import VAE
from ..families.sd15 import SD15
from ..families.writing import original_tensors
from ..files import write_atomic
from . import DEMO_BASE, world
from .tokenizer import write_tokenizer

PICTURE_SIZE = 32
VAE_SCALE = 0.18215
"""SD1.5's latent scale: latents times this have unit variance. `normalise_latents` makes it true here."""

UNET_CONFIG = dict(
    sample_size=8,
    block_out_channels=(64, 128),
    down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    layers_per_block=1,
    cross_attention_dim=64,
    attention_head_dim=8,
)
VAE_CONFIG = dict(
    # 32 norm groups and no fewer than 64 channels: a group of one channel would wipe out how bright it is.
    block_out_channels=(64, 64, 96),
    down_block_types=("DownEncoderBlock2D",) * 3,
    up_block_types=("UpDecoderBlock2D",) * 3,
    layers_per_block=1,
    latent_channels=4,
)


# ---------------------------------------------------------------------------------------------------- pictures


def _to_tensor(images) -> torch.Tensor:
    """PIL pictures -> float tensor (B, 3, H, W) in -1..1."""
    pixels = np.stack([np.asarray(image) for image in images])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def _decorated_picture(rng: random.Random):
    """A world picture in random colours with marks on it: what the VAE must be able to draw, beyond the world."""

    def tint():
        return tuple(rng.randrange(10, 250) for _ in range(3))

    scene = world.random_scene(rng)
    world.COLOURS["_tint"], world.BACKGROUNDS["_tint"] = tint(), tint()
    try:
        changes = {k: "_tint" for k in ("colour", "background") if rng.random() < 0.6}
        scene = dataclasses.replace(scene, is_mascot=rng.random() < 0.15, **changes)
        image = world.draw(scene, PICTURE_SIZE * 3)
    finally:
        del world.COLOURS["_tint"], world.BACKGROUNDS["_tint"]
    pen, side = ImageDraw.Draw(image), PICTURE_SIZE * 3
    for _ in range(rng.randrange(0, 4)):
        x, y, r = rng.uniform(0.2, 0.8) * side, rng.uniform(0.2, 0.8) * side, rng.uniform(0.03, 0.12) * side
        shape = rng.choice((world._draw_ball, world._draw_box, world._draw_star, world._draw_tent))
        shape(pen, x, y, r, tint())
    return image.resize((PICTURE_SIZE, PICTURE_SIZE))


def _vae_batch(rng: random.Random, size: int) -> torch.Tensor:
    half = size // 2
    plain = [world.draw(world.random_scene(rng), PICTURE_SIZE) for _ in range(size - half)]
    return _to_tensor(plain + [_decorated_picture(rng) for _ in range(half)])


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


# --------------------------------------------------------------------------------------------------------- VAE


def train_vae(work: Path, steps: int, batch: int, learning_rate: float) -> None:
    torch.manual_seed(0)
    vae = AutoencoderKL(**VAE_CONFIG)
    average = torch.optim.swa_utils.AveragedModel(vae, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995))
    optimizer = torch.optim.AdamW(vae.parameters(), lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.0)
    for step in _steps(work / "vae.pt", steps, learning_rate, vae, average, optimizer):
        x_BCHW = _vae_batch(random.Random(step), batch)
        posterior = vae.encode(x_BCHW).latent_dist
        y_BCHW = vae.decode(posterior.sample()).sample
        loss = (x_BCHW - y_BCHW).abs().mean() + F.mse_loss(y_BCHW, x_BCHW) + 0.25 * _edge_loss(x_BCHW, y_BCHW)
        # Three of the four channels are told to be a small copy of the picture: left alone, so small a VAE takes
        # long to find that colours matter, and the UNet has an easier time with latents that look like pictures.
        thumbnail_BCHW = F.avg_pool2d(x_BCHW, 4)
        copying = F.mse_loss(posterior.mean[:, :3], thumbnail_BCHW)
        (loss + copying + 1e-4 * posterior.kl().mean() / posterior.mean[0].numel()).backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.update_parameters(vae)
        _log("vae", step, loss)
    normalise_latents(average.module)
    average.module.save_pretrained(work / "vae")


def _edge_loss(x_BCHW, y_BCHW):
    """L1 between the finite differences of two pictures: keeps borders sharp."""
    dx = (x_BCHW.diff(dim=3) - y_BCHW.diff(dim=3)).abs().mean()
    dy = (x_BCHW.diff(dim=2) - y_BCHW.diff(dim=2)).abs().mean()
    return dx + dy


@torch.no_grad()
def normalise_latents(vae) -> None:
    """Fold a per-channel shift and scale into the 1x1 convs around the latent: mean 0, std 1 / VAE_SCALE."""
    rng = random.Random(1)
    latents = torch.cat([vae.encode(_vae_batch(rng, 64)).latent_dist.mean for _ in range(4)])
    mean_C, std_C = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    gain_C = 1 / (VAE_SCALE * std_C)
    channels = len(mean_C)
    into, out = vae.quant_conv, vae.post_quant_conv
    into.weight[:channels] *= gain_C[:, None, None, None]
    into.bias[:channels] = (into.bias[:channels] - mean_C) * gain_C
    into.bias[channels:] += 2 * gain_C.log()  # the log-variance half
    out.bias += (out.weight[:, :, 0, 0] * mean_C).sum(1)
    out.weight /= gain_C[None, :, None, None]


# ------------------------------------------------------------------------------------------- UNet, text encoder


def train_unet(work: Path, steps: int, batch: int, learning_rate: float, pictures: int = 24_000) -> None:
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
    for step in _steps(work / "unet.pt", steps, learning_rate, both, average, optimizer):
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
        _log("unet", step, loss_B.mean())
    average.module["unet"].save_pretrained(work / "unet")
    average.module["text_encoder"].save_pretrained(work / "text_encoder")


@torch.no_grad()
def _encoded_world(work: Path, vae, count: int):
    """`count` scenes with their scaled latents (N, 4, 8, 8), encoded once and kept in WORK."""
    rng = random.Random(7)
    scenes = [world.random_scene(rng) for _ in range(count)]
    cache = work / f"latents-{count}.pt"
    if not cache.exists():
        chunks = []
        for i in range(0, count, 64):
            x_BCHW = _to_tensor([world.draw(scene, PICTURE_SIZE) for scene in scenes[i : i + 64]])
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


# ------------------------------------------------------------------------------------------------------ stages


def export(work: Path) -> None:
    """Write the finished parts as one fp16 checkpoint in the original layout, where the pack looks for it."""
    model = SD15(
        unet=UNet2DConditionModel.from_pretrained(work / "unet"),
        vae=AutoencoderKL.from_pretrained(work / "vae"),
        text_encoders=[CLIPTextModel.from_pretrained(work / "text_encoder")],
        tokenizers=[],
    )
    tensors = original_tensors(model, torch.float16)
    for name, tensor in tensors.items():
        # fp8 for the VAE's encoder keeps the file below 12 MB; it moves the latents by about 1 % of their spread.
        if name.startswith(f"{VAE}encoder.") and tensor.ndim > 1:
            tensors[name] = tensor.to(torch.float8_e4m3fn)
    data = safetensors.torch.save(tensors, {"modelspec.license": "CC0-1.0"})
    write_atomic(DEMO_BASE, data)
    write_tokenizer(DEMO_BASE.parent / "tokenizer")
    print(f"{DEMO_BASE}: {len(data) / 1e6:.1f} MB")


def _steps(state_file: Path, steps: int, learning_rate: float, model, average, optimizer):
    """Count steps on a warm-up + cosine schedule, saving the state every 200 so that a stage can be resumed."""
    start = 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        start = state["step"]
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
    for step in range(start, steps):
        factor = min(1.0, (step + 1) / 100) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * factor
        yield step
        if (step + 1) % 200 == 0 or step + 1 == steps:
            parts = dict(model=model.state_dict(), average=average.state_dict(), optimizer=optimizer.state_dict())
            torch.save({"step": step + 1, **parts}, state_file.with_suffix(".tmp"))
            state_file.with_suffix(".tmp").replace(state_file)


def _log(stage: str, step: int, loss: torch.Tensor) -> None:
    if step % 50 == 0:
        print(f"{time.strftime('%H:%M:%S')} {stage} step {step} loss {loss.item():.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("vae", "unet", "export"))
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--learning-rate", type=float)
    args = parser.parse_args()
    if args.stage == "export":
        return export(args.work)
    args.work.mkdir(parents=True, exist_ok=True)
    stage, steps, batch, rate = {"vae": (train_vae, 1500, 16, 1e-3), "unet": (train_unet, 3400, 64, 1e-3)}[args.stage]
    stage(args.work, args.steps or steps, args.batch or batch, args.learning_rate or rate)


if __name__ == "__main__":
    main()
