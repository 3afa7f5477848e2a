"""Ours, and a plain diffusers and peft loop, each in a process of its own: `python -m` prints a line of JSON.

Both train a LoRA of the same rank on the same layers of the same UNet, with the same pictures and captions, encoded
before the first step: only the steps differ. Trainers with a Python of their own are in other_trainers.py.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from trainer_core.crop.crop import crop_dataset
from trainer_core.crop.rules import CropRules
from trainer_core.dataset.folder import read_folder
from trainer_core.families.base_model import BaseModel
from trainer_core.families.loading import load_base_model
from trainer_core.job import Job
from trainer_core.training import objective
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.reports import StepReport
from trainer_core.training.trainer import Trainer

from .other_trainers import RANK, RATE, SEED
from .step_clock import StepClock, Task

_PEFT_TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2")
"""The layers that get an adapter here by default, as peft is told them."""


def ours(task: Task) -> Iterator[None]:
    """The trainer of this repository as users run it; stops after each step.

    Before the first step it measures the validation loss. No epoch ends and nothing is saved within the steps that are
    measured: that is not what a step costs.
    """
    read = read_folder(Path(task.pictures), repeats=task.steps + 1)
    dataset = crop_dataset(read, CropRules(width=task.side, height=task.side))
    plan = TrainingPlan.from_json(
        {
            "steps": task.steps + 1,
            "seed": SEED,
            "network": {"rank": RANK, "alpha": RANK},
            "optimizer": {"learning_rate": RATE, "text_encoder_rate": 0},
            "precision": {"training": "fp32"},
        }
    )
    with tempfile.TemporaryDirectory() as runs:
        job = Job(base_model=Path(task.base), dataset=dataset, plan=plan, name="speed")
        trainer = Trainer(job, Path(runs), tokenizer_folders=[Path(task.tokenizer)])
        for _ in trainer.prepare():
            pass
        for report in trainer.steps():
            if isinstance(report, StepReport):
                yield


def peft_loop(task: Task) -> Iterator[None]:
    """diffusers and peft in the plain loop that diffusers' own examples have."""
    from peft import LoraConfig

    model = load_base_model(Path(task.base), torch.float32, [Path(task.tokenizer)])
    latents, states = _encoded(model, Path(task.pictures))
    unet, schedule = model.unet, objective.noise_schedule(model)
    del model
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(_PEFT_TARGETS)))
    parameters = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE)
    torch.manual_seed(SEED)
    for step in range(task.steps):
        index = step % len(latents)
        noise = torch.randn_like(latents[index])
        t = torch.randint(0, objective.TIMESTEPS, (1,))
        predicted = unet(schedule.add_noise(latents[index], noise, t), t, states[index]).sample
        loss = torch.nn.functional.mse_loss(predicted, noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        yield


CONTENDERS: dict[str, Callable[[Task], Iterator[None]]] = {"ours": ours, "peft": peft_loop}


@torch.no_grad()
def _encoded(model: BaseModel, pictures: Path) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Latents (1, 4, height, width) and text states (1, 77, 768) of all pictures."""
    latents, states = [], []
    for path in sorted(pictures.glob("*.png")):
        pixels = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None] / 127.5 - 1
        latents.append(model.vae.encode(pixels).latent_dist.mean * model.latent_scale)
        states.append(model.encode_text([path.with_suffix(".txt").read_text(encoding="utf-8")], 1).states_BLD)
    return latents, states


def write_pictures(folder: Path, side: int, count: int = 4) -> None:
    """Noise with a caption beside each: what is in a picture costs no step anything."""
    draws = random.Random(SEED)
    for index in range(count):
        Image.frombytes("RGB", (side, side), draws.randbytes(3 * side * side)).save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text(f"picture {index} of a ball", encoding="utf-8")


def main() -> None:
    task = Task.from_command_line()
    clock = StepClock(task)
    for _ in islice(CONTENDERS[task.contender](task), task.steps):
        clock.stepped()
    clock.print()


if __name__ == "__main__":
    main()
