"""What is not trained although it can be read: pictures of an odd shape, and folders that are mostly something else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..errors import TrainingError
from .opening import UnreadableFile
from .pictures import PICTURE_SUFFIXES, PictureFacts
from .rules import ReadingRules
from .types import SkippedFile


def refuse_if_misshapen(path: Path, facts: PictureFacts, rules: ReadingRules) -> None:
    """
    Raises:
        UnreadableFile: the picture is smaller or longer than the rules allow.
    """
    short, long = sorted((facts.width, facts.height))
    if short < rules.smallest_side:
        raise UnreadableFile(path, f"too small: its short side is {short} pixels, below {rules.smallest_side}")
    if long > rules.largest_aspect * short:
        raise UnreadableFile(path, f"too long: its aspect is {long / short:.1f}:1, above {rules.largest_aspect:g}:1")


def refuse_if_unusable(
    folder: Path, files: Sequence[Path], skipped: Sequence[SkippedFile], unusable: int, usable: int, rules: ReadingRules
) -> None:
    """`unusable` and `usable`: how many of the folder's pictures are so.

    Raises:
        TrainingError: none is usable, or more are not than the rules allow.
    """
    if not usable:
        raise TrainingError(_nothing_usable(folder, files, skipped))
    total, limit = unusable + usable, rules.most_unusable
    if unusable / total > limit:
        raise TrainingError(
            f"{unusable} of {total} files in {folder} cannot be used, more than {limit:.0%}. "
            f"{_first_problems(skipped)} Repair the folder, or allow a larger share of unusable files."
        )


def _first_problems(skipped: Sequence[SkippedFile]) -> str:
    pictures = [entry for entry in skipped if entry.kind == "picture"]
    return "First: " + "; ".join(f"{entry.path.name}: {entry.reason}" for entry in pictures[:3]) + "."


def _nothing_usable(folder: Path, files: Sequence[Path], skipped: Sequence[SkippedFile]) -> str:
    endings = Counter(path.suffix.lower() or "no suffix" for path in files)
    found = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(6)) or "no files"
    reasons = f" First problem: {skipped[0].path.name}: {skipped[0].reason}." if skipped else ""
    return (
        f"no usable picture in {folder} (found {found}).{reasons} "
        f"Put pictures there that end in {', '.join(PICTURE_SUFFIXES)}."
    )
