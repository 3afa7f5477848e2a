"""Trainers that are measured against each other, each in a process of its own: `python -m` prints a line of JSON.

All train a LoRA of the same rank on the same layers of the same UNet, with the same pictures and captions, encoded
before the first step: only the steps differ.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
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

_RANK, _RATE, _SEED = 32, 1e-4, 0
_PEFT_TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2")
"""The layers that get an adapter here by default, as peft is told them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What a contender is to do."""

    contender: str
    base: str
    pictures: str
    side: int
    """Pixels."""
    steps: int
    began: float
    """Seconds since 1970 when the process was started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What a contender did."""

    seconds: list[float]
    """Of every step, the first one included."""
    cpu_seconds: list[float]
    """Of all threads together: what a step costs, however busy the machine is."""
    losses: list[float]
    to_first_step: float
    """Seconds from the process's start to the end of its first step."""
    peak_bytes: int
    """Largest resident set, loading included: there the file's pages count too."""
    peak_bytes_of_steps: int | None
    """The same from the second step on; None where the system cannot tell (only Linux can)."""


def ours(task: Task) -> Iterator[float]:
    """The trainer of this repository as users run it; each loss after its step.

    Before the first step it measures the validation loss. No epoch ends and nothing is saved within the steps that are
    measured: that is not what a step costs.
    """
    read = read_folder(Path(task.pictures), repeats=task.steps + 1)
    dataset = crop_dataset(read, CropRules(width=task.side, height=task.side))
    plan = TrainingPlan.from_json(
        {
            "steps": task.steps + 1,
            "seed": _SEED,
            "network": {"rank": _RANK, "alpha": _RANK},
            "optimizer": {"learning_rate": _RATE, "text_encoder_rate": 0},
            "precision": {"training": "fp32"},
        }
    )
    with tempfile.TemporaryDirectory() as runs:
        trainer = Trainer(Job(base_model=Path(task.base), dataset=dataset, plan=plan, name="speed"), Path(runs))
        for _ in trainer.prepare():
            pass
        for report in trainer.steps():
            if isinstance(report, StepReport):
                yield report.loss


def peft_loop(task: Task) -> Iterator[float]:
    """diffusers and peft in the plain loop that diffusers' own examples have."""
    from peft import LoraConfig

    model = load_base_model(Path(task.base), torch.float32)
    latents, states = _encoded(model, Path(task.pictures))
    unet, schedule = model.unet, objective.noise_schedule(model)
    del model
    unet.add_adapter(LoraConfig(r=_RANK, lora_alpha=_RANK, target_modules=list(_PEFT_TARGETS)))
    parameters = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=_RATE)
    torch.manual_seed(_SEED)
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
        yield loss.item()


CONTENDERS: dict[str, Callable[[Task], Iterator[float]]] = {"ours": ours, "peft": peft_loop}


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
    draws = random.Random(_SEED)
    for index in range(count):
        Image.frombytes("RGB", (side, side), draws.randbytes(3 * side * side)).save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text(f"picture {index} of a ball", encoding="utf-8")


def measure(task: Task) -> Measured:
    seconds, cpu_seconds, losses = [], [], []
    steps = CONTENDERS[task.contender](task)
    began, began_cpu = time.perf_counter(), time.process_time()
    for loss in islice(steps, task.steps):
        now, now_cpu = time.perf_counter(), time.process_time()
        if not losses:
            to_first_step, peak_until_then = time.time() - task.began, _peak_bytes()
            can_tell = _forget_peak()
        losses.append(loss)
        seconds.append(now - began)
        cpu_seconds.append(now_cpu - began_cpu)
        began, began_cpu = time.perf_counter(), time.process_time()
    return Measured(
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        losses=losses,
        to_first_step=to_first_step,
        peak_bytes=max(peak_until_then, _peak_bytes()),
        peak_bytes_of_steps=_peak_bytes() if can_tell else None,
    )


def _peak_bytes() -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _forget_peak() -> bool:
    """Let the system's count of the largest resident set begin anew; whether it did."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


if __name__ == "__main__":
    print(json.dumps(asdict(measure(Task(**json.loads(sys.argv[1]))))))
