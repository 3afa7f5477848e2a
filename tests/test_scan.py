"""Scanning a folder: the rules are kept, progress is shown, and an unchanged folder is not decoded again."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from trainer_core.dataset import folder as folder_module
from trainer_core.dataset.folder import FolderScan, read_folder
from trainer_core.dataset.rules import ReadingRules
from trainer_core.errors import TrainingError


def put(path: Path, size=(96, 64), colour="red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def aged(folder: Path) -> Path:
    """The same folder, a moment older: files younger than a clock tick are never taken for known."""
    time.sleep(0.15)
    return folder


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """The names of the files that are really opened."""
    names: list[str] = []
    real = folder_module.inspect_picture

    def counted(path, background):
        names.append(path.name)
        return real(path, background)

    monkeypatch.setattr(folder_module, "inspect_picture", counted)
    return names


@pytest.fixture
def pictures(tmp_path) -> Path:
    for number in range(6):
        put(tmp_path / "set" / f"{number}.png", colour=(40 * number, 80, 90))
    return tmp_path / "set"


def test_progress_counts_every_picture(pictures):
    scan = FolderScan(pictures)
    assert [(step.done, step.total) for step in scan.steps()] == [(n, 6) for n in range(1, 7)]
    assert scan.dataset() == read_folder(pictures)


@pytest.mark.parametrize(
    ("size", "rules", "words"),
    [
        ((63, 200), {}, "its short side is 63 pixels, below 64"),
        ((64, 200), {}, ""),
        ((64, 257), {}, "its aspect is 4.0:1, above 4:1"),
        ((64, 256), {}, ""),
        ((300, 100), {"largest_aspect": 2.5}, "its aspect is 3.0:1, above 2.5:1"),
        ((20, 20), {"smallest_side": 16}, ""),
        ((1, 1), {}, "short side is 1"),
    ],
)
def test_the_limits_are_kept_and_shown(tmp_path, size, rules, words):
    put(tmp_path / "a.png", size)
    put(tmp_path / "good.png")
    dataset = read_folder(tmp_path, rules=ReadingRules(most_unusable=1, **rules))
    assert len(dataset.skipped) == (1 if words else 0) and len(dataset.images) == (1 if words else 2)
    assert all(words in entry.reason for entry in dataset.skipped)


@pytest.mark.parametrize(("bad", "most", "stops"), [(2, 0.2, False), (3, 0.2, True), (1, 0.0, True), (8, 1.0, False)])
def test_too_many_bad_files_stop_the_reading(tmp_path, bad, most, stops):
    for number in range(8):
        put(tmp_path / f"{number}.png")
    for number in range(bad):
        (tmp_path / f"bad{number}.png").touch()
    if not stops:
        assert len(read_folder(tmp_path, rules=ReadingRules(most_unusable=most)).skipped) == bad
        return
    with pytest.raises(TrainingError) as caught:
        read_folder(tmp_path, rules=ReadingRules(most_unusable=most))
    assert f"{bad} of {8 + bad} files" in str(caught.value) and "bad0.png: empty file" in str(caught.value)


def test_formats_that_cannot_be_read_count_as_bad(tmp_path):
    put(tmp_path / "a.png")
    (tmp_path / "b.heic").write_bytes(b"x")
    with pytest.raises(TrainingError, match="1 of 2 files"):
        read_folder(tmp_path)


def test_hidden_files_are_counted(pictures):
    put(pictures / "._0.png")
    put(pictures / ".hidden.jpg")
    assert "2 hidden files are not read" in read_folder(pictures).remarks


def test_an_unchanged_folder_is_not_opened_again(pictures, tmp_path, opened):
    (pictures / "broken.png").write_bytes(b"no picture")
    first = read_folder(aged(pictures), caches=tmp_path / "scans")
    assert len(opened) == 7
    opened.clear()
    assert read_folder(pictures, caches=tmp_path / "scans") == first
    assert opened == []


@pytest.mark.parametrize(
    ("place", "problem"),
    [("opening.os.open", OSError(24, "Too many open files")), ("decoding._decode", MemoryError())],
)
def test_what_may_pass_is_not_remembered(pictures, tmp_path, monkeypatch, place, problem):
    def fail(*_: object, **__: object) -> None:
        raise problem

    lenient = {"rules": ReadingRules(most_unusable=1), "caches": tmp_path / "scans"}
    aged(pictures)
    with monkeypatch.context() as patch:
        patch.setattr(f"trainer_core.dataset.{place}", fail)
        with pytest.raises(TrainingError):
            read_folder(pictures, **lenient)
    assert len(read_folder(pictures, **lenient).images) == 6


def test_what_changed_is_opened_again_and_nothing_else(pictures, tmp_path, opened):
    read_folder(aged(pictures), caches=tmp_path / "scans")
    opened.clear()
    put(pictures / "2.png", colour="blue")
    put(pictures / "new.png")
    before = os.stat(pictures / "3.png")
    data = bytearray((pictures / "3.png").read_bytes())
    put(pictures / "3.png", colour=(121, 80, 90))
    os.utime(pictures / "3.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(data) == os.stat(pictures / "3.png").st_size, "same size, same time of modification"
    aged(pictures)
    dataset = read_folder(pictures, caches=tmp_path / "scans")
    assert sorted(opened) == ["2.png", "3.png", "new.png"]
    assert dataset == read_folder(pictures)


def test_a_file_that_may_still_be_changing_is_not_remembered(pictures, tmp_path, opened):
    """Within one tick of the clock a second change would leave no trace; here the clock of a camera runs ahead."""
    aged(pictures)
    ahead = time.time_ns() + 10**11
    os.utime(pictures / "1.png", ns=(ahead, ahead))
    for _ in range(2):
        opened.clear()
        read_folder(pictures, caches=tmp_path / "scans")
    assert opened == ["1.png"]


def test_another_background_is_another_memory(tmp_path, opened):
    (tmp_path / "set").mkdir()
    Image.new("RGBA", (96, 64), (255, 0, 0, 0)).save(tmp_path / "set" / "a.png")
    aged(tmp_path)
    white, black = (
        read_folder(tmp_path / "set", rules=ReadingRules(background=colour), caches=tmp_path / "scans")
        for colour in ("white", "black")
    )
    assert len(opened) == 2
    assert (white.images[0].background, black.images[0].background) == ("#ffffff", "#000000")
    assert white.images[0].measures.luma > black.images[0].measures.luma


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"0.png": [1]}', b'{"0.png": [[1, 2, 3, 4], {}]}'])
def test_a_damaged_memory_is_an_empty_one(pictures, tmp_path, damage):
    expected = read_folder(aged(pictures), caches=tmp_path / "scans")
    (memory,) = (tmp_path / "scans").iterdir()
    memory.write_bytes(damage)
    assert read_folder(pictures, caches=tmp_path / "scans") == expected


def test_a_stopped_scan_is_half_remembered(pictures, tmp_path, opened):
    steps = FolderScan(aged(pictures), caches=tmp_path / "scans").steps()
    next(steps)
    steps.close()
    opened.clear()
    read_folder(pictures, caches=tmp_path / "scans")
    assert len(opened) < 6


def test_a_scan_that_is_stopped_forgets_nothing_it_did_not_come_to(pictures, tmp_path, opened):
    """Someone presses Stop at once, with a hundred thousand pictures known."""
    for number in range(6, 40):  # more than are looked at ahead
        put(pictures / f"{number}.png")
    read_folder(aged(pictures), caches=tmp_path / "scans")
    put(pictures / "0.png", colour="blue")
    steps = FolderScan(aged(pictures), caches=tmp_path / "scans").steps()
    next(steps)
    steps.close()
    opened.clear()
    read_folder(pictures, caches=tmp_path / "scans")
    assert opened == []


def test_files_that_are_gone_are_forgotten(pictures, tmp_path):
    read_folder(aged(pictures), caches=tmp_path / "scans")
    (memory,) = (tmp_path / "scans").iterdir()
    (pictures / "3.png").unlink()
    read_folder(pictures, caches=tmp_path / "scans")
    assert set(json.loads(memory.read_bytes())) == {f"{number}.png" for number in (0, 1, 2, 4, 5)}


def test_the_current_folder_is_remembered_like_any_other(pictures, tmp_path, opened, monkeypatch):
    put(pictures / "b.png")
    put(pictures / "xb.png")
    monkeypatch.chdir(aged(pictures))
    for _ in range(2):
        opened.clear()
        assert len(read_folder(Path(), caches=tmp_path / "scans").images) == 8
    assert opened == []
    (memory,) = (tmp_path / "scans").iterdir()
    assert {"b.png", "xb.png"} < set(json.loads(memory.read_bytes()))


def test_a_memory_that_cannot_be_written_costs_nothing_else(pictures, tmp_path):
    (tmp_path / "scans").write_text("a file where the folder should be")
    assert len(read_folder(aged(pictures), caches=tmp_path / "scans").images) == 6


def test_a_file_that_vanishes_between_listing_and_opening_is_skipped(pictures, monkeypatch):
    real = folder_module.inspect_picture

    def gone(path, background):
        if path.name == "3.png":
            path.unlink()
        return real(path, background)

    monkeypatch.setattr(folder_module, "inspect_picture", gone)
    dataset = read_folder(pictures)
    assert [entry.path.name for entry in dataset.skipped] == ["3.png"]
    assert "no such file" in dataset.skipped[0].reason


def test_lines_are_joined_or_drawn_from(pictures):
    (pictures / "0.txt").write_text("a red cat\nsitting\n\na red cat")
    joined = read_folder(pictures).images[0]
    assert joined.captions == (joined.caption,) and "sitting" in joined.caption
    picked = read_folder(pictures, rules=ReadingRules(caption_lines="pick")).images[0]
    assert picked.captions == ("a red cat", "sitting")


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"smallest_side": 0}, "smallest side is 0"),
        ({"largest_aspect": 0.5}, "largest aspect is 0.5"),
        ({"largest_aspect": float("nan")}, "largest aspect is nan"),
        ({"most_unusable": 20}, "unusable files is 20"),
        ({"background": "no colour"}, "'no colour' is not a colour"),
        ({"caption_lines": "first"}, "caption lines are 'first'"),
    ],
)
def test_rules_that_cannot_be_are_refused(rules, words):
    with pytest.raises(TrainingError) as caught:
        ReadingRules(**rules)
    assert words in str(caught.value)


def test_ten_thousand_pictures_are_scanned_in_flat_memory_and_known_the_second_time(tmp_path):
    """Small noisy pictures, so that the first scan takes seconds; real ones make the second scan's lead larger.
    Processor time is compared: a busy machine must not decide."""
    noise = np.random.default_rng(0).integers(0, 255, (160, 160, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "one.jpg", quality=80)
    data = (tmp_path / "one.jpg").read_bytes()
    for number in range(10_000):
        path = tmp_path / "set" / str(number % 100) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data + number.to_bytes(4, "big"))
    (tmp_path / "set" / "0" / "0.txt").write_text("a cat")
    aged(tmp_path)

    process, resident = psutil.Process(), {}
    started = time.process_time()
    for step in FolderScan(tmp_path / "set", caches=tmp_path / "scans").steps():
        if step.done in (1_000, 10_000):
            resident[step.done] = process.memory_info().rss
    first_seconds = time.process_time() - started

    started = time.process_time()
    again = read_folder(tmp_path / "set", caches=tmp_path / "scans")
    second_seconds = time.process_time() - started
    assert len(again.images) == 10_000 and again.images[0].caption == "a cat"
    assert resident[10_000] - resident[1_000] < 80 * 2**20, "facts are kept of each picture, no pixels"
    assert second_seconds < first_seconds / 12, (first_seconds, second_seconds)  # 30 to 50 on a quiet machine
