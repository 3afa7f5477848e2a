"""How often the verdict is right: runs made to underfit, to fit and to overfit on drawn subjects, judged blind.

    python -m benchmarks.verdict_calibration FOLDER [--seeds 101 102]

Every seed draws a subject that the demo base has never seen, its pictures, and one recipe of each kind, all by chance.
The rules were tuned on seeds below 100; the table is about others. A case takes about half a minute on a free core and
is kept in FOLDER, so that a run that was stopped goes on. The loss on pictures that neither training nor the verdict
has seen is measured too, and shown where a verdict is wrong.
"""

from __future__ import annotations

import argparse
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from trainer_core.dataset.pictures import training_pixels
from trainer_core.dataset.types import Dataset
from trainer_core.demo import DEMO_BASE
from trainer_core.families.base_model import BaseModel
from trainer_core.families.loading import load_base_model
from trainer_core.files import read_json, write_json
from trainer_core.job import Job
from trainer_core.lora.file import read_lora
from trainer_core.picture_request import PictureRequest
from trainer_core.progress import finished
from trainer_core.sampling import apply_lora, draw_picture, take_off
from trainer_core.training.encode import encode_pictures, picture_size
from trainer_core.training.holdout import Split, hold_out
from trainer_core.training.latents import Latents
from trainer_core.training.objective import noise_schedule
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.plan.timesteps import TimestepPlan
from trainer_core.training.plan.validation import ValidationPlan
from trainer_core.training.reports import TrainedLora
from trainer_core.training.trainer import Trainer
from trainer_core.training.two_prompts import TwoPromptResult, choose_prompts, compare_pictures
from trainer_core.training.validation import Validation, ValidationPicture
from trainer_core.training.validation_report import ValidationReport
from trainer_core.training.verdict import Kind, Verdict, verdict

from .drawn_subjects import SIDE, random_subject, read_pictures, write_pictures

