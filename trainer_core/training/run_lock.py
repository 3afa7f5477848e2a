"""One process trains a run."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import TrainingError

_LOCK = "run.lock"
_SECONDS_OF_A_LOOK = 1.0
"""For so long the lock is tried: whoever looks whether it is held, holds it for a moment."""
_NO_LOCKS = (NotImplementedError, OSError)
"""Of disks that know no locks, as some that are mounted from a cloud, or that nobody may write to."""


class RunLock:
    """Keeps two processes from training one run. The system lets go of it as soon as its process has ended, in whatever
    way; the file stays."""

    def __init__(self, run_folder: Path) -> None:
        self._run_folder = run_folder
        # a generator may be closed by another thread than began it
        self._lock = FileLock(run_folder / _LOCK, timeout=_SECONDS_OF_A_LOOK, thread_local=False)

    def __enter__(self) -> None:
        self._run_folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            raise _in_use() from None
        except _NO_LOCKS:
            pass

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @classmethod
    def check(cls, run_folder: Path) -> None:
        """Refuse a run that would not get its lock.

        Raises:
            TrainingError: another process trains it.
        """
        if cls.is_held(run_folder):
            raise _in_use()

    @staticmethod
    def is_held(run_folder: Path) -> bool:
        """Whether any process trains the run."""
        path = run_folder / _LOCK
        if not path.is_file():
            return False
        try:
            with FileLock(path, timeout=0):
                return False
        except Timeout:
            return True
        except _NO_LOCKS:
            return False


def _in_use() -> TrainingError:
    return TrainingError("this run is being trained by another process. Wait for it, or stop it.")
