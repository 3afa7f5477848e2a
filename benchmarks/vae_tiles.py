"""What tiles save while a picture goes through the VAE, and how far they move its latent; on a CPU under Linux.

    python -m benchmarks.vae_tiles [--side 1024] [--vae FILE]

FILE: a checkpoint whose VAE is asked. Without one, a VAE of real size with random weights is: then the memory is right,
and the latents say only that a tile sees other group norms than the picture. Each way runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from tests.full_size_models import full_size
from trainer_core.families.loading import load_base_model
from trainer_core.training.encoding_memory import encode_in_tiles, encoding_memory
from trainer_core.training.step_memory import GB

from .step_clock import forget_peak, peak_bytes


def load_vae(file: Path | None) -> AutoencoderKL:
    if file:
        return load_base_model(file, torch.float16).vae
    torch.manual_seed(0)
    vae = full_size("sdxl").vae.to_empty(device="cpu")
    for module in vae.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    return vae


def smooth_picture(side: int) -> torch.Tensor:
    """(1, 3, side, side), -1 to 1: blobs of many sizes."""
    torch.manual_seed(1)
    layers = [torch.randn(1, 3, size, size) for size in (4, 16, 64, 256)]
    grown = [torch.nn.functional.interpolate(layer, (side, side), mode="bicubic") for layer in layers]
    return torch.tanh(sum(grown) / 2)


@torch.no_grad()
def encode(vae: AutoencoderKL, side: int) -> dict:
    picture = smooth_picture(side)
    forget_peak()
    before, began = peak_bytes(), time.perf_counter()
    latent = vae.encode(picture).latent_dist.mean
    return {"bytes": peak_bytes() - before, "seconds": time.perf_counter() - began, "latent": latent.flatten().tolist()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=1024, help="pixels of the picture's side")
    parser.add_argument("--vae", type=Path, help="a checkpoint with a trained VAE")
    parser.add_argument("--way", choices=["whole", "tiles"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        vae = load_vae(options.vae)
        if options.way == "tiles":
            encode_in_tiles(vae)
        return print(json.dumps(encode(vae, options.side)))
    found = {}
    for way in ("whole", "tiles"):
        run = [sys.executable, "-m", "benchmarks.vae_tiles", *sys.argv[1:], "--way", way]
        done = subprocess.run(run, stdout=subprocess.PIPE, text=True, check=True)
        found[way] = json.loads(done.stdout.splitlines()[-1])
        print(f"{way}: {found[way]['bytes'] / GB:.2f} GB beside the weights, {found[way]['seconds']:.1f} s")
    if not options.vae:
        counted = [
            encoding_memory(full_size("sdxl"), options.side, options.side, tiles=tiles, device="cuda", precision="bf16")
            / GB
            for tiles in (False, True)
        ]
        print("estimate for a GPU, weights and overhead included: {:.2f} GB whole, {:.2f} GB in tiles".format(*counted))
    whole, tiles = (torch.tensor(found[way]["latent"]) for way in ("whole", "tiles"))
    print(f"the latent moves by {(tiles - whole).std() / whole.std():.3f} of its deviation")
    return None


if __name__ == "__main__":
    main()
