"""Which caption belongs to which picture: the file beside it, a line of a metadata table, or its folder's name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..files import bytes_digest, is_within
from .caption_tables import TABLE_NAMES, CaptionTables, NameKey, counted, folded, shown
from .caption_text import CaptionText, clean_caption, read_caption
from .opening import UnreadableFile, read_regular_file
from .types import SkippedFile

CAPTION_SUFFIXES = (".txt", ".caption", ".tags")
"""In the order in which they are asked, in any case."""
_MOST_BYTES = 16 * 2**20
"""Of a caption file. Only its beginning is read, but what is larger than this is something else."""
_TEXT_SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".xml", ".yaml", ".yml", ".toml", ".md")
_DOCUMENT_SUFFIXES = (".rtf", ".doc", ".docx", ".odt", ".xlsx", ".parquet")
_MOST_SHARED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundCaption:
    """The caption of one picture."""

    lines: tuple[str, ...]
    """Clean lines, none of them empty; no lines if there is no caption."""
    source: str
    """The name of the file it came from, "folder name", "empty" (there is a file, but no words in it) or "none"."""
    notes: tuple[str, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()
    """Caption files that could not be read, each told once however many pictures share it."""
    digest: str = ""
    """Of the bytes of the file beside the picture that it came from; empty where it came from elsewhere."""


class CaptionFiles:
    """The captions of a folder: made once from the list of its files, then asked for each picture.

    `files` are all visible files in `folder` and below; no folder is listed again, and a caption file is opened
    once. A picture's caption is `name.txt`, `name.png.txt`, `name.caption`, `name.png.caption`, `name.tags` or
    `name.png.tags`, the first that can be read and holds words; then its entry in a `metadata.jsonl` or
    `metadata.csv` of its folder or one above; then the fallback.
    """

    def __init__(self, folder: Path, files: Sequence[Path]) -> None:
        self._folder = folder
        self._sidecars: dict[NameKey, list[Path]] = defaultdict(list)
        self._unread: list[Path] = []
        self._pictures: set[NameKey] = set()
        self._stems: set[NameKey] = set()
        tables = []
        for path in files:
            parent, suffix = str(path.parent), path.suffix.lower()
            if suffix in CAPTION_SUFFIXES:
                self._sidecars[parent, folded(path.stem) + suffix].append(path)
            elif path.name.lower() in TABLE_NAMES:
                tables.append(path)
            elif suffix in (*_TEXT_SUFFIXES, *_DOCUMENT_SUFFIXES):
                self._unread.append(path)
            else:
                self._pictures.add((parent, folded(path.name)))
                self._stems.add((parent, folded(path.stem)))
        self._tables = CaptionTables(folder, tables, self._pictures)
        self._texts: dict[Path, CaptionText | None] = {}
        self._digests: dict[Path, str] = {}
        self._is_inside: dict[Path, bool] = {}
        self._readers: dict[Path, list[Path]] = defaultdict(list)
        self._outranked: dict[Path, None] = {}

    def find(self, picture: Path, fallback: str) -> FoundCaption:
        """The caption of a picture; `fallback`, such as the words in its folder's name, where it has none."""
        notes: list[str] = []
        skipped: list[SkippedFile] = []
        without_words: list[str] = []
        sidecars = self._sidecars_of(picture)
        for place, sidecar in enumerate(sidecars):
            text = self._text_of(sidecar, skipped)
            if text is None:
                continue
            notes += text.notes
            if text.lines:
                self._readers[sidecar].append(picture)
                self._outranked.update(dict.fromkeys(sidecars[place + 1 :]))
                return _found(text.lines, sidecar.name, notes, skipped, self._digests[sidecar])
            without_words.append(sidecar.name)
        if entry := self._tables.entry_of(picture):
            texts = [clean_caption(caption) for caption in entry.captions]
            notes += [note for text in texts for note in text.notes]
            if lines := tuple(line for text in texts for line in text.lines):
                return _found(lines, entry.table.name, notes, skipped)
            without_words.append(entry.table.name)
        notes += [f"no words in {name}" for name in without_words]
        if fallback:
            return _found((fallback,), "folder name", notes, skipped)
        return _found((), "empty" if without_words else "none", notes, skipped)

    def remarks(self) -> tuple[str, ...]:
        """What was noticed about the caption files as a whole, a line each; complete once every picture was asked."""
        lonely = [path for key, paths in self._sidecars.items() if not self._is_owned(key) for path in paths]
        outranked = [path for path in self._outranked if path not in self._readers]
        return (
            *self._counted(
                lonely, "caption file belongs to no picture beside it", "caption files belong to no picture beside them"
            ),
            *self._counted(self._unread, "file is not read as captions", "files are not read as captions"),
            *self._shared(),
            *self._counted(
                outranked,
                "caption file is not read, as its picture has one that comes first",
                "caption files are not read, as their pictures have one that comes first",
            ),
            *self._tables.remarks,
        )

    def _sidecars_of(self, picture: Path) -> list[Path]:
        """In the order in which they are asked; those in the picture's own spelling hide those in another."""
        found = []
        parent = str(picture.parent)
        names = [(name, folded(name)) for name in (picture.stem, picture.name)]
        for suffix in CAPTION_SUFFIXES:
            for name, plain in names:
                if paths := self._sidecars.get((parent, plain + suffix)):
                    same = [path for path in paths if path.stem == name]
                    found += sorted(same or paths, key=lambda path: (path.suffix != path.suffix.lower(), path.name))
        return found

    def _text_of(self, sidecar: Path, skipped: list[SkippedFile]) -> CaptionText | None:
        """None for a file that cannot be read, which is told in `skipped` the first time."""
        if sidecar not in self._texts:
            try:
                self._texts[sidecar] = self._read(sidecar)
            except UnreadableFile as problem:
                self._texts[sidecar] = None
                skipped.append(SkippedFile(path=sidecar, reason=problem.reason, kind="caption"))
        return self._texts[sidecar]

    def _read(self, sidecar: Path) -> CaptionText:
        if self._leaves_folder(sidecar):
            raise UnreadableFile(sidecar, "a link that leaves the folder")
        data = read_regular_file(sidecar, _MOST_BYTES)
        self._digests[sidecar] = bytes_digest(data)
        return read_caption(data, sidecar)

    def _leaves_folder(self, sidecar: Path) -> bool:
        """Links are followed to their ends; of a plain file it is enough to look at its folder, once for all in it."""
        if sidecar.is_symlink():
            return not is_within(self._folder, sidecar)
        parent = sidecar.parent
        if parent not in self._is_inside:
            self._is_inside[parent] = is_within(self._folder, parent)
        return not self._is_inside[parent]

    def _is_owned(self, key: NameKey) -> bool:
        """Whether there is a picture, usable or not, that a caption file of this name belongs to."""
        parent, name = key
        owner = name.rpartition(".")[0]
        return (parent, owner) in self._stems or (parent, owner) in self._pictures

    def _shared(self) -> list[str]:
        shared = {sidecar: readers for sidecar, readers in self._readers.items() if len(readers) > 1}
        lines = [
            f"{', '.join(shown(self._folder, reader) for reader in readers)} share {shown(self._folder, sidecar)}"
            for sidecar, readers in list(shared.items())[:_MOST_SHARED]
        ]
        if len(shared) > _MOST_SHARED:
            lines.append(f"{len(shared) - _MOST_SHARED:,} more caption files are shared by several pictures")
        return lines

    def _counted(self, paths: Iterable[Path], one: str, many: str) -> list[str]:
        return counted([shown(self._folder, path) for path in paths], one, many)


def _found(
    lines: tuple[str, ...], source: str, notes: Sequence[str], skipped: Sequence[SkippedFile], digest: str = ""
) -> FoundCaption:
    """Notes are marked as the caption's, since they end up among the picture's."""
    marked = tuple(f"caption: {note}" for note in dict.fromkeys(notes))
    return FoundCaption(lines=lines, source=source, notes=marked, skipped=tuple(skipped), digest=digest)
