"""Odd and broken files: each ends as good, repaired or skipped with a reason, quickly, and takes nothing else along."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from trainer_core.dataset import opening, strictness
from trainer_core.dataset.opening import UnreadableFile
from trainer_core.dataset.pictures import inspect_picture, open_picture

from . import picture_bytes
from .bad_pictures import Row, write_corpus
from .picture_bytes import encoded, photo

pytestmark = pytest.mark.filterwarnings(
    "ignore::PIL.Image.DecompressionBombWarning", "ignore:Corrupt EXIF", "ignore:Truncated File Read"
)
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> tuple[Path, tuple[Row, ...]]:
    folder = tmp_path_factory.mktemp("bad") / "corpus"
    folder.mkdir()
    return folder, write_corpus(folder)


def verdict(path: Path) -> tuple[str, tuple[str, ...]]:
    """OK, REPAIRED or SKIPPED, and the notes or the reason."""
    try:
        facts = inspect_picture(path)
    except UnreadableFile as problem:
        assert "\n" not in problem.reason and len(problem.reason) < 120
        return "SKIPPED", (problem.reason,)
    return ("REPAIRED" if facts.is_repaired else "OK"), facts.notes


def judged_alone(rows: tuple[Row, ...]) -> list[Row]:
    return [row for row in rows if not row.is_for_folder]


def test_the_corpus_has_every_row(corpus):
    _, rows = corpus
    assert {row.number for row in rows} == set(range(1, 68))
    assert len({row.name for row in rows}) == len(rows)


def test_every_file_ends_as_it_must_within_seconds(corpus):
    folder, rows = corpus
    wrong = []
    for row in judged_alone(rows):
        start = time.perf_counter()
        outcome, words = verdict(folder / row.name)
        if outcome != row.outcome or (not row.words and words) or row.words not in " | ".join(words):
            wrong.append((row.name, outcome, words))
        if time.perf_counter() - start > 5:
            wrong.append((row.name, "slow", time.perf_counter() - start))
    assert wrong == []


def test_every_usable_file_looks_as_it_must(corpus):
    folder, rows = corpus
    wrong = []
    for row in judged_alone(rows):
        if row.outcome == "SKIPPED":
            continue
        picture = open_picture(folder / row.name)
        facts = inspect_picture(folder / row.name)
        pixels = np.asarray(picture, dtype=float)
        assert picture.mode == "RGB" and picture.size == (facts.width, facts.height)
        if row.size and picture.size != row.size:
            wrong.append((row.name, picture.size))
        if row.mean and np.abs(pixels.mean((0, 1)) - row.mean).max() > 3:
            wrong.append((row.name, pixels.mean((0, 1))))
        if row.corner and np.abs(pixels[:8, :8].mean((0, 1)) - row.corner).max() > 12:
            wrong.append((row.name, pixels[:8, :8].mean((0, 1))))
    assert wrong == []


def test_deep_grey_is_spread_over_all_levels(corpus):
    folder, rows = corpus
    name = next(row.name for row in rows if row.number == 13)
    assert np.asarray(open_picture(folder / name)).mean() == pytest.approx(127, abs=2)


def test_facts_are_kept_as_json(corpus):
    folder, rows = corpus
    for row in judged_alone(rows):
        if row.outcome != "SKIPPED":
            facts = inspect_picture(folder / row.name)
            assert type(facts).from_json(json.loads(json.dumps(facts.to_json()))) == facts


# ------------------------------------------------------------------------------------------------------------ bombs

MEASURE = """
import sys, time, warnings
from pathlib import Path
from trainer_core.dataset.opening import UnreadableFile
from trainer_core.dataset.pictures import inspect_picture, open_picture
def peak(): return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
warnings.simplefilter("ignore")
before, start = peak(), time.perf_counter()
try: inspect_picture(Path(sys.argv[1]))
except UnreadableFile as problem: print(problem.reason)
print((peak() - before) // 1024, time.perf_counter() - start, "torch" in sys.modules)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the peak of memory is read from /proc")
@pytest.mark.parametrize("kind", ["header_bomb", "one_bit_bomb", "rgb_bomb"])
def test_a_bomb_takes_neither_memory_nor_time_nor_torch(tmp_path, kind):
    data = getattr(picture_bytes, kind)()
    assert len(data) < 2**20
    (tmp_path / "bomb.png").write_bytes(data)
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "bomb.png")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    reason, numbers = run.stdout.splitlines()
    megabytes, seconds, has_torch = numbers.split()
    assert reason == "too large: more than 100 million pixels"
    assert int(megabytes) < 200
    assert float(seconds) < 5
    assert has_torch == "False"


