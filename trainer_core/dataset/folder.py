"""A folder of pictures and captions -> Dataset, by the habits people have from kohya's scripts."""

from __future__ import annotations

import codecs
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import TrainingError
from ..files import is_within
from .pictures import PICTURE_SUFFIXES, UnreadableFile, inspect_picture, read_regular_file
from .types import Dataset, DatasetImage, SkippedFile

CAPTION_SUFFIXES = (".txt", ".caption")
CAPTION_BYTES = 64 * 1024
"""A text encoder reads a few hundred words; a larger file is not a caption."""
_FOREIGN_SUFFIXES = (".heic", ".heif", ".jxl", ".jp2", ".psd", ".svg", ".cr2", ".nef", ".arw", ".dng")
# At most three digits: a folder called "2024_holiday" holds the pictures of a year, not 2024 repeats.
_REPEATS_FOLDER = re.compile(r"(\d{1,3})_(.*\S.*)")
_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b\u202a-\u202e\u2060\u2066-\u2069\ufeff]")


@dataclass(frozen=True, slots=True)
class _Defaults:
    """What a picture gets from where it lies."""

    repeats: int
    class_words: str


def read_folder(folder: Path, *, repeats: int = 1, is_regularisation: bool = False) -> Dataset:
    """Read the pictures in `folder` and below it, with the captions beside them.

    A folder called `20_mochi cat` gives its pictures 20 repeats, whatever `repeats` says, and the caption
    "mochi cat" where they have none of their own. A picture's caption is `name.txt`, `name.png.txt`,
    `name.caption` or `name.png.caption`, the first that is there. One bad file never stops the others:
    it is listed in `skipped` with its reason.

    Raises:
        TrainingError: no such folder, no usable picture in it, or `repeats` below 1.
    """
    folder = Path(folder)
    if repeats < 1:
        raise TrainingError(f"repeats is {repeats}. Give 1 or more.")
    if not folder.is_dir():
        raise TrainingError(f"there is no folder {folder}. Check the path.")
    images: list[DatasetImage] = []
    skipped: list[SkippedFile] = []
    files = sorted(_files_below(folder, skipped), key=lambda path: _natural_order(path.relative_to(folder)))
    for path in files:
        try:
            images += _read_image(folder, path, repeats, is_regularisation, skipped)
        except UnreadableFile as problem:
            skipped.append(SkippedFile(path=path, reason=problem.reason))
    if not images:
        raise TrainingError(_nothing_usable(folder, files, skipped))
    return Dataset(images=tuple(images), skipped=tuple(skipped))


def combine(training: Dataset, regularisation: Dataset | None) -> Dataset:
    """One dataset of both; every picture of `regularisation` is marked as a regularisation picture."""
    if regularisation is None:
        return training
    marked = tuple(replace(image, is_regularisation=True) for image in regularisation.images)
    return replace(training, images=training.images + marked, skipped=training.skipped + regularisation.skipped)


def _read_image(
    folder: Path, path: Path, repeats: int, is_regularisation: bool, skipped: list[SkippedFile]
) -> list[DatasetImage]:
    """The image of one file, as a list that is empty when the file is no picture."""
    suffix = path.suffix.lower()
    if suffix in _FOREIGN_SUFFIXES:
        raise UnreadableFile(path, f"{suffix[1:].upper()} cannot be read; save it as PNG or JPEG")
    if suffix not in PICTURE_SUFFIXES:
        return []
    _refuse_outside(folder, path)
    defaults = _defaults_of(folder, path, repeats)
    width, height, fingerprint = inspect_picture(path)
    caption, source = _caption_of(folder, path, defaults.class_words, skipped)
    return [
        DatasetImage(
            path=path,
            width=width,
            height=height,
            caption=caption,
            caption_source=source,
            repeats=defaults.repeats,
            is_regularisation=is_regularisation,
            fingerprint=fingerprint,
        )
    ]


