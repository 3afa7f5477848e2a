"""Captions written into the caption files beside their pictures; only ever when asked for."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Literal

from ..dataset.caption_files import CAPTION_SUFFIXES, CaptionFiles
from ..dataset.caption_tables import NameKey, folded
from ..dataset.caption_text import read_caption
from ..dataset.opening import UnreadableFile, read_regular_file
from ..dataset.types import Dataset, DatasetImage
from ..errors import TrainingError
from ..files import bytes_digest, is_within, write_atomic

_MOST_BYTES = 16 * 2**20
OTHER = b"\0"
"""In the place of what a caption file held, where it has changed since: none has these bytes."""
_CHANGED = "changed since the captions were made, so it is left alone"
_READ_TWICE = "read for another caption too; rename one of the pictures that have this name"


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenSidecar:
    """What became of one caption file."""

    path: Path
    state: Literal["written", "unchanged", "refused", "set aside"]
    """Set aside is a file that pictures shared which now have one each: it is kept as .bak only, or .bak2 where that is
    there."""
    reason: str = ""
    """Why it was refused, a few words."""


def read_sidecars(dataset: Dataset) -> dict[Path, bytes | None]:
    """The caption files that could be written, each with what it holds now; None where there is none.

    Taken before the captions are made, so that `write_sidecars` notices what changed in between.
    """
    sources = _sources(dataset)
    files = (
        path for image in dataset.images for path in (sources[image.path], _stem_file(image), _own_file(image)) if path
    )
    return {path: _known_bytes(path) for path in dict.fromkeys(files)}


def as_read(dataset: Dataset, now: Mapping[Path, bytes | None]) -> dict[Path, bytes | None]:
    """What the caption files held when the dataset was read, as far as `write_sidecars` has to know: `now`, from
    `read_sidecars`, and something else where a picture's file is another one since."""
    sources = _sources(dataset)
    changed: set[Path | None] = set()
    for image in dataset.images:
        source = sources[image.path]
        if image.caption_digest not in (None, bytes_digest(now.get(source))):
            changed |= {source, _stem_file(image), _own_file(image)}
    return {path: OTHER if path in changed else data for path, data in now.items()}


def with_digests(dataset: Dataset, written: Sequence[WrittenSidecar]) -> Dataset:
    """The dataset as if it was read after its caption files were written, but for those that were refused."""
    states: dict[NameKey, set[str]] = defaultdict(set)
    for entry in written:
        states[_key(entry.path.parent, entry.path.stem)].add(entry.state)
    sources = _sources(dataset) if states else {}

    def as_it_is_now(image: DatasetImage) -> DatasetImage:
        outcomes = {state for name in _names(image) for state in states.get(_key(image.path.parent, name), ())}
        if image.caption_digest is None or not outcomes or "refused" in outcomes:
            return image
        source = sources[image.path]
        return replace(image, caption_digest=bytes_digest(_known_bytes(source) if source else None))

    return dataset.with_images(tuple(map(as_it_is_now, dataset.images)))


def write_sidecars(dataset: Dataset, before: Mapping[Path, bytes | None]) -> Iterator[WrittenSidecar]:
    """Write each picture's captions, one a line, as UTF-8, and yield what became of each file.

    Written is the file that the caption came from, else `name.txt`. Pictures that would share one though their
    captions differ get `name.png.txt` each. So reading the folder again gives these captions. What a file held first
    is kept beside it as .bak, once; a file that says the same already is not touched.

    Args:
        before: from `read_sidecars` or `as_read`; a file that is another one now is refused.

    Raises:
        TrainingError: a file cannot be written. Those yielded before are complete.
    """
    sources, readers = _sources(dataset), _readers(dataset)
    outgrown: dict[Path, None] = {}
    kept: set[Path | None] = set()
    for image in dataset.images:
        source, group = sources[image.path], readers[_key(image.path.parent, image.path.stem)]
        is_split = _differ(group) and len({other.path for other in group}) > 1
        target = _own_file(image) if is_split else source or _stem_file(image)
        if _differ(readers[_key(target.parent, target.stem)]):
            outcome = WrittenSidecar(path=target, state="refused", reason=_READ_TWICE)
        else:
            outcome = _write(target, image.captions, before)
        if outcome.state == "refused":
            kept |= {target, source}
        elif is_split and source and folded(source.name) == folded(_stem_file(image).name):
            outgrown[source] = None
        yield outcome
    for path in outgrown:
        if path not in kept:
            yield _set_aside(path, before)


