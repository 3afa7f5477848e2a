"""metadata.jsonl and metadata.csv: a whole folder's captions in one file, as Hugging Face's imagefolder has them."""

from __future__ import annotations

import codecs
import csv
import io
import json
import posixpath
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ..files import is_within
from .caption_encoding import decode_text
from .opening import UnreadableFile, read_regular_file

TABLE_NAMES = ("metadata.jsonl", "metadata.csv")
"""In the order in which they are asked."""
_MOST_BYTES = 64 * 2**20
_MOST_LINES = 200_000
"""More than a folder has pictures that one GPU trains on; keeps a file that is something else from taking minutes."""
_MOST_NAMES = 3
_CAPTION_FIELDS = ("text", "caption", "tags")
_UNDECODED = re.compile("[\udc80-\udcff]")

NameKey = tuple[str, str]
"""A folder, and the `folded` name of a file in it."""


@dataclass(frozen=True, slots=True)
class TableEntry:
    """What a table says about one picture."""

    table: Path
    file_name: str
    """As written, relative to the table's folder."""
    captions: tuple[str, ...]
    """Not cleaned; several if the table has a list of them, none if it has no words."""


@dataclass(frozen=True, slots=True)
class _BrokenLine:
    number: int
    problem: str


class CaptionTables:
    """The entries of all tables in a folder and below it, read at once.

    A line of a metadata.jsonl, or a row below the header of a metadata.csv, names its picture in `file_name` and
    its caption in `text`, `caption` or `tags`, the first that holds words. The table nearest to a picture speaks
    for it; of one folder's the JSON before the CSV. Lines that cannot be used are counted in `remarks`.
    """

    def __init__(self, folder: Path, tables: Sequence[Path], pictures: Collection[NameKey]) -> None:
        self._folder, self._pictures = folder, pictures
        self._entries: dict[NameKey, TableEntry] = {}
        self._entries_in_any_case: dict[NameKey, TableEntry] = {}
        self.remarks: list[str] = []
        for table in sorted(tables, key=lambda path: (-len(path.parts), TABLE_NAMES.index(path.name.lower()))):
            name = shown(folder, table)
            try:
                self.remarks += [f"{name}: {remark}" for remark in self._take_up(table)]
            except UnreadableFile as problem:
                self.remarks.append(f"{name} is not read: {problem.reason}")

    def entry_of(self, picture: Path) -> TableEntry | None:
        """By the picture's name as it is spelt, else without regard to case."""
        parent, name = str(picture.parent), picture.name
        return self._entries.get((parent, name)) or self._entries_in_any_case.get((parent, folded(name)))

    def _take_up(self, table: Path) -> list[str]:
        """Keep the entries for pictures that no nearer table speaks of; the remarks on the rest."""
        if not is_within(self._folder, table):
            raise UnreadableFile(table, "a link that leaves the folder")
        rows, note = _read_table(table)
        own: dict[NameKey, TableEntry] = {}
        broken, outside, strangers, repeated = [], [], [], []
        for row in islice(rows, _MOST_LINES):
            if isinstance(row, _BrokenLine):
                broken.append(f"line {row.number} ({row.problem})")
            elif (target := self._target(row)) is None:
                outside.append(row.file_name)
            elif (target[0], folded(target[1])) not in self._pictures:
                strangers.append(row.file_name)
            elif target in own:
                repeated.append(row.file_name)
            else:
                own[target] = row
        for (parent, name), entry in own.items():
            self._entries.setdefault((parent, name), entry)
            self._entries_in_any_case.setdefault((parent, folded(name)), entry)
        return [
            *([note] if note else []),
            *([f"only its first {_MOST_LINES:,} lines are read"] if next(rows, None) else []),
            *counted(broken, "line is not used", "lines are not used"),
            *counted(outside, "entry leads out of the folder", "entries lead out of the folder"),
            *counted(strangers, "entry names no picture", "entries name no picture"),
            *counted(repeated, "picture has a second entry, not used", "pictures have a second entry, not used"),
        ]

    def _target(self, entry: TableEntry) -> NameKey | None:
        """The folder and name an entry means, as text; nothing is opened. None if that lies outside."""
        start = entry.table.parent.relative_to(self._folder).as_posix()
        relative = posixpath.normpath(posixpath.join(start, entry.file_name.replace("\\", "/")))
        if relative.startswith(("/", "../")) or relative == "..":
            return None
        parent, name = posixpath.split(relative)
        return str(self._folder / parent), name


