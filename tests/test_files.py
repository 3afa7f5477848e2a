"""Atomic writes and contained paths."""

import os
import stat

import pytest

from trainer_core.errors import TrainingError
from trainer_core.files import contained, file_name, is_within, read_json, write_atomic


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    write_atomic(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(TrainingError, match="No space left"):
        write_atomic(path, b"new and longer")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.bin"]


def test_the_new_file_takes_the_name_in_one_move(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    write_atomic(path, b"old")
    moves = []
    monkeypatch.setattr(os, "replace", lambda old, new: moves.append((open(old, "rb").read(), path.read_bytes(), new)))
    write_atomic(path, b"new")
    assert moves == [(b"new", b"old", path)]


def test_a_full_disk_keeps_the_old_file(tmp_path):
    """With a real limit on file size, in a process of its own."""
    import subprocess
    import sys

    write_atomic(tmp_path / "a.bin", b"old")
    script = (
        "import resource, signal, sys; from pathlib import Path; from trainer_core.files import write_atomic\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_atomic(Path(sys.argv[1]), b'x' * 5000)"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "a.bin"], capture_output=True, text=True)
    assert "TrainingError: cannot write" in done.stderr
    assert (tmp_path / "a.bin").read_bytes() == b"old" and os.listdir(tmp_path) == ["a.bin"]


def test_written_files_can_be_read_by_others_as_the_umask_says(tmp_path):
    before = os.umask(0o022)
    try:
        write_atomic(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


@pytest.mark.parametrize("relative", ["../x", "a/../../x", "/etc/passwd", "a\0b", "link/x", ".."])
def test_a_path_that_leaves_its_root_is_refused(tmp_path, relative):
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(TrainingError, match="is not inside root"):
        contained(root, relative)


def test_a_sibling_with_the_same_start_is_not_within(tmp_path):
    (tmp_path / "input").mkdir()
    (tmp_path / "input_evil").mkdir()
    assert not is_within(tmp_path / "input", tmp_path / "input_evil")
    assert is_within(tmp_path / "input", tmp_path / "input" / "a" / "b")


@pytest.mark.parametrize(
    "name, expected",
    [("mochi", "mochi"), ("a:b?c", "a_b_c"), ("CON", "_CON"), ("aux.txt", "_aux.txt"), (" x. ", "x"), ("é猫", "é猫")],
)
def test_names_are_made_safe_for_every_system(name, expected):
    assert file_name(name) == expected


@pytest.mark.parametrize("name", ["", " . ", "a/b", "a\\b", "../x"])
def test_names_that_name_a_folder_or_nothing_are_refused(name):
    with pytest.raises(TrainingError):
        file_name(name)


def test_bad_json_says_where(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1,\n "b": }')
    with pytest.raises(TrainingError, match="line 2"):
        read_json(tmp_path / "a.json")