# ----------------------------------------------------------------------------------------------- files cut anywhere

CUT_JPEGS = {
    "baseline": {"quality": 85},
    "whole colour": {"quality": 85, "subsampling": 0},
    "restarts": {"quality": 60, "restart_marker_rows": 1},
    "progressive": {"quality": 85, "progressive": True},
    "grey": {"quality": 85},
    "cmyk": {"quality": 85},
}


@pytest.mark.parametrize("name", CUT_JPEGS)
def test_a_jpeg_cut_anywhere_never_brings_in_a_pixel_that_was_not_there(tmp_path, name):
    picture = photo(64, 1200).convert({"grey": "L", "cmyk": "CMYK"}.get(name, "RGB"))
    data = encoded(picture, "JPEG", **CUT_JPEGS[name])
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    whole = np.asarray(open_picture(path))
    repaired = 0
    for cut in (1, 2, 3, 5, 9, 20, 60, 150, 400, 1000, len(data) // 4, len(data) // 2, len(data) * 9 // 10):
        path.write_bytes(data[:-cut])
        outcome, words = verdict(path)
        if outcome == "REPAIRED":
            kept = np.asarray(open_picture(path))
            repaired += 1
            assert len(kept) >= 0.98 * len(whole)
            assert np.array_equal(kept, whole[: len(kept)]), cut
        else:
            assert outcome == "SKIPPED" and words[0].startswith("truncated"), (cut, words)
            assert cut > 2
    assert repaired >= 3


def test_a_progressive_jpeg_that_lacks_whole_passes_is_not_taken_for_a_whole_one(tmp_path):
    data = encoded(photo(64, 1200), "JPEG", quality=85, progressive=True)
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    (tmp_path / "a.jpg").write_bytes(data[: scans[-1]])
    assert verdict(tmp_path / "a.jpg") == ("SKIPPED", ("truncated: the file ends before the picture does",))


def test_a_truly_grey_last_row_is_no_damage(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(Image.new("RGB", (96, 96), (128, 128, 128)), "JPEG"))
    assert verdict(tmp_path / "a.jpg") == ("OK", ())
    assert open_picture(tmp_path / "a.jpg").size == (96, 96)


def test_a_cut_jpeg_is_turned_upright_like_a_whole_one(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(photo(640, 480), "JPEG", exif=exif)
    (tmp_path / "a.jpg").write_bytes(data[:-2])
    facts = inspect_picture(tmp_path / "a.jpg")
    assert (facts.width, facts.height, facts.is_repaired) == (480, 640, True)


def test_a_png_cut_anywhere_is_whole_or_refused(tmp_path):
    data = encoded(photo(96, 96), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    whole = np.asarray(open_picture(path))
    for cut in (*range(1, 40), len(data) // 3, len(data) // 2, len(data) - 40):
        path.write_bytes(data[:-cut])
        outcome, _ = verdict(path)
        assert outcome != "OK"
        assert outcome == "SKIPPED" or np.array_equal(np.asarray(open_picture(path)), whole)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_bytes_raise_nothing_but_the_files_own_error(tmp_path):
    rng = np.random.default_rng(0)
    small = photo(48, 40)
    kinds = [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("GIF", {}),
    ]
    originals = [encoded(small, kind, **options) for kind, options in kinds]
    outcomes = set()
    for round_ in range(280):
        data = bytearray(originals[round_ % len(originals)])
        for place in rng.integers(0, len(data) if round_ % 2 else 64, 4):
            data[place] = rng.integers(0, 256)
        (tmp_path / "a.png").write_bytes(data)
        outcomes.add(verdict(tmp_path / "a.png")[0])
    assert {"OK", "SKIPPED"} <= outcomes


def test_an_animation_whose_later_frames_are_broken_keeps_its_first(tmp_path):
    frames = [photo(64, 64, seed) for seed in range(4)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    path = tmp_path / "a.gif"
    path.write_bytes(data)
    first = np.asarray(open_picture(path))
    path.write_bytes(data[: len(data) // 2])
    outcome, notes = verdict(path)
    assert outcome == "OK" and "animated" in notes[0]
    assert np.array_equal(np.asarray(open_picture(path)), first)


# ------------------------------------------------------------------------------- Pillow's switch for half pictures


@pytest.fixture
def half_jpeg(tmp_path) -> Path:
    data = encoded(photo(320, 240), "JPEG")
    (tmp_path / "half.jpg").write_bytes(data[: len(data) // 2])
    return tmp_path / "half.jpg"


@pytest.mark.parametrize("outside", [True, False])
def test_threads_refuse_half_pictures_and_leave_pillow_as_it_was(half_jpeg, monkeypatch, outside):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", outside)
    (half_jpeg.parent / "whole.jpg").write_bytes(encoded(photo(320, 240), "JPEG"))
    paths = [half_jpeg, half_jpeg.parent / "whole.jpg"] * 60
    with ThreadPoolExecutor(6) as pool:
        outcomes = [outcome for outcome, _ in pool.map(verdict, paths)]
    assert outcomes == ["SKIPPED", "OK"] * 60
    assert outside is ImageFile.LOAD_TRUNCATED_IMAGES


def test_what_was_decoded_while_somebody_else_set_the_switch_is_decoded_again(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)
    calls = []

    def decode() -> int:
        calls.append(ImageFile.LOAD_TRUNCATED_IMAGES)
        ImageFile.LOAD_TRUNCATED_IMAGES = len(calls) == 1
        return len(calls)

    assert strictness.decode_strictly(decode) == 2
    assert calls == [False, False]
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True, "the other's wish holds again"


# ----------------------------------------------------------------------- files that change or close, rows 65, 68-70


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_not_read(tmp_path, device):
    (tmp_path / "a.png").symlink_to(device)
    assert verdict(tmp_path / "a.png") == ("SKIPPED", ("not an ordinary file",))


@pytest.mark.parametrize("change", ["grows", "shrinks", "is rewritten"])
def test_a_file_that_is_still_being_written_is_left_alone(tmp_path, monkeypatch, change):
    path = tmp_path / "a.png"
    data = encoded(photo(64, 64), "PNG")
    path.write_bytes(data)
    os.utime(path, (1, 1))
    asked = []

    def meanwhile(handle: int) -> os.stat_result:
        facts = os.stat(handle)
        if not asked:
            path.write_bytes({"grows": data + b"x", "shrinks": data[:99], "is rewritten": data}[change])
        asked.append(handle)
        return facts

    monkeypatch.setattr(opening.os, "fstat", meanwhile)
    assert verdict(path) == ("SKIPPED", ("still being written; read the folder again once it is complete",))


def test_a_file_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(photo(64, 64), "PNG"))

    def refuse(*_) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(opening.os, "open", refuse)
    assert verdict(path) == ("SKIPPED", ("permission denied",))


def test_a_file_that_vanishes_says_so(tmp_path):
    assert verdict(tmp_path / "a.png") == ("SKIPPED", ("no such file or directory",))


def test_a_disk_that_fails_while_reading_says_so(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"x")

    class Broken(io.BytesIO):
        def read(self, *_) -> bytes:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(opening, "open", lambda *_, **__: Broken(), raising=False)
    assert verdict(path) == ("SKIPPED", ("input/output error",))
