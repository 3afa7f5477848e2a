"""Every row of the list of bad captions behaves as the list says, and none holds the reading up."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer_core.dataset.caption_files import CaptionFiles
from trainer_core.dataset.caption_text import join_lines

from .bad_captions import ROWS, Row

MOST_SECONDS = 2.0


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    """Breaks off what waits, for instance for a FIFO that nobody writes to."""

    def ring(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def files_below(folder: Path) -> list[Path]:
    """All but folders, links and FIFOs among them: nothing is sorted out before the captions are."""
    return [Path(parent) / name for parent, _, names in sorted(os.walk(folder)) for name in sorted(names)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.number}-{row.what}")
def test_a_row_of_the_list(tmp_path, row: Row):
    folder = row.make(tmp_path)
    captions = CaptionFiles(folder, files_below(folder))
    found = captions.find(folder / "a.png", "")
    assert (join_lines(found.lines), found.source) == (row.caption, row.source)
    check_words(row.note, found.notes)
    check_words(row.skipped, [entry.reason for entry in found.skipped])
    check_words(row.remark, captions.remarks())
    assert all(entry.kind == "caption" and entry.path.parent == folder for entry in found.skipped)


def check_words(expected: str, told: tuple[str, ...] | list[str]) -> None:
    assert len(told) == bool(expected), told
    assert all(expected in line and "\n" not in line for line in told)


def test_the_list_is_complete_and_soon_made(tmp_path):
    assert {row.number for row in ROWS} == set(range(1, 27))
    start = time.perf_counter()
    for number, row in enumerate(ROWS):
        row.make(tmp_path / str(number))
    assert time.perf_counter() - start < 1


def test_a_caption_that_may_not_be_read_or_vanishes_is_skipped(tmp_path):
    folder = Row(22, "two captions", {"a.txt": b"cat", "a.caption": b"dog"}).make(tmp_path)
    captions = CaptionFiles(folder, files_below(folder))
    (folder / "a.txt").unlink()
    found = captions.find(folder / "a.png", "")
    assert (found.lines, found.source) == (("dog",), "a.caption")
    assert [entry.reason for entry in found.skipped] == ["no such file or directory"]
