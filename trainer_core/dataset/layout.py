"""How a folder is laid out: which files lie in it, in which order, and what the folders' names say."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from ..files import is_within
from .caption_text import clean_caption
from .pictures import PICTURE_SUFFIXES
from .types import SkippedFile

# At most three digits: a folder called "2024_holiday" holds the pictures of a year, not 2024 repeats.
_REPEATS_FOLDER = re.compile(r"(\d{1,3})_(.*\S.*)")
_NUMBERS = re.compile(r"([0-9]+)")
_LINKED_FOLDER = "a link to a folder is not followed"
_RUN = "the folder of a training run; its pictures are not read"
_FILES_OF_A_RUN = frozenset({"job.json", "about.json"})
"""Where a job file lies among its pictures, so do its runs: their samples are no pictures to learn from."""
_OF_SYSTEMS = frozenset(
    {"@eadir", "#recycle", "#snapshot", "$recycle.bin", "lost+found", "system volume information", "__macosx"}
)
"""Folders, in small letters, that network disks and systems make: small copies, deleted files."""
_JUNCTION = 0xA0000003
"""IO_REPARSE_TAG_MOUNT_POINT, which the module stat has on Windows only."""


NaturalName = list[tuple[bool, int, str]]
"""The pieces of a name as they are compared: whether one is a number, which, and its letters."""


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """What lies in a folder and below it."""

    paths: tuple[Path, ...]
    """Visible files in natural order; links among them stay in the folder."""
    skipped: tuple[SkippedFile, ...]
    """Links that lead out, links to folders, folders that cannot be listed, those of runs."""
    hidden: int
    """Files whose names begin with a dot, such as macOS leaves beside pictures."""


@dataclass(frozen=True, slots=True)
class FolderRule:
    """What a picture gets from where it lies."""

    repeats: int
    class_words: str
    """A caption, as clean as those in files."""


def find_files(folder: Path) -> FoundFiles:
    """Every file in `folder` and below, but for hidden folders and those that systems keep to themselves. Linked
    folders are not entered, so loops and ways out do not exist."""
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
        if parent != folder and _FILES_OF_A_RUN <= {entry.name for entry in entries}:
            skipped.append(SkippedFile(path=parent, reason=_RUN, kind="folder"))
            continue
        for entry in entries:
            path = parent / entry.name
            if entry.is_dir(follow_symlinks=False):
                if entry.name.startswith(".") or entry.name.lower() in _OF_SYSTEMS:
                    continue
                if _is_junction(entry):
                    skipped.append(SkippedFile(path=path, reason=_LINKED_FOLDER, kind="folder"))
                else:
                    waiting.append(path)
            elif entry.name.startswith("."):
                hidden += 1
            elif entry.is_symlink() and (reason := _why_not_followed(folder, path)):
                skipped.append(SkippedFile(path=path, reason=reason, kind=_kind(path)))
            else:
                paths.append(path)
    by_path = tuple(sorted(skipped, key=lambda entry: str(entry.path)))
    return FoundFiles(tuple(_in_natural_order(folder, paths)), by_path, hidden)


def _is_junction(entry: os.DirEntry) -> bool:
    """Windows' older kind of link to a folder, which Python does not call a link."""
    try:
        return getattr(entry.stat(follow_symlinks=False), "st_reparse_tag", 0) == _JUNCTION
    except OSError:
        return False


def _why_not_followed(folder: Path, link: Path) -> str:
    """Empty for a link to a file inside the folder."""
    if not link.exists():
        return "a link that leads nowhere"
    if link.is_dir():
        return _LINKED_FOLDER
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
            return FolderRule(int(match[1]), clean_caption(match[2]).joined)
        if place == folder:
            break
    return FolderRule(repeats, "")


def _in_natural_order(folder: Path, paths: Sequence[Path]) -> list[Path]:
    """a2 before a10; the exact name decides between names that differ only in case or leading zeros."""

    @cache
    def of_folder(parent: Path) -> tuple[NaturalName, ...]:
        return tuple(map(_natural_name, parent.relative_to(folder).parts))

    return sorted(paths, key=lambda path: ((*of_folder(path.parent), _natural_name(path.name)), str(path)))


def _natural_name(name: str) -> NaturalName:
    pieces = _NUMBERS.split(name)
    return [(piece.isdecimal(), int(piece) if piece.isdecimal() else 0, piece.lower()) for piece in pieces]
