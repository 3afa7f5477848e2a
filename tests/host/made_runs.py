"""Runs that were never trained: folders as a training leaves them, made in a moment for the page to show."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageFilter

from trainer_core.dataset.folder import read_folder
from trainer_core.demo import world
from trainer_core.files import write_json
from trainer_core.lora.file import lora_bytes
from trainer_core.picture_request import PictureRequest
from trainer_core.runs.step_log import STEP_LOG
from trainer_core.training.arithmetic import RunSize
from trainer_core.training.kept_samples import Sample, sample_path, sample_png
from trainer_core.training.plan import NetworkPlan, OptimizerPlan, TrainingPlan
from trainer_core.training.run import ABOUT, JOB, RESULT, VALIDATION_LOG, VERDICT, WORKFLOW
from trainer_core.training.validation_report import ValidationReport, append_report
from trainer_core.training.verdict import Verdict
from trainer_core.training.verdict_words import Change, Sentence

_SIDE = 256
_PICTURES = 10
_PLAN = TrainingPlan(
    epochs=10,
    batch_size=2,
    network=NetworkPlan(rank=32, alpha=16.0),
    optimizer=OptimizerPlan(learning_rate=2e-4),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeRun:
    """What is to be found in the folder."""

    name: str
    base: str = "dreamshaper_8.safetensors"
    epochs: int = 10
    """Trained so far, of the plan's ten."""
    steps_per_epoch: int = 120
    saved_steps: tuple[int, ...] = ()
    """Steps within epochs after which a LoRA was kept too."""
    prompts: tuple[str, ...] = ("mochi, sitting on a table, bright window", "mochi, in the rain, night")
    verdict: Verdict | None = None
    is_finished: bool = True
    workflow: dict | None = None
    pictures: Path | None = None
    """A new folder for what it was trained on; None where that is gone."""
    seed: int = 0

    @property
    def run(self) -> str:
        """The name of its folder."""
        return f"{self.name}-{self.seed:012x}"


def overfit() -> Verdict:
    values = {"since": "7", "best": "6", "lowest": "0.0921", "last": "0.0984"}
    sentences = (
        Sentence(key="rising", values=values),
        Sentence(key="use", values={"best": "6"}),
        Sentence(key="change", values={}, changes=(Change(field="UNet rate", now="2e-4", then="1e-4"),)),
    )
    return Verdict(kind="overfit", since_epoch=7, best_epoch=6, sentences=sentences)


def make_run(runs: Path, made: MadeRun) -> str:
    """Write its folder below `runs`; the folder's name."""
    folder = runs / made.run
    folder.mkdir(parents=True)
    _tell_about(folder, made)
    _log_steps(folder, made)
    if made.pictures:
        _draw_pictures(folder, made.pictures)
    if made.epochs:
        _measure(folder, made)
        _draw_samples(folder, made)
        _keep_loras(folder, made)
    if made.workflow:
        write_json(folder / WORKFLOW, made.workflow)
    if made.verdict:
        write_json(folder / VERDICT, {"verdict": made.verdict.to_json(), "remarks": ["3 captions were empty."]})
    if made.is_finished:
        write_json(folder / RESULT, {"epochs": []})
    return made.run


def run_event(run: str, told: dict[str, Any]) -> dict[str, Any]:
    """What a server says of a run while it is trained: of its first step, unless `told` says otherwise."""
    return {
        "run": run, "name": run.rpartition("-")[0], "workflow": None, "node": "1", "prompt": "1", "stage": "training",
        "done": 1, "total": 100_000, "step": 1, "total_steps": 100_000, "epoch": 1, "epochs": 10, "points": [],
        "seconds_per_step": 0.5, "seconds_left": 3900, "memory_mb": 9318, "changed": [], "state": "training",
    } | told  # fmt: skip


