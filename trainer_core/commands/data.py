"""dataset, crop and tag: what is done to pictures and captions before training."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from transformers import CLIPTokenizer

from ..crop.crop import crop_images, write_crops
from ..crop.faces import load_face_finder
from ..crop.overrides import read_overrides
from ..crop.proof_sheet import proof_sheet
from ..crop.rules import CropRules
from ..dataset.folder import FolderScan
from ..dataset.merge import combine, merge
from ..dataset.report import dataset_report
from ..dataset.rules import ReadingRules
from ..dataset.types import Dataset
from ..errors import TrainingError
from ..families.tokenizers import CLIP_VOCABULARY, find_tokenizer
from ..files import read_text, write_picture
from ..health.report import health_report
from ..health.sheet import health_sheet
from ..progress import StageReport
from ..tagging.captions import edit_captions
from ..tagging.sidecars import write_sidecars
from ..training.arithmetic import run_size
from ..training.plan import TrainingPlan
from .arguments import Answer, add_command, add_tokenizer, say, size, source, tags


def add_data_commands(commands) -> None:
    dataset = add_command(commands, "dataset", _dataset, "what would be trained, what is wrong with it, and what to do")
    _add_folder(dataset)
    _add_crop(dataset, default=None)
    dataset.add_argument("--trigger-word", default="", help="word that every training caption will begin with")
    dataset.add_argument("--batch-size", type=int, default=1, help="pictures per step you mean to train")
    dataset.add_argument("--epochs", type=int, default=10, help="epochs you mean to train")
    dataset.add_argument("--sheet", type=Path, help="also draw all pictures with what was noticed into this PNG")
    add_tokenizer(dataset)

    crop = add_command(commands, "crop", _crop, "write cropped pictures and their captions into a new folder")
    _add_folder(crop)
    crop.add_argument("out", type=Path, help="folder to write; must be empty or not exist")
    _add_crop(crop, default=(512, 512))
    crop.add_argument("--proof-sheet", type=Path, help="also draw every crop box into this PNG")

    tag = add_command(commands, "tag", _tag, "show the captions with a trigger word, tags removed and added")
    _add_folder(tag)
    tag.add_argument("--trigger-word", default="", help="put first in every training caption")
    tag.add_argument("--remove", type=tags, default=(), metavar="TAGS", help="tags to delete; * matches anything")
    tag.add_argument("--add", type=tags, default=(), metavar="TAGS", help="tags to add")
    tag.add_argument("--write", action="store_true", help="write .txt files beside the pictures; old ones become .bak")


def _dataset(options: argparse.Namespace) -> Answer:
    dataset = edit_captions(_read(options), trigger_word=options.trigger_word)
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


def _clip_tokenizer(options: argparse.Namespace) -> CLIPTokenizer | None:
    """For counting tokens; without one they are estimated."""
    try:
        return find_tokenizer(CLIP_VOCABULARY, options.tokenizer)
    except TrainingError:
        return None


def _read(options: argparse.Namespace) -> Dataset:
    training = merge([_scan(options, *source) for source in ((options.folder, options.repeats), *options.merge)])
    if not options.regularisation:
        return training
    return combine(training, _scan(options, options.regularisation, 1, is_regularisation=True))


def _scan(options: argparse.Namespace, folder: Path, repeats: int, *, is_regularisation: bool = False) -> Dataset:
    rules = ReadingRules(
        smallest_side=options.smallest_side,
        largest_aspect=options.largest_aspect,
        background=options.background,
        transparency_as_mask=options.transparency_as_mask,
        caption_lines=options.caption_lines,
        most_unusable=options.most_unusable / 100,
    )
    scan = FolderScan(
        folder, repeats=repeats, is_regularisation=is_regularisation, rules=rules, caches=options.cache
    )
    for report in scan.steps():
        _say_now_and_then(options, report)
    return scan.dataset()


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
        _say_now_and_then(options, StageReport(stage="cropping", done=len(cropped), total=len(dataset.images)))
    return dataset.with_images(tuple(cropped))


def _say_now_and_then(options: argparse.Namespace, report: StageReport) -> None:
    """A line each thousand pictures: small sets are done before anyone would read it."""
    if report.done % 1000 == 0:
        say(options, f"{report.stage}: {report.done} of {report.total}")


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="folder of pictures, with captions beside them")
    parser.add_argument("--repeats", type=int, default=1, help="how often each picture is seen in an epoch")
    parser.add_argument("--regularisation", type=Path, help="folder of regularisation pictures")
    parser.add_argument(
        "--merge",
        type=source,
        action="append",
        default=[],
        metavar="FOLDER[=REPEATS]",
        help="another folder of training pictures with repeats of its own; may be given several times",
    )
    parser.add_argument("--smallest-side", type=int, default=64, help="pictures with a shorter side are skipped")
    parser.add_argument("--largest-aspect", type=float, default=4.0, help="longer strips are skipped")
    parser.add_argument("--background", default="white", help="colour behind transparent pictures: name or #rrggbb")
    parser.add_argument("--transparency-as-mask", action="store_true", help="transparency becomes the picture's mask")
    parser.add_argument(
        "--caption-lines",
        choices=("join", "pick"),
        default="join",
        help="several lines are one caption, or each step picks one",
    )
    parser.add_argument(
        "--most-unusable", type=float, default=20, metavar="PERCENT", help="stop if more files are bad (default 20)"
    )
    parser.add_argument("--cache", type=Path, help="folder that remembers scans: unchanged files are not opened again")


def _add_crop(parser: argparse.ArgumentParser, default: tuple[int, int] | None) -> None:
    parser.add_argument("--size", type=size, default=default, metavar="WxH", help="such as 512x768")
    parser.add_argument("--method", choices=("focus", "center"), default="focus", help="where the crop is placed")
    parser.add_argument("--buckets", action="store_true", help="choose each picture's shape nearest to its own")
    parser.add_argument("--bucket-step", type=int, help="pixels that divide a bucket's sides: 8, 16, .. 64")
    parser.add_argument(
        "--smallest-bucket-side", type=int, help="pixels; half the smaller side, at most 256, unless given"
    )
    parser.add_argument("--largest-bucket-side", type=int, help="pixels; twice the larger side unless given")
    parser.add_argument("--enlarge", action="store_true", help="enlarge pictures below the training size")
    parser.add_argument("--zoom", action="store_true", help="close in on subjects known by mask or face")
    parser.add_argument("--pad", action="store_true", help="pad pictures whose known subject would be cut")
    parser.add_argument("--overrides", type=Path, help="file of crops set by hand, by file name (JSON or lines)")
    parser.add_argument("--face-model", type=Path, help="YuNet .onnx or cascade .xml of your own; needs OpenCV")
