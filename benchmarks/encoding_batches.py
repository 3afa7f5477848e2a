"""What it saves to encode pictures in batches on this machine's CPU, and how far it moves latents.

    python -m benchmarks.encoding_batches [--sides 256 512] [--batches 1 2 4 8] [--tries 3]

Two VAEs: the demo base's, and one of real size with random weights. The batches take turns, so that a load on the
machine that comes or goes favours none; what counts is the least CPU time of a picture, which waiting does not change.
"""

from __future__ import annotations

import argparse
import time

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from trainer_core.demo import DEMO_BASE
from trainer_core.families.loading import load_base_model

from .vae_tiles import load_vae, smooth_picture


@torch.no_grad()
def encode(vae: AutoencoderKL, pictures_BCHW: Tensor, batch: int) -> tuple[float, float, Tensor]:
    """CPU seconds and seconds of a picture, and the means of all."""
    began, began_cpu = time.perf_counter(), time.process_time()
    means = [vae.encode(part).latent_dist.mean for part in pictures_BCHW.split(batch)]
    count = len(pictures_BCHW)
    return (time.process_time() - began_cpu) / count, (time.perf_counter() - began) / count, torch.cat(means)


def compare(name: str, vae: AutoencoderKL, side: int, batches: list[int], tries: int) -> None:
    """Print a line for each size of batch."""
    picture = smooth_picture(side)
    count = max(batches)
    pictures_BCHW = torch.cat([picture.roll(17 * shift, -1) for shift in range(count)])
    turns = [{batch: encode(vae, pictures_BCHW, batch) for batch in batches} for _ in range(tries + 1)][1:]
    alone = turns[0][1][2]
    for batch in batches:
        cpu, wall = (min(turn[batch][place] for turn in turns) for place in (0, 1))
        moved = (turns[0][batch][2] - alone).abs().max() / alone.std()
        same = all(torch.equal(turn[batch][2], turns[0][batch][2]) for turn in turns)
        times = f"{name:10}{side:6}{batch:7}{cpu:10.3f}{wall:10.3f}"
        print(f"{times}{moved:12.1e}  {'yes' if same else 'no'}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 512], help="pixels of a picture's side")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--tries", type=int, default=3)
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} threads; seconds of a picture, the least of {options.tries}")
    print(f"{'VAE':10}{'side':>6}{'batch':>7}{'CPU':>10}{'wall':>10}{'moved by':>12}  same bits each time")
    for name, vae in (("demo", load_base_model(DEMO_BASE, torch.float32).vae), ("real size", load_vae(None))):
        for side in options.sides:
            compare(name, vae, side, options.batches, options.tries)


if __name__ == "__main__":
    main()