def folded(name: str) -> str:
    """A name without regard to case and to how its accents are put together."""
    return name.casefold() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def shown(folder: Path, path: Path) -> str:
    """A path in `folder` as people see it, on one line whatever its name holds."""
    name = path.relative_to(folder).as_posix()
    return "".join(character if character.isprintable() else "?" for character in name)


def counted(names: Sequence[str], one: str, many: str) -> list[str]:
    """One line with their number and the first of them, or none if there are none."""
    if not names:
        return []
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    first = ", ".join("".join(c if c.isprintable() else "?" for c in name[:100]) for name in names[:_MOST_NAMES])
    return [f"{len(names):,} {one if len(names) == 1 else many}: {first}{more}"]


def _read_table(path: Path) -> tuple[Iterator[TableEntry | _BrokenLine], str]:
    """The lines of a table, and a note on its encoding where that had to be found out (else empty)."""
    data = read_regular_file(path, _MOST_BYTES)
    if path.suffix.lower() == ".jsonl":
        text, note = _text_of_jsonl(data, path)
        return _json_lines(path, text), note
    text, note = decode_text(data, path)
    return _csv_rows(path, text), note


def _text_of_jsonl(data: bytes, path: Path) -> tuple[str, str]:
    """Stray bytes in UTF-8 stay recognisable, so that they spoil their own line only."""
    try:
        return decode_text(data, path)
    except UnreadableFile:
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in data:
            raise
        return data.decode("utf-8-sig", errors="surrogateescape"), ""


def _json_lines(path: Path, text: str) -> Iterator[TableEntry | _BrokenLine]:
    for number, line in enumerate(io.StringIO(text), start=1):
        if line.isspace():
            continue
        try:
            value = None if _UNDECODED.search(line) else json.loads(line)
        except (ValueError, RecursionError):
            value = None
        yield _entry(path, value, number) if isinstance(value, dict) else _BrokenLine(number, "not a JSON object")


def _csv_rows(path: Path, text: str) -> Iterator[TableEntry | _BrokenLine]:
    header = text[: text.find("\n")]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count))
    columns: list[str] = []
    while True:
        try:
            row = next(rows, None)
        except csv.Error:  # a quote that never closes runs into the reader's limit; the lines after it are read
            yield _BrokenLine(rows.line_num, "not CSV, or a field of more than 128 KB")
            continue
        if row is None:
            return
        if not columns:
            columns = [name.strip().lower() for name in row]
            if "file_name" not in columns:
                raise UnreadableFile(path, "its first line names no column file_name")
        elif row:
            yield _entry(path, dict(zip(columns, row, strict=False)), rows.line_num)


def _entry(path: Path, value: Mapping[str, object], number: int) -> TableEntry | _BrokenLine:
    file_name = value.get("file_name")
    if not isinstance(file_name, str) or not file_name.strip():
        return _BrokenLine(number, "no file_name")
    if not any(field in value for field in _CAPTION_FIELDS):
        return _BrokenLine(number, "no text, caption or tags")
    captions = next((found for field in _CAPTION_FIELDS if (found := _captions(field, value.get(field)))), ())
    return TableEntry(path, file_name.strip(), captions)


def _captions(field: str, value: object) -> tuple[str, ...]:
    """The texts of one field. A list of texts is several captions, a list of tags is one."""
    texts = [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str) and text.strip()]
    return (", ".join(texts),) if texts and field == "tags" else tuple(texts)
