"""Files written whole or not at all, and paths that stay where they belong."""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import io
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from .errors import TrainingError

_RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$")
_MOST_LETTERS, _MOST_NAME_BYTES = 120, 180
"""Of a name, before what is added to it: the number of a run, an epoch, an ending."""
_AS_ESCAPES = "backslashreplace"
"""What UTF-8 cannot hold, such as the bytes of a file's name in another encoding, is written as JSON's own \\udcXX."""
_TEXTS_OF_A_PIECE = 20_000
"""Of those that the JSON encoder gives one by one: some hundred kilobytes."""
_KEPT_OF_A_NAME = 40
"""Characters, of up to four bytes each: with what is put around it, the name of the temporary file fits every disk."""
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp", re.DOTALL)
_SECONDS_UNTIL_LEFT_BEHIND = 3600
"""After its last change a temporary file belongs to nobody any more: writing one changes it all the time."""
_WAITS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds between attempts to change a file that is in use."""


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader, or a crash, sees the old file or the new one, never a part.

    Raises:
        TrainingError: the folder cannot be written to, or the disk is full. The old file is untouched.
    """
    write_pieces(path, (data,))


def write_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    """As `write_atomic`, of data that is never in memory as a whole."""
    size = 0
    temporary = path.parent / f".{path.name[:_KEPT_OF_A_NAME]}.{secrets.token_hex(4)}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            for piece in pieces:
                size += len(piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        _patiently(lambda: os.replace(temporary, path))
    except OSError as problem:
        raise _cannot_write(path, size, problem) from problem
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def append(path: Path, text: str) -> None:
    """Add `text` to a file, which a crash may cut.

    Raises:
        TrainingError: as `write_atomic`.
    """

    def add() -> None:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)

    try:
        _patiently(add)
    except OSError as problem:
        raise _cannot_write(path, len(text), problem) from problem


def clear_unfinished(folder: Path) -> None:
    """Delete what writers left anywhere below `folder` that were killed, by a power cut or the system."""
    until = time.time() - _SECONDS_UNTIL_LEFT_BEHIND
    with contextlib.suppress(OSError):  # others may change the folder meanwhile; the next run tries again
        for path in folder.rglob(".*.tmp"):
            if _TEMPORARY.fullmatch(path.name) and path.is_file() and path.lstat().st_mtime < until:
                path.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON, atomically."""
    write_pieces(path, _readable_json(value))


def _readable_json(value: Any) -> Iterator[bytes]:
    """In pieces: the JSON of 100,000 pictures is half a gigabyte on its way to being one text."""
    texts = json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(value)
    while piece := "".join(islice(texts, _TEXTS_OF_A_PIECE)):
        yield piece.encode("utf-8", _AS_ESCAPES)
    yield b"\n"


def write_picture(path: Path, picture: Image.Image) -> None:
    """Write a picture as PNG, atomically."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    write_atomic(path, buffer.getvalue())


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, or in UTF-16 if it is marked so, as what PowerShell prints into files is.

    Raises:
        TrainingError: missing, or neither of the two.
    """
    try:
        with open(path, "rb") as file:
            is_utf16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        return path.read_text(encoding="utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as problem:
        raise TrainingError(f"{path} is not UTF-8 text. Save it as UTF-8.") from problem
    except (OSError, ValueError) as problem:
        raise TrainingError(f"cannot read {path}: {getattr(problem, 'strerror', None) or problem}.") from problem


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        TrainingError: it cannot be read, or is not JSON; says where.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as problem:
        raise TrainingError(
            f"{path} is not valid JSON: {problem.msg} at line {problem.lineno}, column {problem.colno}."
        ) from problem
    except (ValueError, RecursionError) as problem:  # a number of thousands of digits, a thousand brackets
        raise TrainingError(f"{path} is not valid JSON: {problem}.") from problem


def read_json_lines(path: Path) -> Iterator[Any]:
    """What stands in a log of one JSON value a line, without lines that a crash or a full disk cut; nothing where there
    is no log."""
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        with contextlib.suppress(ValueError):  # half a letter is one too
            yield json.loads(line)


def check_folder_writable(folder: Path) -> None:
    """Create `folder` and try a small write, so that a read-only output fails before any work is done.

    Raises:
        TrainingError: the folder cannot be created or written to.
    """
    probe = folder / ".write-test"
    write_atomic(probe, b"")
    with contextlib.suppress(OSError):  # a virus scanner may be looking at it, which is no reason not to train
        probe.unlink()


def expanded(name: str) -> Path:
    """A path as it is written, `~` being the user's folder; a name that begins so and is no user's stays what it is."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)


