"""The commands behind `python -m trainer_core`. Each calls what the node of the same stage calls."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from .crop.crop import crop_dataset, write_crops
from .crop.proof_sheet import proof_sheet
from .dataset.folder import combine, read_folder
from .dataset.report import dataset_report, report_lines
from .dataset.types import Dataset
from .errors import TrainingError
from .files import write_picture
from .job import parse_size, read_job
from .lora.file import inspect_lora, publish
from .sampling import SAMPLERS, PictureRequest, preview
from .tagging.captions import edit_captions
from .tagging.sidecars import write_sidecars
from .training.loss_chart import loss_chart
from .training.trainer import Trainer

Answer = tuple[dict[str, Any], list[str]]
"""What a command found: as JSON for machines, and as lines for people."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        answer, lines = options.run(options)
    except TrainingError as problem:
        print(json.dumps({"error": str(problem)}) if options.json else f"error: {problem}", file=_error_stream(options))
        return 1
    except KeyboardInterrupt:
        print("stopped; start the same command again and it goes on", file=sys.stderr)
        return 1
    print(json.dumps(answer, ensure_ascii=False) if options.json else "\n".join(lines))
    return 0


def _error_stream(options: argparse.Namespace):
    return sys.stdout if options.json else sys.stderr


# ------------------------------------------------------------------------------------------------------- commands


def _dataset(options: argparse.Namespace) -> Answer:
    dataset = _read(options)
    if options.size:
        dataset = _crop_as_asked(dataset, options)
    report = dataset_report(dataset)
    rows = [
        f"  {row['file']}  {row['width']}x{row['height']}  x{row['repeats']}  {row['caption']}"
        for row in report["files"]
    ]
    return report, [*report_lines(report), *rows]


def _crop(options: argparse.Namespace) -> Answer:
    dataset = _crop_as_asked(_read(options), options)
    written = [str(path) for path in write_crops(dataset, options.out)]
    if options.proof_sheet:
        write_picture(options.proof_sheet, proof_sheet(dataset))
    return {"written": written, "report": dataset_report(dataset)}, [f"{len(written)} crops are in {options.out}"]


def _tag(options: argparse.Namespace) -> Answer:
    dataset = edit_captions(
        _read(options), trigger_word=options.trigger_word, remove_tags=options.remove, add_tags=options.add
    )
    written = [str(path) for path in write_sidecars(dataset)] if options.write else []
    captions = {str(image.path): image.caption for image in dataset.images}
    lines = [f"{Path(path).name}: {caption}" for path, caption in captions.items()]
    if options.write:
        lines.append(f"{len(written)} caption files written")
    return {"captions": captions, "written": written}, lines


def _train(options: argparse.Namespace) -> Answer:
    job = read_job(options.job)
    runs = options.runs or options.job.parent / "runs"
    trainer = Trainer(job, runs, device=_device(options), tokenizer_folders=options.tokenizer)
    _say(options, f"{len(job.dataset.training_images)} pictures, {trainer.total_steps} steps, run {trainer.run_folder}")
    for stage in trainer.prepare():
        if stage.done == stage.total:
            _say(options, f"{stage.stage}: {stage.done}")
    every = max(1, trainer.total_steps // 50)
    for report in trainer.steps():
        if report.saved or report.step % every == 0 or report.step == 1:
            kept = f"  kept {report.saved.name}" if report.saved else ""
            _say(
                options, f"step {report.step}/{report.total_steps}  epoch {report.epoch}  loss {report.loss:.4f}{kept}"
            )
    lora = trainer.result()
    file = publish(lora.file, options.out or options.job.parent / "loras", job.name)
    chart = lora.run_folder / "loss.png"
    write_picture(chart, loss_chart(lora.losses, epoch_steps=[saved.step for saved in lora.epochs], title=lora.name))
    answer = {
        "lora": str(file),
        "run": str(lora.run_folder),
        "epochs": [{"epoch": s.epoch, "step": s.step, "file": str(s.path)} for s in lora.epochs],
        "steps": len(lora.losses),
        "last_loss": lora.losses[-1],
        "loss_chart": str(chart),
    }
    return answer, [f"LoRA: {file}", f"loss chart: {chart}", f"all kept epochs: {lora.run_folder / 'epochs'}"]


def _sample(options: argparse.Namespace) -> Answer:
    width, height = options.size
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
        clip_skip=options.clip_skip,
        device=_device(options),
        tokenizer_folders=options.tokenizer,
    )
    written = []
    for index, picture in enumerate(pictures, start=1):
        path = options.out / f"{options.lora.stem}_{options.seed}_{index}.png"
        write_picture(path, picture)
        written.append(str(path))
        _say(options, f"drew {path}")
    return {"pictures": written}, written


