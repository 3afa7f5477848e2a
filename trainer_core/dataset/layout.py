"""How a folder is laid out: which files lie in it, in which order, and what the folders' names say."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..files import is_within
from .pictures import PICTURE_SUFFIXES
from .types import SkippedFile

# At most three digits: a folder called "2024_holiday" holds the pictures of a year, not 2024 repeats.
_REPEATS_FOLDER = re.compile(r"(\d{1,3})_(.*\S.*)")
_NUMBERS = re.compile(r"([0-9]+)")


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """What lies in a folder and below it."""

    paths: tuple[Path, ...]
    """Visible files in natural order; links among them stay in the folder."""
    skipped: tuple[SkippedFile, ...]
    """Links that lead out, links to folders, folders that cannot be listed."""
    hidden: int
    """Files whose names begin with a dot, such as macOS leaves beside pictures."""


@dataclass(frozen=True, slots=True)
class FolderRule:
    """What a picture gets from where it lies."""

    repeats: int
    class_words: str


def find_files(folder: Path) -> FoundFiles:
    """Every file in `folder` and below. Linked folders are not entered, so loops and ways out do not exist."""
    paths: list[Path] = []
    skipped: list[SkippedFile] = []
    hidden = 0
    waiting = [folder]
    while waiting:
        parent = waiting.pop()
        try:
            with os.scandir(parent) as listing:
                entries = list(listing)
        except OSError as problem:
            skipped.append(SkippedFile(path=parent, reason=(problem.strerror or "unreadable").lower(), kind="folder"))
            continue
        for entry in entries:
            path = parent / entry.name
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith("."):
                    waiting.append(path)
            elif entry.name.startswith("."):
                hidden += 1
            elif entry.is_symlink() and (reason := _why_not_followed(folder, path)):
                skipped.append(SkippedFile(path=path, reason=reason, kind=_kind(path)))
            else:
                paths.append(path)
    paths.sort(key=lambda path: natural_order(path.relative_to(folder)))
    return FoundFiles(tuple(paths), tuple(sorted(skipped, key=lambda entry: str(entry.path))), hidden)


def _why_not_followed(folder: Path, link: Path) -> str:
    """Empty for a link to a file inside the folder."""
    if not link.exists():
        return "a link that leads nowhere"
    if link.is_dir():
        return "a link to a folder is not followed"
    return "" if is_within(folder, link) else "a link that leaves the folder"


def _kind(link: Path) -> Literal["picture", "caption", "folder"]:
    if link.is_dir():
        return "folder"
    return "picture" if link.suffix.lower() in PICTURE_SUFFIXES else "caption"


def folder_rule(folder: Path, parent: Path, repeats: int) -> FolderRule:
    """The rule of the nearest `20_class words` folder (kohya's habit), from a picture's `parent` up to `folder` itself.

    Without one: `repeats`, and no words.
    """
    for place in (parent, *parent.parents):
        match = _REPEATS_FOLDER.fullmatch(place.resolve().name if place == folder else place.name)
        if match:
            return FolderRule(int(match[1]), match[2].strip())
        if place == folder:
            break
    return FolderRule(repeats, "")


def natural_order(path: Path) -> tuple:
    """a2 before a10; the exact name decides between names that differ only in case or leading zeros."""
    return tuple(
        [(piece.isdecimal(), int(piece) if piece.isdecimal() else 0, piece.lower()) for piece in pieces]
        for pieces in (_NUMBERS.split(part) for part in path.parts)
    ), str(path)
