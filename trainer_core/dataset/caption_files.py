"""Which caption belongs to which picture: files beside it, the folder's metadata, the folder's name."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .caption_text import CAPTION_BYTES, clean_caption, read_caption
from .opening import UnreadableFile, read_regular_file
from .types import SkippedFile

CAPTION_SUFFIXES = (".txt", ".caption", ".tags")
_METADATA = ("metadata.jsonl", "metadata.csv")
_METADATA_BYTES = 64 * 2**20
_TEXT_FIELDS = ("text", "caption", "tags")
_NOT_READ = (".json", ".jsonl", ".csv")
_MOST_NAMES = 5


@dataclass(frozen=True, slots=True)
class FoundCaption:
    """The caption of one picture."""

    lines: tuple[str, ...]
    source: str
    """As `DatasetImage.caption_source` has it."""
    notes: tuple[str, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()


class CaptionFiles:
    """The captions in a folder. Looks names up in the list of its files, so that nothing is listed twice."""

    def __init__(self, folder: Path, files: Sequence[Path]) -> None:
        self._folder = folder
        self._sidecars: dict[tuple[Path, str], list[Path]] = defaultdict(list)
        self._unused: dict[Path, None] = {}
        self._shared: dict[Path, list[str]] = defaultdict(list)
        self._metadata: dict[Path, str] = {}
        self._remarks: list[str] = []
        not_read = []
        for path in files:
            if path.suffix.lower() in CAPTION_SUFFIXES:
                self._sidecars[path.parent, path.name.lower()].append(path)
                self._unused[path] = None
            elif path.name.lower() in _METADATA:
                self._read_metadata(path)
            elif path.suffix.lower() in _NOT_READ:
                not_read.append(path.name)
        if not_read:
            self._remarks.append(f"not read as captions: {_named(not_read)}; metadata.jsonl and .txt files are")

    def find(self, picture: Path, fallback: str) -> FoundCaption:
        """The first of: name.txt, name.png.txt, the same with .caption and .tags, the metadata, `fallback`.

        A file that is empty or cannot be read counts as none, and says so.
        """
        skipped, is_empty = [], False
        for sidecar in self._beside(picture):
            self._unused.pop(sidecar, None)
            self._shared[sidecar].append(picture.name)
            try:
                text = read_caption(read_regular_file(sidecar, _METADATA_BYTES), sidecar)
            except UnreadableFile as problem:
                reason = f"caption not read: {problem.reason}"
                skipped.append(SkippedFile(path=sidecar, reason=reason, kind="caption"))
                continue
            if text.lines:
                return FoundCaption(text.lines, sidecar.name, text.notes, tuple(skipped))
            is_empty = True
        if line := self._metadata.pop(picture, ""):
            return FoundCaption((line,), "metadata", (), tuple(skipped))
        if fallback:
            return FoundCaption((fallback,), "folder name", (), tuple(skipped))
        return FoundCaption((), "empty" if is_empty else "none", (), tuple(skipped))

    def remarks(self) -> tuple[str, ...]:
        """What is left over once every picture has been asked for."""
        remarks = list(self._remarks)
        if self._unused:
            remarks.append(f"caption files without a picture: {_named([path.name for path in self._unused])}")
        if self._metadata:
            remarks.append(f"metadata entries without a picture: {_named([path.name for path in self._metadata])}")
        for sidecar, pictures in self._shared.items():
            if len(pictures) > 1:
                remarks.append(f"{', '.join(pictures)} share the caption {sidecar.name}")
        return tuple(remarks)

    def _beside(self, picture: Path) -> list[Path]:
        names = [f"{stem}{suffix}".lower() for suffix in CAPTION_SUFFIXES for stem in (picture.stem, picture.name)]
        return [path for name in names for path in self._sidecars.get((picture.parent, name), ())]

    def _read_metadata(self, path: Path) -> None:
        try:
            text = read_regular_file(path, _METADATA_BYTES).decode("utf-8-sig")
        except (UnreadableFile, UnicodeDecodeError):
            self._remarks.append(f"{path.name} cannot be read; save it as UTF-8 text below 64 MB")
            return
        rows = _csv_rows(text) if path.suffix.lower() == ".csv" else _json_rows(text)
        broken = []
        for number, row in rows:
            name = row.get("file_name") if isinstance(row, dict) else None
            caption = next((row[field] for field in _TEXT_FIELDS if row.get(field)), "") if name else ""
            words = ", ".join(map(str, caption)) if isinstance(caption, list) else str(caption)[:CAPTION_BYTES]
            if not isinstance(name, str):
                broken.append(str(number))
            elif cleaned := clean_caption(words):
                self._metadata[path.parent / name] = cleaned
        if broken:
            self._remarks.append(f"{path.name} has no file_name in line {_named(broken)}")


def _json_rows(text: str) -> list[tuple[int, Any]]:
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                rows.append((number, json.loads(line)))
            except ValueError:
                rows.append((number, None))
    return rows


def _csv_rows(text: str) -> list[tuple[int, Any]]:
    try:
        return list(enumerate(csv.DictReader(io.StringIO(text)), start=2))
    except csv.Error:
        return [(1, None)]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{', '.join(names[:_MOST_NAMES])}{more}"
