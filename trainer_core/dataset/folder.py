"""A folder of pictures and captions -> Dataset, by the habits people have from kohya's scripts."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from ..errors import TrainingError
from ..progress import StageReport
from .caption_files import CaptionFiles, FoundCaption
from .caption_text import join_lines
from .layout import FolderRule, find_files, folder_rule
from .mask_files import MaskFiles
from .opening import UnreadableFile
from .pictures import PICTURE_SUFFIXES, PictureFacts, inspect_picture
from .refusals import refuse_if_misshapen, refuse_if_unusable
from .rules import ReadingRules
from .scan_cache import ScanCache, stamp_of
from .types import Dataset, DatasetImage, Mask, SkippedFile

_FOREIGN_SUFFIXES = (".heic", ".heif", ".jxl", ".jp2", ".psd", ".svg", ".cr2", ".nef", ".arw", ".dng")
_CLAIMED_SUFFIXES = (*PICTURE_SUFFIXES, *_FOREIGN_SUFFIXES)
"""Of files that claim to be pictures."""
_THREADS = min(4, os.cpu_count() or 1)

Found = PictureFacts | UnreadableFile


def read_folder(
    folder: Path,
    *,
    repeats: int = 1,
    is_regularisation: bool = False,
    rules: ReadingRules | None = None,
    caches: Path | None = None,
) -> Dataset:
    """`FolderScan` in one call, for those who show no progress."""
    scan = FolderScan(folder, repeats=repeats, is_regularisation=is_regularisation, rules=rules, caches=caches)
    for _ in scan.steps():
        pass
    return scan.dataset()


class FolderScan:
    """The pictures in a folder and below it, with their captions: iterate `steps`, then take `dataset`.

    A folder called `20_mochi cat` gives its pictures 20 repeats, whatever `repeats` says, and the caption
    "mochi cat" where they have none of their own. Every picture is decoded once, completely; one bad file never
    stops the others: it is listed in `skipped` with its reason. With a folder for `caches`, files that did not
    change since an earlier scan are not opened again.

    Raises:
        TrainingError: no such folder, or `repeats` below 1.
    """

    def __init__(
        self,
        folder: Path,
        *,
        repeats: int = 1,
        is_regularisation: bool = False,
        rules: ReadingRules | None = None,
        caches: Path | None = None,
    ) -> None:
        self._folder, self._repeats, self._is_regularisation = Path(folder), repeats, is_regularisation
        self._rules = rules or ReadingRules()
        if repeats < 1:
            raise TrainingError(f"repeats is {repeats}. Give 1 or more.")
        if not os.path.isdir(self._folder):
            raise TrainingError(f"there is no folder {folder}. Check the path.")
        self._files = find_files(self._folder)
        self._captions = CaptionFiles(self._folder, self._files.paths)
        self._masks = MaskFiles([path for path in self._files.paths if path.suffix.lower() in _CLAIMED_SUFFIXES])
        self._cache = ScanCache(caches, self._folder, self._rules.background)
        self._folder_rules: dict[Path, FolderRule] = {}
        self._images: list[DatasetImage] = []
        self._skipped = list(self._files.skipped)
        self._unusable = sum(entry.kind == "picture" for entry in self._skipped)

    def steps(self) -> Iterator[StageReport]:
        """Open every picture, yielding after each.

        Raises:
            TrainingError: no picture is usable, or more of the files are bad than the rules allow.
        """
        pictures = self._masks.pictures
        try:
            for done, (path, found) in enumerate(self._opened(pictures), start=1):
                try:
                    self._add(path, found)
                except UnreadableFile as problem:
                    self._unusable += 1
                    self._skipped.append(SkippedFile(path=path, reason=problem.reason))
                yield StageReport(stage="reading pictures", done=done, total=len(pictures))
        finally:
            self._cache.keep(self._files.paths)
        refuse_if_unusable(
            self._folder, self._files.paths, self._skipped, self._unusable, len(self._images), self._rules
        )

    def dataset(self) -> Dataset:
        """What was read; complete once `steps` has come to its end."""
        hidden = self._files.hidden
        remarks = [f"{hidden} hidden {'file is' if hidden == 1 else 'files are'} not read"] if hidden else []
        return Dataset(
            images=tuple(self._images),
            skipped=tuple(self._skipped),
            remarks=(*remarks, *self._captions.remarks()),
        )

    def _opened(self, paths: Sequence[Path]) -> Iterator[tuple[Path, Found]]:
        """Each path with what is in it, in order; a few files ahead are decoded by threads, never more."""
        with ThreadPoolExecutor(_THREADS, "reading pictures") as pool:
            ahead: deque[tuple[Path, Found | Future[Found]]] = deque()
            try:
                for path in paths:
                    ahead.append((path, self._cache.recall(path) or pool.submit(self._open, path)))
                    if len(ahead) > 4 * _THREADS:
                        yield _awaited(*ahead.popleft())
                while ahead:
                    yield _awaited(*ahead.popleft())
            finally:
                pool.shutdown(cancel_futures=True)

    def _open(self, path: Path) -> Found:
        stamp = stamp_of(path)
        found = _inspected(path, self._rules.background)
        self._cache.remember(path, stamp, found)
        return found

    def _add(self, path: Path, found: Found) -> None:
        """Take a picture up, or raise why it is not one."""
        if isinstance(found, UnreadableFile):
            raise found
        refuse_if_misshapen(path, found, self._rules)
        rule = self._rule_of(path.parent)
        if rule.repeats == 0:
            self._skipped.append(SkippedFile(path=path, reason=f"its folder {path.parent.name!r} asks for 0 repeats"))
            return
        caption = self._captions.find(path, rule.class_words)
        self._skipped += caption.skipped
        mask, mask_notes = self._mask_of(path, found)
        first, *others = self._captions_of(caption)
        self._images.append(
            DatasetImage(
                path=path,
                width=found.width,
                height=found.height,
                caption=first,
                other_captions=tuple(others),
                caption_source=caption.source,
                repeats=rule.repeats,
                is_regularisation=self._is_regularisation,
                fingerprint=found.fingerprint,
                background=self._rules.background if found.is_transparent else "",
                mask=mask,
                is_repaired=found.is_repaired,
                notes=(*found.notes, *caption.notes, *mask_notes),
                measures=found.measures,
                caption_digest=caption.digest,
            )
        )

    def _rule_of(self, parent: Path) -> FolderRule:
        if parent not in self._folder_rules:
            self._folder_rules[parent] = folder_rule(self._folder, parent, self._repeats)
        return self._folder_rules[parent]

    def _captions_of(self, caption: FoundCaption) -> list[str]:
        """At least one, which may be empty."""
        if self._rules.caption_lines == "pick":
            return list(dict.fromkeys(caption.lines)) or [""]
        return [join_lines(caption.lines)]

    def _mask_of(self, path: Path, facts: PictureFacts) -> tuple[Mask | None, tuple[str, ...]]:
        """The first mask beside a picture that can be read, else its transparency if that is asked; and notes."""
        notes: list[str] = []
        for beside in self._masks.of(path):
            found = self._cache.recall(beside) or self._open(beside)
            if isinstance(found, PictureFacts):
                return Mask(path=beside, fingerprint=found.fingerprint), tuple(notes)
            notes.append(f"its mask {beside.name} is not used: {found.reason}")
        if self._rules.transparency_as_mask and facts.is_transparent and not notes:
            return Mask(path=path, fingerprint=facts.fingerprint, is_transparency=True), ()
        return None, tuple(notes)


def _awaited(path: Path, found: Found | Future[Found]) -> tuple[Path, Found]:
    return path, found.result() if isinstance(found, Future) else found


def _inspected(path: Path, background: str) -> Found:
    suffix = path.suffix.lower()
    if suffix in _FOREIGN_SUFFIXES:
        return UnreadableFile(path, f"{suffix[1:].upper()} cannot be read; save it as PNG or JPEG")
    try:
        return inspect_picture(path, background)
    except UnreadableFile as problem:
        return problem