def is_within(root: Path, path: Path) -> bool:
    """Whether `path`, with every link resolved, lies in `root` (or is it)."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def contained(root: Path, relative: str) -> Path:
    """The real path of `relative` inside `root`.

    Raises:
        TrainingError: absolute, or it leaves `root` by `..` or a link.
    """
    try:
        path = Path(os.path.realpath(root / relative))
        if not Path(relative).is_absolute() and is_within(root, path):
            return path
    except ValueError:  # a NUL, or half a character
        pass
    raise TrainingError(f"{relative!r} is not inside {root.name}/. Choose a path below that folder.")


def file_name(name: str) -> str:
    """`name` as a file name that every system accepts.

    Raises:
        TrainingError: empty, or it names a folder.
    """
    if "/" in name or "\\" in name:
        raise TrainingError(f"the name {name!r} contains a path. Give a plain name, without / or \\.")
    cleaned = _shortened(re.sub(r'[\x00-\x1f<>:"|?*\u202a-\u202e\u2066-\u2069\ud800-\udfff]', "_", name).strip(" ."))
    if not cleaned:
        raise TrainingError(f"{name!r} is not a usable name. Give one with a letter or a digit.")
    return f"_{cleaned}" if _RESERVED.match(cleaned) else cleaned


def _shortened(name: str) -> str:
    """Names are made longer by what is put behind them, and disks count bytes: 255 of them at most."""
    return name[:_MOST_LETTERS].encode()[:_MOST_NAME_BYTES].decode(errors="ignore").rstrip(" .")


def numbered(folder: Path, stem: str, suffix: str) -> list[tuple[int, Path]]:
    """The files stem.suffix (1), stem_2.suffix, stem_3.suffix, … of a folder, the highest number first. Letters' case
    counts for nothing, as Windows and macOS compare names."""
    named = re.compile(re.escape(stem) + r"(?:_(\d+))?", re.IGNORECASE)
    matches = ((named.fullmatch(path.stem), path) for path in folder.glob(f"*{suffix}"))
    return sorted(((int(match[1] or 1), path) for match, path in matches if match), reverse=True)


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a whole file as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def time_of_change(path: Path) -> int:
    """In nanoseconds; 0 where there is no such file or folder, as another program may have deleted it."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def digest(*parts: Any) -> str:
    """BLAKE2 of JSON-able parts, as 32 hex digits: the key of runs and caches."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8", _AS_ESCAPES), digest_size=16).hexdigest()


def bytes_digest(data: bytes | None) -> str:
    """BLAKE2 of a file's bytes, as 32 hex digits; empty where there is no file."""
    return "" if data is None else hashlib.blake2b(data, digest_size=16).hexdigest()


def _patiently(change: Callable[[], None]) -> None:
    """Windows refuses while somebody else has the file, such as the page or a virus scanner; that is soon over."""
    for seconds in _WAITS:
        try:
            return change()
        except PermissionError:
            time.sleep(seconds)
    return change()


def _cannot_write(path: Path, size: int, problem: OSError) -> TrainingError:
    return TrainingError(
        f"cannot write {path} ({size:,} bytes): {problem.strerror or problem}. "
        "Free some disk space or choose a folder you may write to."
    )
