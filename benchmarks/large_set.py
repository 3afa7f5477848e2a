"""A set of 100,000 small pictures with captions: how long each stage takes until the first step, and how much memory.

    python -m benchmarks.large_set [--pictures 100000] [--different 2000] [--folder FOLDER]

The base is the tests' tiny model, so that what is measured is the handling of the set and not the model. Pictures
beyond the different ones are hard links to them: they are read like any other, and encoded once. CPU seconds are those
of all threads, which waiting does not change; the memory is the largest resident set of the whole process within the
stage.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from PIL import Image

from tests.training_jobs import write_base
from trainer_core.crop.crop import crop_dataset
from trainer_core.crop.rules import CropRules
from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.types import Dataset
from trainer_core.job import Job
from trainer_core.progress import StageReport
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.trainer import Trainer

from .step_clock import forget_peak, peak_bytes

_CAPTIONS = 500
"""So many different ones."""
_SHAPES = ((96, 64), (64, 96), (64, 64))


@contextlib.contextmanager
def timed(stage: str) -> Iterator[None]:
    """Print what a stage took."""
    forget_peak()
    began, began_cpu = time.perf_counter(), time.process_time()
    yield
    tell(stage, time.process_time() - began_cpu, time.perf_counter() - began)


def tell(stage: str, cpu: float, wall: float) -> None:
    resident = psutil.Process().memory_info().rss
    print(f"{stage:32}{cpu:8.1f}{wall:8.1f}{peak_bytes() / 1e6:10.0f}{resident / 1e6:10.0f}", flush=True)


def write_set(folder: Path, count: int, different: int) -> None:
    """A thousand pictures in each folder, coarse patches in three shapes, and a caption beside each; from the
    `different`-th on they are hard links."""
    rng = random.Random(0)
    for index in range(count):
        path = folder / f"{index // 1000:03}" / f"{index % 1000:03}.png"
        if index % 1000 == 0:
            path.parent.mkdir(parents=True)
        if index < different:
            width, height = _SHAPES[index % len(_SHAPES)]
            patches = Image.frombytes("RGB", (width // 8, height // 8), rng.randbytes(width * height * 3 // 64))
            patches.resize((width, height)).save(path, compress_level=1)
        else:
            first = index % different
            os.link(folder / f"{first // 1000:03}" / f"{first % 1000:03}.png", path)
        path.with_suffix(".txt").write_text(f"mochi, a cat, scene {index % _CAPTIONS}\n")


def start(job: Job, runs: Path, name: str) -> None:
    """A training until after its first step, stage by stage."""
    with timed(f"{name}: trainer made"):
        trainer = Trainer(job, runs)
    forget_peak()
    stage, wall, cpu = "", time.perf_counter(), time.process_time()
    for report in trainer.prepare():
        if report.stage != stage:
            if stage:
                tell(f"  {stage}", time.process_time() - cpu, time.perf_counter() - wall)
                forget_peak()
            stage, wall, cpu = report.stage, time.perf_counter(), time.process_time()
    tell(f"  {stage}", time.process_time() - cpu, time.perf_counter() - wall)
    with contextlib.closing(trainer.steps()) as steps:
        with timed("  first step"):
            next(report for report in steps if not isinstance(report, StageReport))
        with timed("  a hundred more"):
            for _, _ in zip(range(100), steps, strict=False):
                pass
        with timed("  stopped"):
            steps.close()


def read_and_crop(pictures: Path, caches: Path) -> Dataset:
    with timed("first scan"):
        dataset = read_folder(pictures, caches=caches)
    with timed("second scan"):
        dataset = read_folder(pictures, caches=caches)
    with timed("crop, center"):
        return crop_dataset(dataset, CropRules(width=32, height=32, buckets=True, method="center"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--different", type=int, default=2000, help="of which so many are not links")
    parser.add_argument("--folder", type=Path, help="where everything goes; a temporary folder if not given")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        print(f"{options.pictures:,} pictures\n{'':32}{'s CPU':>8}{'s wall':>8}{'MB peak':>10}{'MB after':>10}")
        with timed("(written for it)"):
            write_set(folder / "pictures", options.pictures, options.different)
        dataset = read_and_crop(folder / "pictures", folder / "caches")
        plan = {"epochs": 2, "network": {"rank": 4, "alpha": 4}, "optimizer": {"text_encoder_rate": 0}}
        job = Job(base_model=write_base(folder), dataset=dataset, plan=TrainingPlan.from_json(plan), name="large")
        start(job, folder / "runs", "started")
        start(job, folder / "runs", "gone on with, latents kept")


if __name__ == "__main__":
    main()
