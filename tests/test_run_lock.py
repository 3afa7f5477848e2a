"""One process trains a run, and a lock goes with its process."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest
from filelock import FileLock

from trainer_core.errors import TrainingError
from trainer_core.training.run_lock import RunLock

HOLD = """
import sys, time
from pathlib import Path
from trainer_core.training.run_lock import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process, which holds the lock of the run in `tmp_path`."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_lock_is_held_by_one_process(holder, tmp_path):
    assert RunLock.is_held(tmp_path)
    with pytest.raises(TrainingError, match="being trained by another process"), RunLock(tmp_path):
        pass


def test_a_killed_process_holds_nothing(holder, tmp_path):
    holder.kill()
    holder.wait()
    assert not RunLock.is_held(tmp_path)
    with RunLock(tmp_path):
        assert RunLock.is_held(tmp_path)  # of this process too
    assert not RunLock.is_held(tmp_path)


def test_whose_number_is_in_the_file_does_not_matter(tmp_path):
    """Numbers of processes come again: after a restart, the one that is written there may be anyone's."""
    (tmp_path / "run.lock").write_text("1")
    assert not RunLock.is_held(tmp_path)


def test_looking_makes_no_file(tmp_path):
    assert not RunLock.is_held(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("problem", [NotImplementedError("no flock here"), OSError(errno.EOPNOTSUPP, "not supported")])
def test_a_disk_without_locks_is_trained_on(tmp_path, monkeypatch, problem):
    monkeypatch.setattr(FileLock, "acquire", lambda *_, **__: (_ for _ in ()).throw(problem))
    with RunLock(tmp_path):
        (tmp_path / "run.lock").touch()
        assert not RunLock.is_held(tmp_path)