def _inspect(options: argparse.Namespace) -> Answer:
    found = inspect_lora(options.lora)
    modules = ", ".join(f"{part} {count}" for part, count in found["modules"].items())
    lines = [
        f"{found['file']}: {found['bytes']:,} bytes, {'/'.join(found['format'])}",
        f"rank {found['rank']}, alpha {found['alpha']:g}: effect scaled by {found['scale']:g}",
        f"modules: {modules}; {found['parameters']:,} parameters",
        *(f"{key}: {text}" for key, text in found["metadata"].items()),
        f"plan: {json.dumps(found['plan']) if found['plan'] else 'none in the file'}",
    ]
    return found, lines


# --------------------------------------------------------------------------------------------------- shared pieces


def _read(options: argparse.Namespace) -> Dataset:
    training = read_folder(options.folder, repeats=options.repeats)
    if not options.regularisation:
        return training
    return combine(training, read_folder(options.regularisation, is_regularisation=True))


def _crop_as_asked(dataset: Dataset, options: argparse.Namespace) -> Dataset:
    width, height = options.size
    return crop_dataset(dataset, width=width, height=height, method=options.method, use_buckets=options.buckets)


def _device(options: argparse.Namespace) -> str:
    if options.device != "auto":
        return options.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _say(options: argparse.Namespace, line: str) -> None:
    """Progress: on the error stream where the answer is for a machine."""
    print(line, file=sys.stderr if options.json else sys.stdout, flush=True)


# ------------------------------------------------------------------------------------------------------ arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer_core", description="Make a LoRA, stage by stage.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    dataset = _command(commands, "dataset", _dataset, "what would be trained, file by file")
    _add_folder(dataset)
    _add_crop(dataset, size=None)

    crop = _command(commands, "crop", _crop, "write cropped pictures and their captions into a new folder")
    _add_folder(crop)
    crop.add_argument("out", type=Path, help="folder to write; must be empty or not exist")
    _add_crop(crop, size="512x512")
    crop.add_argument("--proof-sheet", type=Path, help="also draw every crop box into this PNG")

    tag = _command(commands, "tag", _tag, "show the captions with a trigger word, tags removed and added")
    _add_folder(tag)
    tag.add_argument("--trigger-word", default="", help="put first in every training caption")
    tag.add_argument("--remove", type=_tags, default=(), metavar="TAGS", help="tags to delete; * matches anything")
    tag.add_argument("--add", type=_tags, default=(), metavar="TAGS", help="tags to add")
    tag.add_argument("--write", action="store_true", help="write .txt files beside the pictures; old ones become .bak")

    train = _command(commands, "train", _train, "train a job file; an interrupted run goes on")
    train.add_argument("job", type=Path, help="job file (JSON); docs/job-file.md describes it")
    train.add_argument("--runs", type=Path, help="folder of the runs; beside the job file unless given")
    train.add_argument("--out", type=Path, help="folder of the finished LoRA; loras/ beside the job file unless given")
    _add_device(train)

    sample = _command(commands, "sample", _sample, "draw pictures with a LoRA")
    sample.add_argument("lora", type=Path)
    sample.add_argument("--base-model", type=Path, required=True, help="checkpoint or diffusers folder")
    sample.add_argument("--prompt", action="append", required=True, help="may be given several times")
    sample.add_argument("--negative", default="")
    sample.add_argument("--size", type=_size, default=(512, 512), metavar="WxH")
    sample.add_argument("--steps", type=int, default=20)
    sample.add_argument("--cfg", type=float, default=7.0)
    sample.add_argument("--sampler", choices=sorted(SAMPLERS), default="euler")
    sample.add_argument("--seed", type=int, default=0)
    sample.add_argument("--strength", type=float, default=1.0, help="0 draws the bare base model")
    sample.add_argument("--clip-skip", type=int, default=1)
    sample.add_argument("--out", type=Path, default=Path("samples"), help="folder to write")
    _add_device(sample)

    inspect = _command(commands, "inspect", _inspect, "what a LoRA file says of itself")
    inspect.add_argument("lora", type=Path)
    return parser


def _command(commands, name: str, run: Callable[[argparse.Namespace], Answer], text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(run=run)
    return parser


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="folder of pictures, with captions beside them")
    parser.add_argument("--repeats", type=int, default=1, help="how often each picture is seen in an epoch")
    parser.add_argument("--regularisation", type=Path, help="folder of regularisation pictures")


def _add_crop(parser: argparse.ArgumentParser, size: str | None) -> None:
    parser.add_argument("--size", type=_size, default=size and _size(size), metavar="WxH", help="such as 512x768")
    parser.add_argument("--method", choices=("focus", "center"), default="focus", help="where the crop is placed")
    parser.add_argument("--buckets", action="store_true", help="choose each picture's shape nearest to its own")


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, …")
    parser.add_argument("--tokenizer", type=Path, action="append", default=[], help="a folder with a CLIP tokenizer")


def _size(text: str) -> tuple[int, int]:
    try:
        return parse_size(text)
    except TrainingError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _tags(text: str) -> tuple[str, ...]:
    return tuple(tag.strip() for tag in text.split(",") if tag.strip())