def _tell_about(folder: Path, made: MadeRun) -> None:
    size = RunSize(
        pictures=24, repeats=(10,), samples=240, regularised=False, epochs=_PLAN.epochs, batch_size=2, accumulation=1,
        steps=_PLAN.epochs * made.steps_per_epoch, counts_steps=False, saves=_PLAN.epochs, bytes_each=37_900_000,
        scale=0.5,
    )  # fmt: skip
    about = {"name": made.name, "base": made.base, "family": "SD1.5", "arithmetic": size.line()}
    write_json(folder / ABOUT, about | {"size": asdict(size), "plan": _PLAN.to_json()})


def _log_steps(folder: Path, made: MadeRun) -> None:
    rng = random.Random(made.seed)
    total = _PLAN.epochs * made.steps_per_epoch
    lines = []
    for step in range(1, made.epochs * made.steps_per_epoch + 1):
        share = step / total
        loss = (0.085 + 0.06 * math.exp(-5 * share)) * rng.lognormvariate(0, 0.35)
        rate = 1e-4 * (1 + math.cos(math.pi * share))
        epoch = (step - 1) // made.steps_per_epoch + 1
        lines.append(json.dumps({"step": step, "epoch": epoch, "loss": loss, "rate": rate}))
    (folder / STEP_LOG).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _measure(folder: Path, made: MadeRun) -> None:
    rng = random.Random(made.seed)
    hard = {_picture_name(place): rng.uniform(0.07, 0.2) for place in range(_PICTURES)}
    held_out = dict(list(hard.items())[:2])
    trained = dict(list(hard.items())[2:])
    for epoch in range(made.epochs + 1):
        gain = 0.45 * (1 - math.exp(-epoch / 3))
        now = {name: loss * (1 - gain * (1 - 4 * (loss - 0.07))) for name, loss in trained.items()}
        rise = 1 - 0.3 * gain + 0.006 * max(0, epoch - 6)
        others = {name: loss * rise for name, loss in held_out.items()}
        report = ValidationReport(
            epoch=epoch, step=epoch * made.steps_per_epoch, training_loss=_mean(now.values()),
            held_out_loss=_mean(others.values()), per_picture=now, per_held_out=others,
        )  # fmt: skip
        append_report(folder / VALIDATION_LOG, report)


def _draw_pictures(folder: Path, pictures: Path) -> None:
    pictures.mkdir(parents=True)
    for place in range(_PICTURES):
        world.draw(world.random_scene(random.Random(place)), _SIDE).save(pictures / _picture_name(place))
    write_json(folder / JOB, {"dataset": read_folder(pictures).to_json()})


def _picture_name(place: int) -> str:
    return f"mochi_{place:02d}.png"


def _draw_samples(folder: Path, made: MadeRun) -> None:
    for number, prompt in enumerate(made.prompts, start=1):
        scene = world.random_scene(random.Random(number))
        sharp = world.draw(scene, _SIDE)
        for epoch in range(made.epochs + 1):
            request = PictureRequest(prompt=prompt, width=_SIDE, height=_SIDE, seed=number)
            path = sample_path(folder, epoch, number)
            step = epoch * made.steps_per_epoch
            sample = Sample(epoch=epoch, step=step, number=number, request=request, path=path)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(sample_png(_blurred(sharp, 12 - 1.2 * epoch), sample))


def _keep_loras(folder: Path, made: MadeRun) -> None:
    (folder / "epochs").mkdir()
    ends = tuple(epoch * made.steps_per_epoch for epoch in range(1, made.epochs + 1))
    for step in (*ends, *made.saved_steps):
        metadata = {"ss_epoch": str(math.ceil(step / made.steps_per_epoch)), "ss_steps": str(step)}
        tensors = {"lora_unet_a.lora_down.weight": torch.zeros(4, 4)}
        path = folder / "epochs" / f"{made.name}-{step:06d}.safetensors"
        path.write_bytes(lora_bytes(tensors, metadata, torch.float16))


def _blurred(picture: Image.Image, radius: float) -> Image.Image:
    return picture.convert("RGB").filter(ImageFilter.GaussianBlur(max(0.0, radius)))


def _mean(losses: Sequence[float]) -> float:
    return sum(losses) / len(losses)