SEEDS = tuple(range(101, 111))
_BATCH, _FRESH = 4, 16
_REQUEST = PictureRequest(prompt="", width=SIDE, height=SIDE, steps=15, cfg=4.0, sampler="ddim", seed=100)
_VALIDATION = ValidationPlan(held_out_share=0.1)
_KINDS: tuple[Kind, ...] = ("underfit", "good", "overfit")
_MODES = (("all measurements", True, True), ("without the two prompts", False, True), ("nothing held out", True, False))


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A run, and what it is made for."""

    kind: Kind
    rate: float
    steps: int
    rank: int
    schedule: str
    pictures: int

    @property
    def epochs(self) -> int:
        return min(7, max(3, self.steps // 4))

    def plan(self, seed: int) -> TrainingPlan:
        return TrainingPlan.from_json(
            {
                "epochs": self.epochs,
                "batch_size": _BATCH,
                "seed": seed,
                "network": {"rank": self.rank, "alpha": float(self.rank)},
                "optimizer": {"learning_rate": self.rate, "text_encoder_rate": self.rate / 2},
                "schedule": {"name": self.schedule},
                "validation": {"every_epochs": 0},  # the benchmark holds out and measures by itself
            }
        )


def recipes(rng: random.Random, pictures: int) -> list[Recipe]:
    """Too low a rate or too few steps; about what the demo uses; a high rate for long on few pictures."""
    small, schedules = (8, 16, 32), ("cosine", "constant")
    slow = {"rate": rng.uniform(1e-4, 3e-4), "steps": rng.randint(40, 80)}
    short = {"rate": rng.uniform(5e-4, 1e-3), "steps": rng.randint(6, 12)}
    under = {**rng.choice((slow, short)), "rank": rng.choice(small), "schedule": rng.choice(schedules)}
    fit = {"rate": rng.uniform(1.2e-3, 2.2e-3), "steps": rng.randint(45, 80), "rank": rng.choice(small)}
    over = {"rate": rng.uniform(3e-3, 4.5e-3), "steps": rng.randint(200, 280), "rank": rng.choice((32, 64))}
    return [
        Recipe(kind="underfit", pictures=pictures, **under),
        Recipe(kind="good", pictures=pictures, schedule="cosine", **fit),
        Recipe(kind="overfit", pictures=rng.randint(8, 9), schedule=rng.choice(schedules), **over),
    ]


def cases(seed: int, work: Path) -> Iterator[dict[str, Any]]:
    """Train and measure the three recipes of a seed."""
    rng = random.Random(seed)
    subject, pictures = random_subject(rng), rng.randint(12, 24)
    chosen = recipes(rng, pictures)
    write_pictures(work / "fresh", subject, _FRESH, rng)
    write_pictures(work / "all", subject, pictures, rng)
    for recipe in chosen:
        folder = work / recipe.kind
        folder.mkdir()
        for file in sorted((work / "all").iterdir())[: 2 * recipe.pictures]:  # a picture and its caption
            shutil.copy(file, folder)
        yield _case(seed, recipe, folder, read_pictures(work / "fresh", 1), work)


def _case(seed: int, recipe: Recipe, folder: Path, fresh: Dataset, work: Path) -> dict[str, Any]:
    trained = len(hold_out(read_pictures(folder, 1), _VALIDATION).training.training_images)
    repeats = max(1, round(recipe.steps * _BATCH / recipe.epochs / trained))
    split = hold_out(read_pictures(folder, repeats), _VALIDATION)
    plan = recipe.plan(seed)
    trainer = Trainer(Job(base_model=DEMO_BASE, dataset=split.training, plan=plan, name=recipe.kind), work / "runs")
    for _ in trainer.steps():
        pass
    model = load_base_model(DEMO_BASE, torch.float32, ())
    reports, unseen = _reports(model, trainer.result(), split, fresh, work / "latents")
    drawn = _two_prompts(model, trainer.result(), split)
    return {
        "seed": seed,
        "recipe": asdict(recipe),
        "plan": plan.to_json(),
        "training": split.training.to_json(),
        "total_steps": trainer.total_steps,
        "reports": [report.to_json() for report in reports],
        "two_prompts": drawn.to_json(),
        "unseen": [loss / unseen[0] for loss in unseen],
    }


# ----------------------------------------------------------------------------------------------------- measuring


def _reports(
    model: BaseModel, lora: TrainedLora, split: Split, fresh: Dataset, cache: Path
) -> tuple[list[ValidationReport], list[float]]:
    """The reports of the base model and of every epoch, and the loss on pictures that nothing has seen."""
    pictures = _encode(model, split.training, cache, is_held_out=False)
    pictures += _encode(model, Dataset(images=split.held_out), cache, is_held_out=True)
    measured = _validation(model, pictures)
    unseen = _validation(model, _encode(model, fresh, cache, is_held_out=False))
    reports, losses = [], []
    for epoch, step, file in [(0, 0, None), *((saved.epoch, saved.step, saved.path) for saved in lora.epochs)]:
        adapters = apply_lora(model, read_lora(file)) if file else []

        def predict(noisy_BCHW, t_B, captions, sizes):
            return model.predict(noisy_BCHW, t_B, model.encode_text(captions, 1), sizes)

        modules = [model.unet, *model.text_encoders]
        reports.append(finished(measured.measure(predict, modules, epoch=epoch, step=step)))
        losses.append(finished(unseen.measure(predict, modules, epoch=epoch, step=step)).training_loss)
        take_off(adapters)
    return reports, losses


def _validation(model: BaseModel, pictures: list[ValidationPicture]) -> Validation:
    return Validation(pictures, noise_schedule(model), TimestepPlan(), seed=_VALIDATION.seed, device="cpu")


def _encode(model: BaseModel, dataset: Dataset, cache: Path, *, is_held_out: bool) -> list[ValidationPicture]:
    latents = Latents(cache)
    for _ in encode_pictures(model, "demo", dataset, latents, "cpu", flip=False):
        pass
    return [
        ValidationPicture(
            name=image.path.name,
            fingerprint=image.fingerprint,
            is_held_out=is_held_out,
            latent_CHW=latents[index, False].mean_CHW * model.latent_scale,
            caption=image.caption,
            size=picture_size(image),
        )
        for index, image in enumerate(dataset.images)
    ]


def _two_prompts(model: BaseModel, lora: TrainedLora, split: Split) -> TwoPromptResult:
    prompts = choose_prompts(split.training, _VALIDATION)
    requests = prompts.requests(_REQUEST)

    def draw():
        return [draw_picture(model, request, clip_skip=1, precision="fp32", device="cpu") for request in requests]

    without = draw()
    apply_lora(model, read_lora(lora.file))
    training = [training_pixels(image) for image in split.training.training_images]
    return compare_pictures(draw(), without, [training_pixels(image) for image in prompts.sources], training)


# --------------------------------------------------------------------------------------------------------- table


def judged(case: dict[str, Any], *, is_drawn: bool, is_held_out: bool) -> Verdict:
    """The verdict on a case, by the rules as they are now."""
    reports = [ValidationReport.from_json(report) for report in case["reports"]]
    if not is_held_out:
        reports = [replace(report, held_out_loss=None, per_held_out={}) for report in reports]
    return verdict(
        reports,
        TrainingPlan.from_json(case["plan"]),
        Dataset.from_json(case["training"]),
        TwoPromptResult.from_json(case["two_prompts"]) if is_drawn else None,
        case["total_steps"],
    )


def table(found: list[dict[str, Any]]) -> str:
    """Verdicts by what the recipes were made for, then the cases that were judged otherwise."""
    lines = []
    for mode, is_drawn, is_held_out in _MODES:
        answers = [judged(case, is_drawn=is_drawn, is_held_out=is_held_out) for case in found]
        pairs = Counter((case["recipe"]["kind"], answer.kind) for case, answer in zip(found, answers, strict=True))
        lines.append(f"{mode}: {sum(pairs[kind, kind] for kind in _KINDS)} of {len(found)} right")
        for made in _KINDS:
            lines.append(f"  made to be {made:9}" + "".join(f" {pairs[made, kind]:4} {kind}" for kind in _KINDS))
        for case, answer in zip(found, answers, strict=True):
            if answer.kind != case["recipe"]["kind"]:
                lines.append(f"    seed {case['seed']}, {case['recipe']['kind']}; {_numbers(case)}: {answer.lines[0]}")
    return "\n".join(lines)


def _numbers(case: dict[str, Any]) -> str:
    first, last = (ValidationReport.from_json(case["reports"][place]) for place in (0, -1))
    training, held_out = last.training_loss / first.training_loss, last.held_out_loss / first.held_out_loss
    return f"training {training:.2f}, held out {held_out:.2f}, unseen {case['unseen'][-1]:.2f} of the base's"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    args = parser.parse_args()
    found = []
    for seed in args.seeds:
        file = args.folder / f"{seed}.json"
        if not file.is_file():
            work = args.folder / f"{seed}"
            shutil.rmtree(work, ignore_errors=True)
            write_json(file, list(cases(seed, work)))
        found += read_json(file)
        print(f"seed {seed} is done", flush=True)
    print(table(found))


if __name__ == "__main__":
    main()