def _write(path: Path, captions: Sequence[str], before: Mapping[Path, bytes | None]) -> WrittenSidecar:
    try:
        old = _bytes_of(path)
        if _says(path, old, captions):
            return WrittenSidecar(path=path, state="unchanged")
    except UnreadableFile as problem:
        return WrittenSidecar(path=path, state="refused", reason=problem.reason)
    if old != before.get(path):
        return WrittenSidecar(path=path, state="refused", reason=_CHANGED)
    try:
        _keep_first(path, old)
    except UnreadableFile as problem:
        return WrittenSidecar(path=path, state="refused", reason=problem.reason)
    write_atomic(path, "\n".join(captions).encode("utf-8"))
    return WrittenSidecar(path=path, state="written")


def _set_aside(path: Path, before: Mapping[Path, bytes | None]) -> WrittenSidecar:
    old = _bytes_of(path)
    if old != before.get(path):
        return WrittenSidecar(path=path, state="refused", reason=_CHANGED)
    backups = chain([""], map(str, count(2)))
    backup = next(free for number in backups if _may_hold(free := path.with_name(f"{path.name}.bak{number}"), old))
    try:
        os.replace(path, backup)
    except OSError as problem:
        raise TrainingError(f"cannot move {path}: {problem.strerror}. Choose a folder you may write to.") from problem
    return WrittenSidecar(path=path, state="set aside")


def _may_hold(backup: Path, data: bytes | None) -> bool:
    """Whether a backup is free, or holds these bytes already."""
    return not os.path.lexists(backup) or (backup.is_file() and backup.read_bytes() == data)


def _keep_first(path: Path, old: bytes | None) -> None:
    backup = path.with_name(f"{path.name}.bak")
    if old is not None and not _is_there(backup):
        write_atomic(backup, old)


def _says(path: Path, data: bytes | None, captions: Sequence[str]) -> bool:
    """Whether a file holds these captions already, however it writes them."""
    if data is None:
        return not any(captions)
    text = read_caption(data, path)
    return text.lines == tuple(captions) or [text.joined] == list(captions)


def _sources(dataset: Dataset) -> dict[Path, Path | None]:
    """By picture, the caption file that it is read from now."""
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for image in dataset.images:
        by_folder[image.path.parent].append(image.path)
    sources = {}
    for folder, pictures in by_folder.items():
        captions = CaptionFiles(folder, _caption_files_in(folder))
        for picture in pictures:
            found = captions.find(picture, "")
            sources[picture] = folder / found.source if found.lines else None
    return sources


def _caption_files_in(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.suffix.lower() in CAPTION_SUFFIXES]
    except OSError as problem:
        raise TrainingError(
            f"cannot read the folder {folder}: {problem.strerror}. Check that it is there."
        ) from problem


def _readers(dataset: Dataset) -> dict[NameKey, list[DatasetImage]]:
    """By folder and name without .txt, the pictures that are read from such a file: of `a` and of `a.png`, a.png is."""
    readers: dict[NameKey, list[DatasetImage]] = defaultdict(list)
    for image in dataset.images:
        for name in _names(image):
            readers[_key(image.path.parent, name)].append(image)
    return readers


def _names(image: DatasetImage) -> tuple[str, str]:
    """Of its caption files, without .txt and the like."""
    return image.path.stem, image.path.name


def _differ(images: Sequence[DatasetImage]) -> bool:
    return len({image.captions for image in images}) > 1


def _key(folder: Path, name: str) -> NameKey:
    return str(folder), folded(name)


def _stem_file(image: DatasetImage) -> Path:
    return image.path.with_suffix(".txt")


def _own_file(image: DatasetImage) -> Path:
    return image.path.with_name(f"{image.path.name}.txt")


def _bytes_of(path: Path) -> bytes | None:
    if not _is_there(path):
        return None
    if path.is_symlink() and not is_within(path.parent, path):
        raise UnreadableFile(path, "a link that leaves the folder")
    return read_regular_file(path, _MOST_BYTES) if path.exists() else None


def _is_there(path: Path) -> bool:
    """Also a link that leads nowhere.

    Raises:
        UnreadableFile: nobody can tell, as of a name that is too long once .txt is behind it.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError as problem:
        raise UnreadableFile(path, (problem.strerror or str(problem)).lower()) from problem
    return True


def _known_bytes(path: Path) -> bytes | None:
    try:
        return _bytes_of(path)
    except UnreadableFile:
        return None  # it is refused when it is to be written