def _files_below(folder: Path, skipped: list[SkippedFile]) -> Iterator[Path]:
    """Every visible file; linked folders are not entered, so loops and ways out do not exist."""

    def remember(problem: OSError) -> None:
        skipped.append(SkippedFile(path=Path(problem.filename), reason=(problem.strerror or "unreadable").lower()))

    for parent, folders, names in os.walk(folder, onerror=remember):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            if (Path(parent) / name).is_symlink():
                skipped.append(SkippedFile(path=Path(parent) / name, reason="a link to a folder is not followed"))
        yield from (Path(parent) / name for name in names if not name.startswith("."))


def _defaults_of(folder: Path, path: Path, repeats: int) -> _Defaults:
    """The rule of the nearest `N_name` folder, from the picture's own up to `folder` itself."""
    for parent in path.parents:
        match = _REPEATS_FOLDER.fullmatch(parent.resolve().name if parent == folder else parent.name)
        if match and int(match[1]) == 0:
            raise UnreadableFile(path, f"its folder {parent.name!r} asks for 0 repeats")
        if match:
            return _Defaults(int(match[1]), match[2].strip())
        if parent == folder:
            break
    return _Defaults(repeats, "")


def _caption_of(folder: Path, path: Path, class_words: str, skipped: list[SkippedFile]) -> tuple[str, str]:
    """The caption and where it came from; an empty or unreadable sidecar counts as none."""
    for sidecar in _sidecars(path):
        try:
            caption = _read_caption(folder, sidecar)
        except UnreadableFile as problem:
            skipped.append(SkippedFile(path=sidecar, reason=f"caption not read: {problem.reason}"))
            continue
        if caption:
            return caption, sidecar.name
    return (class_words, "folder name") if class_words else ("", "none")


def _sidecars(path: Path) -> list[Path]:
    names = [
        stem + ending
        for suffix in CAPTION_SUFFIXES
        for ending in (suffix, suffix.upper())
        for stem in (path.stem, path.name)
    ]
    found: list[Path] = []
    for candidate in map(path.with_name, names):
        # Where upper and lower case are one, x.txt and x.TXT are the same file: read it once.
        if os.path.lexists(candidate) and not any(_same_file(candidate, other) for other in found):
            found.append(candidate)
    return found


def _same_file(one: Path, other: Path) -> bool:
    return one.name.lower() == other.name.lower() and one.exists() and other.exists() and one.samefile(other)


def _read_caption(folder: Path, path: Path) -> str:
    _refuse_outside(folder, path)
    data = read_regular_file(path, CAPTION_BYTES)
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as problem:
        raise UnreadableFile(path, "not UTF-8 text; save it as UTF-8") from problem
    return _clean_caption(text)


def _clean_caption(text: str) -> str:
    """Lines joined with ", ", single spaces, no empty tags, no invisible characters."""
    lines = (line.strip(" ,\t") for line in _INVISIBLE.sub("", text).splitlines())
    caption = re.sub(r"\s+", " ", ", ".join(line for line in lines if line))
    return re.sub(r"\s*,(\s*,)+\s*", ", ", caption).strip(" ,")


def _refuse_outside(folder: Path, path: Path) -> None:
    if not is_within(folder, path):
        raise UnreadableFile(path, "a link that leaves the folder")


def _natural_order(path: Path) -> tuple:
    """a2 before a10; the exact name decides between names that differ only in case or leading zeros."""
    return tuple(
        [(piece.isdecimal(), int(piece) if piece.isdecimal() else 0, piece.lower()) for piece in pieces]
        for pieces in (re.split(r"([0-9]+)", part) for part in path.parts)
    ), str(path)


def _nothing_usable(folder: Path, files: list[Path], skipped: list[SkippedFile]) -> str:
    endings = Counter(path.suffix.lower() or "no suffix" for path in files)
    found = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(6)) or "no files"
    reasons = f" First problem: {skipped[0].path.name}: {skipped[0].reason}." if skipped else ""
    return (
        f"no usable picture in {folder} (found {found}).{reasons} "
        f"Put pictures there that end in {', '.join(PICTURE_SUFFIXES)}."
    )
