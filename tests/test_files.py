"""Atomic writes and contained paths."""

import codecs
import json
import os
import stat
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from trainer_core.errors import TrainingError
from trainer_core.files import (
    append,
    check_folder_writable,
    clear_unfinished,
    contained,
    digest,
    expanded,
    file_name,
    is_within,
    read_json,
    read_text,
    write_atomic,
    write_json,
)

ROOT = Path(__file__).parents[1]


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


def test_what_a_killed_writer_left_goes_an_hour_later_and_nothing_else(tmp_path):
    killed = (
        "import os, sys; from pathlib import Path; from trainer_core.files import write_pieces\n"
        "def pieces():\n"
        "    yield b'half'\n"
        "    os._exit(9)\n"
        "write_pieces(Path(sys.argv[1]), pieces())"
    )
    for name in ("old/mochi-000004.safetensors", "new/mochi-000008.safetensors"):
        done = subprocess.run([sys.executable, "-c", killed, str(tmp_path / name)], cwd=ROOT, check=False)
        assert done.returncode == 9
    (left,) = (tmp_path / "old").iterdir()
    others = [tmp_path / "old" / name for name in (".hidden.tmp", "a.0123abcd.tmp", ".a.0123abcd.tmp.png", "lora.tmp")]
    for path in others:
        path.write_bytes(b"somebody's")
    for path in (left, *others):
        os.utime(path, (0, time.time() - 3700))
    clear_unfinished(tmp_path)
    assert sorted((tmp_path / "old").iterdir()) == sorted(others)
    assert len(list((tmp_path / "new").iterdir())) == 1, "perhaps somebody still writes it"
    clear_unfinished(tmp_path / "missing")


def test_a_full_disk_keeps_the_old_file(tmp_path):
    """With a real limit on file size, in a process of its own."""
    write_atomic(tmp_path / "a.bin", b"old")
    script = (
        "import resource, signal, sys; from pathlib import Path; from trainer_core.files import write_atomic\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_atomic(Path(sys.argv[1]), b'x' * 5000)"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "a.bin"], capture_output=True, text=True)
    assert "TrainingError: cannot write" in done.stderr
    assert (tmp_path / "a.bin").read_bytes() == b"old" and os.listdir(tmp_path) == ["a.bin"]


def test_a_file_that_somebody_reads_is_replaced_once_windows_lets_it(tmp_path, monkeypatch):
    """The page and virus scanners hold files open, for a moment."""
    write_atomic(tmp_path / "a", b"old")
    real, refusals = os.replace, [PermissionError(13, "The process cannot access the file")] * 3

    def refusing(old, new):
        if refusals:
            raise refusals.pop()
        real(old, new)

    monkeypatch.setattr(os, "replace", refusing)
    write_atomic(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new" and not refusals


def test_a_log_that_somebody_reads_is_added_to_once_windows_lets_it(tmp_path, monkeypatch):
    real, refusals = open, [PermissionError(13, "The process cannot access the file")] * 3

    def refusing(path, *more, **settings):
        if refusals:
            raise refusals.pop()
        return real(path, *more, **settings)

    append(tmp_path / "log", "one\n")
    monkeypatch.setattr("trainer_core.files.open", refusing, raising=False)
    append(tmp_path / "log", "two\n")
    assert (tmp_path / "log").read_text() == "one\ntwo\n" and not refusals


def test_a_log_that_cannot_be_added_to_says_why(tmp_path):
    (tmp_path / "log").mkdir()
    with pytest.raises(TrainingError, match=r"cannot write .*log \(4 bytes\): Is a directory. Free some disk space"):
        append(tmp_path / "log", "one\n")


def test_a_folder_is_writable_though_its_trial_is_held_open(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "in use")))
    check_folder_writable(tmp_path / "runs")


