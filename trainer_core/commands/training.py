"""train, sample and inspect: making a LoRA, and looking at one.

What takes seconds to import is imported by whoever needs it: diffusers and all that it brings.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from ..files import numbered, write_picture
from ..job import Job, read_job
from ..lora.file import clip_skip_of, inspect_lora, publish
from ..picture_request import PictureRequest, SamplerName
from ..training.kept_samples import MissedSample, Sample
from ..training.loss_chart import loss_chart
from ..training.plan.advice import plan_warnings
from ..training.reports import StepReport
from ..training.team import Team, joined
from .arguments import Answer, add_command, add_device, add_tokenizer, device_of, say, size
from .plans import job_of_kohya, plan_like, remarks

if TYPE_CHECKING:
    from ..training.trainer import Trainer

_HARDEST = 3
"""Pictures of a run that are named."""


def add_training_commands(commands) -> None:
    train = add_command(commands, "train", _train, "train a job file; an interrupted run goes on")
    jobs = train.add_mutually_exclusive_group(required=True)
    jobs.add_argument("job", nargs="?", type=Path, help="job file (JSON); docs/job-file.md describes it")
    jobs.add_argument(
        "--from-kohya",
        metavar="SETTINGS",
        help="settings of kohya's sd-scripts (file, or command line in quotes), kept beside them as NAME_job.json",
    )
    train.add_argument(
        "--like", type=Path, metavar="LORA", help="train as this LoRA was; what the job's own plan says comes first"
    )
    train.add_argument("--runs", type=Path, help="folder of the runs; beside the job file unless given")
    train.add_argument("--dry-run", action="store_true", help="say what the run would be, and stop")
    finished = train.add_mutually_exclusive_group()
    finished.add_argument(
        "--out", type=Path, help="folder of the finished LoRA; loras/ beside the job file unless given"
    )
    finished.add_argument("--run-only", action="store_true", help="leave the LoRA in its run's folder, without a chart")
    add_device(train)
    add_tokenizer(train)

    sample = add_command(commands, "sample", _sample, "draw pictures with a LoRA")
    sample.add_argument("lora", type=Path)
    sample.add_argument("--base-model", type=Path, required=True, help="checkpoint or diffusers folder")
    sample.add_argument("--prompt", action="append", required=True, help="may be given several times")
    sample.add_argument("--negative", default="")
    sample.add_argument("--size", type=size, default=(512, 512), metavar="WxH")
    sample.add_argument("--steps", type=int, default=20)
    sample.add_argument("--cfg", type=float, default=7.0)
    sample.add_argument("--sampler", choices=sorted(get_args(SamplerName)), default="euler")
    sample.add_argument("--seed", type=int, default=0)
    sample.add_argument("--strength", type=float, default=1.0, help="0 draws the bare base model")
    sample.add_argument("--clip-skip", type=int, help="as the LoRA was trained unless given")
    sample.add_argument("--out", type=Path, default=Path("samples"), help="folder to write")
    add_device(sample)
    add_tokenizer(sample)

    inspect = add_command(commands, "inspect", _inspect, "what a LoRA file says of itself")
    inspect.add_argument("lora", type=Path)


def _train(options: argparse.Namespace) -> Answer:
    """Under torchrun every process comes here; only the first one has an answer."""
    with joined(device_of(options)) as team:
        with team.first_alone():
            source = _job_file(options)
            trainer = _trainer(options, source, team)
        if team.is_first:
            return _lead(options, source, trainer)
        if not options.dry_run:
            for _ in trainer.steps():
                pass
    return {}, []


def _trainer(options: argparse.Namespace, source: Path, team: Team) -> Trainer:
    from ..training.trainer import Trainer

    runs = options.runs or source.parent / "runs"
    job = _like(options, source, read_job(source, caches=runs / "scans", device=device_of(options)))
    return Trainer(job, runs, device=device_of(options), tokenizer_folders=options.tokenizer, team=team)


def _lead(options: argparse.Namespace, source: Path, trainer: Trainer) -> Answer:
    size, warnings = trainer.size(), plan_warnings(trainer.plan, trainer.total_steps)
    if options.dry_run:
        memory = trainer.step_memory()
        lines = [size.line(), size.scale_line(), memory.line(), *warnings]
        told = {"line": size.line(), "memory": {**asdict(memory), "total": memory.total}, "warnings": warnings}
        return {**asdict(size), **told}, lines
    for line in (f"{size.line()}; run {trainer.run_folder.name}", *warnings):
        say(options, line)
    for stage in trainer.prepare():
        if stage.done == stage.total:
            say(options, f"{stage.stage}: {stage.done}")
    _follow(options, trainer)
    lora = trainer.result()
    if options.run_only:
        return {"run": str(lora.run_folder)}, [f"run: {lora.run_folder}"]
    file = publish(lora.file, options.out or source.parent / "loras", lora.name)
    chart = lora.run_folder / "loss.png"
    write_picture(chart, loss_chart(lora.losses, epoch_steps=[saved.step for saved in lora.epochs], title=lora.name))
    answer = {
        "lora": str(file),
        "run": str(lora.run_folder),
        "epochs": [{"epoch": s.epoch, "step": s.step, "file": str(s.path)} for s in lora.epochs],
        "steps": len(lora.losses),
        "last_loss": lora.losses[-1],
        "loss_chart": str(chart),
        "verdict": trainer.verdict().to_json(),
        "pictures": [picture.to_json() for picture in trainer.pictures()],
        "remarks": trainer.remarks,
    }
    lines = [f"LoRA: {file}", f"loss chart: {chart}", f"all kept epochs: {lora.run_folder / 'epochs'}"]
    return answer, [*lines, *trainer.remarks, *trainer.verdict().lines, *_hardest(trainer)]


def _hardest(trainer: Trainer) -> list[str]:
    """A line about the pictures that are learned worst."""
    found = [f"{picture.name} {picture.last:.3f} ({-picture.gain:+.0%})" for picture in trainer.pictures()[:_HARDEST]]
    return [f"hardest pictures, by their loss now and since the base model: {', '.join(found)}"] if found else []


def _job_file(options: argparse.Namespace) -> Path:
    if not options.from_kohya:
        return options.job
    path, found = job_of_kohya(options.from_kohya)
    for line in (f"job file: {path}", *remarks(found)):
        say(options, line)
    return path


def _like(options: argparse.Namespace, source: Path, job: Job) -> Job:
    """The job, trained as the LoRA was that is named."""
    if not options.like:
        return job
    plan, told = plan_like(options.like, source, job.plan)
    for line in told:
        say(options, line)
    return replace(job, plan=plan)


def _follow(options: argparse.Namespace, trainer: Trainer) -> None:
    """Train, with a line for about every fiftieth step, each LoRA kept and each sample."""
    every = max(1, trainer.total_steps // 50)
    for report in trainer.steps():
        match report:
            case StepReport() if report.saved or report.step % every == 0 or report.step == 1:
                kept = f"  kept {report.saved.name}" if report.saved else ""
                step = f"step {report.step}/{report.total_steps}"
                say(options, f"{step}  epoch {report.epoch}  loss {report.loss:.4f}{kept}")
            case Sample():
                say(options, f"drew {report.path}")
            case MissedSample():
                say(options, report.remark)


def _sample(options: argparse.Namespace) -> Answer:
    from ..sampling import preview

    (width, height), device = options.size, device_of(options)
    requests = [
        PictureRequest(
            prompt=prompt,
            negative=options.negative,
            width=width,
            height=height,
            steps=options.steps,
            cfg=options.cfg,
            sampler=options.sampler,
            seed=options.seed,
        )
        for prompt in options.prompt
    ]
    pictures = preview(
        options.lora,
        options.base_model,
        requests,
        strength=options.strength,
        clip_skip=clip_skip_of(options.lora) if options.clip_skip is None else options.clip_skip,
        device=device,
        tokenizer_folders=options.tokenizer,
    )
    written, stem = [], f"{options.lora.stem}_{options.seed}"
    taken = numbered(options.out, stem, ".png")  # by other prompts, whose pictures stay
    for number, picture in enumerate(pictures, start=taken[0][0] + 1 if taken else 1):
        path = options.out / f"{stem}_{number}.png"
        write_picture(path, picture)
        written.append(str(path))
        say(options, f"drew {path}")
    return {"pictures": written}, written


def _inspect(options: argparse.Namespace) -> Answer:
    found = inspect_lora(options.lora)
    modules = ", ".join(f"{part} {count}" for part, count in found["modules"].items())
    lines = [
        f"{found['file']}: {found['bytes']:,} bytes, {'/'.join(found['format'])}",
        f"rank {found['rank']}, alpha {found['alpha']:g}: effect scaled by {found['scale']:g}",
        f"modules: {modules}; {found['parameters']:,} parameters",
        *(f"{key}: {_shown(text)}" for key, text in found["metadata"].items()),
        f"plan: {json.dumps(found['plan']) if found['plan'] else 'none in the file'}",
    ]
    return found, lines


def _shown(text: str) -> str:
    """Pictures inside the metadata are named, not printed."""
    return f"a picture, {len(text):,} characters" if text.startswith("data:") else text
