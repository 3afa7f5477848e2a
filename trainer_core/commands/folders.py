"""Folders as arguments: which are read, by which rules, and how their reading is shown."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..dataset.folder import FolderScan
from ..dataset.merge import combine, merge
from ..dataset.rules import ReadingRules
from ..dataset.types import Dataset
from ..progress import StageReport
from .arguments import say, source


def add_folder(parser: argparse.ArgumentParser) -> None:
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


def read_dataset(options: argparse.Namespace) -> Dataset:
    """What `add_folder` asked for."""
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
    scan = FolderScan(folder, repeats=repeats, is_regularisation=is_regularisation, rules=rules, caches=options.cache)
    for report in scan.steps():
        say_now_and_then(options, report)
    return scan.dataset()


def say_now_and_then(options: argparse.Namespace, report: StageReport) -> None:
    """A line each thousand pictures: small sets are done before anyone would read it."""
    if report.done % 1000 == 0:
        say(options, f"{report.stage}: {report.done} of {report.total}")
