"""A small job for the tests: four drawn pictures, a tiny random model, a few steps."""

from __future__ import annotations

import contextlib
import hashlib
import random
from pathlib import Path

from tests.tiny_models import tiny_sd15, tiny_sdxl, write_checkpoint
from trainer_core.captions.composing import compose
from trainer_core.captions.rules import CaptionRules
from trainer_core.crop.crop import crop_dataset
from trainer_core.crop.rules import CropRules
from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.merge import combine
from trainer_core.demo import world
from trainer_core.job import Job
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.reports import StepReport
from trainer_core.training.trainer import Trainer

SIZE = 64
PLAN = {
    "epochs": 2,
    "batch_size": 2,
    "seed": 3,
    "network": {"rank": 4, "alpha": 2},
    "optimizer": {"learning_rate": 1e-3},
    "saving": {"state_every_steps": 3},
    "validation": {"every_epochs": 0},
}


def write_pictures(folder: Path, count: int = 4, seed: int = 0) -> Path:
    """Wide drawn pictures with captions beside them."""
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        scene = world.random_scene(rng)
        world.draw(scene, 96, 64).save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text(world.caption(scene), encoding="utf-8")
    return folder


def write_base(folder: Path, family: str = "sd15") -> Path:
    """A tiny checkpoint, once per folder."""
    path = folder / f"tiny_{family}.safetensors"
    if not path.exists():
        write_checkpoint(path, tiny_sd15() if family == "sd15" else tiny_sdxl())
    return path


def small_job(folder: Path, *, family: str = "sd15", regularisation: bool = False, **changes) -> Job:
    """A job on four pictures x 2 repeats: 2 epochs x 4 steps, not measured. `changes` are plan fields."""
    training = read_folder(write_pictures(folder / "pictures"), repeats=2)
    extra = None
    if regularisation:
        extra = read_folder(write_pictures(folder / "regularisation", 3, seed=9), is_regularisation=True)
    dataset = compose(combine(training, extra), CaptionRules(trigger_word="mochi")).dataset
    dataset = crop_dataset(dataset, CropRules(width=SIZE, height=SIZE, method="center"))
    plan = TrainingPlan.from_json(PLAN | changes)
    return Job(base_model=write_base(folder, family), dataset=dataset, plan=plan, name="mochi")


def prepared(job: Job, runs: Path) -> Trainer:
    """A trainer that is about to take its first step."""
    trainer = Trainer(job, runs)
    for _ in trainer.prepare():
        pass
    return trainer


def train(job: Job, runs: Path, *, until: int | None = None) -> Trainer:
    """Train to the end, or stop after step `until` as a user would."""
    trainer = Trainer(job, runs)
    with contextlib.closing(trainer.steps()) as steps:
        for report in steps:
            if isinstance(report, StepReport) and report.step == until:
                break
    return trainer


def digest(trainer: Trainer) -> list[str]:
    """Of every LoRA that a finished run kept: the same bytes, the same digests."""
    return [hashlib.sha256(saved.path.read_bytes()).hexdigest() for saved in trainer.result().epochs]
