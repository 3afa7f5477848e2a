"""The demo: python -m trainer_core.demo [FOLDER]

Trains a LoRA of the mascot on the demo base, on the CPU, with nothing downloaded, and leaves in FOLDER: the LoRA,
the loss chart, the crop proof sheet and a before/after sheet. The same stages as the graph, called one by one.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import torch
from PIL import Image

from ..captions.composing import compose
from ..captions.rules import CaptionRules
from ..command_line import main as run_command
from ..crop.crop import crop_dataset
from ..crop.proof_sheet import proof_sheet
from ..crop.rules import CropRules
from ..dataset.folder import read_folder
from ..dataset.merge import combine
from ..dataset.report import dataset_report, report_lines
from ..dataset.types import Dataset
from ..files import write_picture
from ..job import Job
from ..lora.file import publish
from ..sampling import PictureRequest, Previewer
from ..sheets import picture_grid
from ..training.loss_chart import loss_chart
from ..training.plan import TrainingPlan
from ..training.reports import StepReport, TrainedLora
from ..training.trainer import Trainer
from . import DEMO_BASE, DEMO_PICTURES, world

DEMO_SIZE = 32
"""Pixels of a side that the demo base draws."""

DEMO_PLAN = TrainingPlan.from_json(
    {
        "epochs": 6,
        "batch_size": 8,
        "network": {"rank": 16, "alpha": 16},
        "optimizer": {"learning_rate": 2e-3, "text_encoder_rate": 1e-3},
        "schedule": {"name": "cosine"},
        "saving": {"every_epochs": 2},
    }
)
_PROMPTS = (
    f"{world.MASCOT_TRIGGER}, cat, pink background",
    f"{world.MASCOT_TRIGGER}, cat, grey background",
    "orange cat, pink background",
    "red heart, white background",
)
_PICTURES_EACH = 4


def prepare_demo_dataset() -> Dataset:
    """The mascot's pictures and the regularisation set, tagged and cropped as the quick-start graph does it."""
    training = read_folder(DEMO_PICTURES / "10_mochi")
    regularisation = read_folder(DEMO_PICTURES / "regularisation", is_regularisation=True)
    dataset = compose(combine(training, regularisation), CaptionRules(trigger_word=world.MASCOT_TRIGGER)).dataset
    return crop_dataset(dataset, CropRules(width=DEMO_SIZE, height=DEMO_SIZE))


def demo_requests(prompt: str, count: int = _PICTURES_EACH) -> list[PictureRequest]:
    """The same few pictures of a prompt each time, by seed."""
    return [
        PictureRequest(prompt=prompt, width=DEMO_SIZE, height=DEMO_SIZE, steps=25, cfg=4.0, sampler="ddim", seed=seed)
        for seed in range(1, count + 1)
    ]


def train_demo(dataset: Dataset, runs: Path) -> TrainedLora:
    """Train, printing the loss now and then."""
    trainer = Trainer(Job(base_model=DEMO_BASE, dataset=dataset, plan=DEMO_PLAN, name="mochi"), runs)
    for report in trainer.steps():
        if isinstance(report, StepReport) and (report.step % 40 == 0 or report.saved):
            kept = f", kept {report.saved.name}" if report.saved else ""
            print(f"  step {report.step}/{report.total_steps}, loss {report.loss:.4f}{kept}", flush=True)
    return trainer.result()


def before_and_after(lora_file: Path) -> tuple[Image.Image, list[str]]:
    """The sheet (each prompt without and with the LoRA, same seeds), and a line on what it shows."""
    previewer = Previewer(DEMO_BASE, clip_skip=1, device="cpu", precision="fp32", tokenizer_folders=())
    without = [list(previewer.draw(demo_requests(prompt), None)) for prompt in _PROMPTS]
    with_lora = [list(previewer.draw(demo_requests(prompt), lora_file)) for prompt in _PROMPTS]
    rows, findings = [], []
    for prompt, before, after in zip(_PROMPTS, without, with_lora, strict=True):
        rows.append([*map(_enlarged, before), *map(_enlarged, after)])
        counts = [sum(map(world.shows_mascot, pictures)) for pictures in (before, after)]
        findings.append(
            f"{prompt!r}: the mascot is in {counts[0]} of {len(before)} pictures without the LoRA, "
            f"in {counts[1]} of {len(after)} with it"
        )
    columns = ["base model"] * _PICTURES_EACH + ["with LoRA"] * _PICTURES_EACH
    return picture_grid(rows, columns, _PROMPTS, cell=128), findings


def _enlarged(picture: Image.Image) -> Image.Image:
    """Whole multiples of the tiny pictures' pixels, so that they stay crisp on the sheet."""
    return picture.resize((picture.width * 4, picture.height * 4), Image.Resampling.NEAREST)


def run_demo(folder: Path) -> None:
    started = time.monotonic()
    torch.set_num_threads(os.cpu_count() or 1)
    print("1. The dataset: pictures drawn for this demo, with captions beside them", flush=True)
    dataset = prepare_demo_dataset()
    for line in report_lines(dataset_report(dataset)):
        print(f"  {line}")
    write_picture(folder / "crop-proof-sheet.png", proof_sheet(dataset))
    print("2. Training", flush=True)
    lora = train_demo(dataset, folder / "runs")
    file = publish(lora.file, folder, lora.name)
    write_picture(
        folder / "loss.png", loss_chart(lora.losses, epoch_steps=[s.step for s in lora.epochs], title="mochi: loss")
    )
    print("3. Pictures without and with the LoRA", flush=True)
    sheet, findings = before_and_after(file)
    write_picture(folder / "before-after.png", sheet)
    for line in findings:
        print(f"  {line}")
    print(f"\nDone in {time.monotonic() - started:.0f} s. Look at:")
    for name, meaning in (
        (file.name, "the LoRA, in kohya's format"),
        ("crop-proof-sheet.png", "every picture with what focus crop keeps of it"),
        ("loss.png", "the loss of every step"),
        ("before-after.png", "the mascot appears only with the LoRA and the trigger word"),
    ):
        print(f"  {folder / name}\n      {meaning}")
    print("What the LoRA says of itself:\n", flush=True)
    run_command(["inspect", str(file)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train the demo LoRA on the CPU.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("demo-output"))
    run_demo(parser.parse_args().folder)