def test_a_file_that_stays_in_use_is_said_to_be(tmp_path, monkeypatch):
    write_atomic(tmp_path / "a", b"old")
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(TrainingError, match="Permission denied"):
        write_atomic(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


def test_files_that_others_make_meanwhile_keep_the_umask(tmp_path):
    """The umask belongs to the whole process: it must not be moved even for a moment."""
    is_over, modes = threading.Event(), set()

    def make_files():
        while not is_over.is_set():
            os.close(os.open(tmp_path / "other", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            modes.add(stat.S_IMODE((tmp_path / "other").stat().st_mode))
            os.unlink(tmp_path / "other")

    before = os.umask(0o027)
    other = threading.Thread(target=make_files)
    try:
        other.start()
        for _ in range(300):
            write_atomic(tmp_path / "a", b"")
    finally:
        is_over.set()
        other.join()
        os.umask(before)
    assert modes == {0o640}


@pytest.mark.parametrize("name", ["猫" * 80 + ".json", "🐈" * 60 + ".json"], ids=["猫", "🐈"])
def test_names_as_long_as_a_disk_takes_are_written(tmp_path, name):
    write_json(tmp_path / name, {})
    assert os.listdir(tmp_path) == [name]


def test_json_is_written_as_one_text_would_be_and_never_is_one(tmp_path):
    value = {"images": [{"name": f"猫 {n}", "box": (1, 2.5, None), "none": []} for n in range(20_000)], "empty": {}}
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    tracemalloc.start()
    write_json(tmp_path / "a.json", value)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "a.json").read_bytes() == text.encode()
    assert peak < len(text.encode())


def test_json_that_cannot_be_made_leaves_the_old_file_and_no_other(tmp_path):
    write_json(tmp_path / "a.json", [1])
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", [*range(50_000), object()])
    assert read_json(tmp_path / "a.json") == [1] and os.listdir(tmp_path) == ["a.json"]


def test_names_in_another_encoding_come_back_from_json(tmp_path):
    value = {os.fsdecode(b"\xc3\xa8\xb2\xe2.png"): "🐈"}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert digest(value) != digest({os.fsdecode(b"\xc3\xa8\xb2\xe3.png"): "🐈"})


def test_written_files_can_be_read_by_others_as_the_umask_says(tmp_path):
    before = os.umask(0o022)
    try:
        write_atomic(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


def test_a_tilde_is_the_users_folder_only_where_it_is_one(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert expanded("~/a.png") == tmp_path / "a.png"
    assert expanded("~no such user/a.png") == Path("~no such user/a.png")


@pytest.mark.parametrize("relative", ["../x", "a/../../x", "/etc/passwd", "a\0b", "link/x", "..", "a\ud800"])
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
    [
        ("mochi", "mochi"),
        ("a:b?c", "a_b_c"),
        ("CON", "_CON"),
        ("aux.txt", "_aux.txt"),
        (" x. ", "x"),
        ("é猫", "é猫"),
        ("\ud83d", "_"),
    ],
)
def test_names_are_made_safe_for_every_system(name, expected):
    assert file_name(name) == expected


@pytest.mark.parametrize(
    "name", ["猫" * 120, "🐈" * 120, "a" * 119 + " b", "a" * 119 + ".b", "猫" * 59 + "a. b"], ids=ascii
)
def test_a_long_name_is_cut_where_every_disk_takes_it(tmp_path, name):
    cut = file_name(name)
    assert name.startswith(cut) and len(cut) >= 45 and cut == cut.strip(" .")
    (tmp_path / f"{cut}-0123456789ab-step00001000-of-00002000.safetensors").touch()


@pytest.mark.parametrize("name", ["", " . ", "a/b", "a\\b", "../x"])
def test_names_that_name_a_folder_or_nothing_are_refused(name):
    with pytest.raises(TrainingError):
        file_name(name)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_text_is_read_as_editors_and_shells_of_windows_write_it(tmp_path, encoding):
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    (tmp_path / "a.json").write_bytes(mark + '{\r\n"name": "猫"}\r\n'.encode(encoding))
    assert read_text(tmp_path / "a.json") == '{\n"name": "猫"}\n'
    assert read_json(tmp_path / "a.json") == {"name": "猫"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("训练".encode("gb18030"), "is not UTF-8 text. Save it as UTF-8"),
        (codecs.BOM_UTF16_LE + b"\x00", "is not UTF-8 text"),
    ],
)
def test_text_in_another_encoding_is_to_be_saved_anew(tmp_path, data, words):
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(TrainingError, match=words):
        read_text(tmp_path / "a.txt")


@pytest.mark.parametrize("name", ["missing", "", "a\0b", "x" * 5000], ids=lambda name: repr(name)[:10])
def test_what_cannot_be_read_is_told_in_words(tmp_path, name):
    with pytest.raises(TrainingError, match="^cannot read [^:]+: [^:]+\\.$"):
        read_text(tmp_path / name)


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 100_000], ids=["digits", "brackets"])
def test_json_beyond_measure_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(TrainingError, match="is not valid JSON"):
        read_json(tmp_path / "a.json")


def test_bad_json_says_where(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1,\n "b": }')
    with pytest.raises(TrainingError, match="line 2"):
        read_json(tmp_path / "a.json")
