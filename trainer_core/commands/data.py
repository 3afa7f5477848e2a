"""dataset, crop and tag: what is done to pictures and captions before training."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..captions.composing import compose
from ..captions.rules import CaptionRules
from ..crop.crop import crop_images
from ..crop.faces import load_face_finder
from ..crop.overrides import read_overrides
from ..crop.proof_sheet import proof_sheet
from ..crop.rules import CropRules
from ..crop.writing import write_crops
from ..dataset.report import dataset_report
from ..dataset.types import Dataset
from ..errors import TrainingError
from ..families.tokenizers import CLIP_VOCABULARY, find_tokenizer
from ..files import is_within, read_text, write_picture
from ..health.report import health_report
from ..health.sheet import health_sheet
from ..progress import StageReport
from ..training.arithmetic import run_size
from ..training.plan import TrainingPlan
from .arguments import Answer, add_command, add_tokenizer, size
from .folders import add_folder, read_dataset, say_now_and_then

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

_CROP_OPTIONS: dict[str, dict[str, Any]] = {
    "--method": {"choices": ("focus", "center"), "default": "focus", "help": "where the crop is placed"},
    "--buckets": {"action": "store_true", "help": "choose each picture's shape nearest to its own"},
    "--bucket-step": {"type": int, "help": "pixels that divide a bucket's sides: 8, 16, .. 64"},
    "--smallest-bucket-side": {"type": int, "help": "pixels; half the smaller side, at most 256, unless given"},
    "--largest-bucket-side": {"type": int, "help": "pixels; twice the larger side unless given"},
    "--enlarge": {"action": "store_true", "help": "enlarge pictures below the training size"},
    "--zoom": {"action": "store_true", "help": "close in on subjects known by mask or face"},
    "--pad": {"action": "store_true", "help": "pad pictures whose known subject would be cut"},
    "--overrides": {"type": Path, "help": "file of crops set by hand, by file name (JSON or lines)"},
    "--face-model": {"type": Path, "help": "YuNet .onnx or cascade .xml of your own; needs OpenCV"},
}
"""Beside the size."""


def add_data_commands(commands) -> None:
    dataset = add_command(commands, "dataset", _dataset, "what would be trained, what is wrong with it, and what to do")
    add_folder(dataset)
    _add_crop(dataset, default=None)
    dataset.add_argument("--trigger-word", default="", help="word that every training caption will begin with")
    dataset.add_argument("--batch-size", type=int, default=1, help="pictures per step you mean to train")
    dataset.add_argument("--epochs", type=int, default=10, help="epochs you mean to train")
    dataset.add_argument("--sheet", type=Path, help="also draw all pictures with what was noticed into this PNG")
    add_tokenizer(dataset)

    crop = add_command(commands, "crop", _crop, "write cropped pictures and their captions into a new folder")
    add_folder(crop)
    crop.add_argument("out", type=Path, help="folder to write; must be empty or not exist")
    _add_crop(crop, default=(512, 512))
    crop.add_argument("--proof-sheet", type=Path, help="also draw every crop box into this PNG")


def _dataset(options: argparse.Namespace) -> Answer:
    if not options.size:
        _refuse_crop_without_size(options)
    dataset = compose(read_dataset(options), CaptionRules(trigger_word=options.trigger_word)).dataset
    if options.size:
        dataset = _crop_as_asked(dataset, options)
    health = health_report(dataset, batch_size=options.batch_size, tokenizer=_clip_tokenizer(options))
    found = dataset_report(dataset)
    lines = health.lines()
    if options.size:
        plan = TrainingPlan(epochs=options.epochs, batch_size=options.batch_size)
        size = run_size(dataset, plan)
        found["run"] = {**asdict(size), "line": size.line()}
        lines = [size.line(), *lines]
    if options.sheet:
        write_picture(options.sheet, health_sheet(dataset, health))
    rows = [
        f"  {row['file']}  {row['width']}x{row['height']}  x{row['repeats']}  {row['caption']}"
        for row in found["files"]
    ]
    return {**found, "health": health.to_json()}, [*lines, *rows]


def _crop(options: argparse.Namespace) -> Answer:
    read = [options.folder, options.regularisation, *(folder for folder, _ in options.merge)]
    if around := next((folder for folder in read if folder and is_within(folder, options.out)), None):
        raise TrainingError(
            f"{options.out} lies in {around}, where the crops would be read together with its pictures. Choose a "
            "folder outside."
        )
    dataset = _crop_as_asked(read_dataset(options), options)
    written = [str(path) for path in write_crops(dataset, options.out)]
    if options.proof_sheet:
        write_picture(options.proof_sheet, proof_sheet(dataset))
    return {"written": written, "report": dataset_report(dataset)}, [f"{len(written)} crops are in {options.out}"]


def _clip_tokenizer(options: argparse.Namespace) -> CLIPTokenizer | None:
    """For counting tokens; without one they are estimated."""
    try:
        return find_tokenizer(CLIP_VOCABULARY, options.tokenizer)
    except TrainingError:
        return None


def _crop_as_asked(dataset: Dataset, options: argparse.Namespace) -> Dataset:
    width, height = options.size
    rules = CropRules(
        width=width,
        height=height,
        method=options.method,
        buckets=options.buckets,
        bucket_step=options.bucket_step,
        smallest_bucket_side=options.smallest_bucket_side,
        largest_bucket_side=options.largest_bucket_side,
        enlarge=options.enlarge,
        zoom=options.zoom,
        pad=options.pad,
    )
    overrides = read_overrides(read_text(options.overrides)) if options.overrides else {}
    faces = load_face_finder(options.face_model) if options.face_model else None
    cropped = []
    for image in crop_images(dataset, rules, overrides=overrides, faces=faces):
        cropped.append(image)
        say_now_and_then(options, StageReport(stage="cropping", done=len(cropped), total=len(dataset.images)))
    return dataset.with_images(tuple(cropped))


def _add_crop(parser: argparse.ArgumentParser, default: tuple[int, int] | None) -> None:
    parser.add_argument("--size", type=size, default=default, metavar="WxH", help="such as 512x768")
    for name, settings in _CROP_OPTIONS.items():
        parser.add_argument(name, **settings)


def _refuse_crop_without_size(options: argparse.Namespace) -> None:
    given = {name: getattr(options, name[2:].replace("-", "_")) for name in _CROP_OPTIONS}
    idle = [name for name, value in given.items() if value not in (None, False, _CROP_OPTIONS[name].get("default"))]
    if idle:
        raise TrainingError(f"without --size nothing is cropped, so {', '.join(idle)} would do nothing. Give --size.")
