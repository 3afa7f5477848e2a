"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

_PAUSE = 0.05
"""Seconds."""


def _sleep() -> None:
    time.sleep(_PAUSE)


def wait_until(condition: Callable[[], Any], seconds: float = 400, pause: Callable[[], None] = _sleep) -> Any:
    """What the condition gives, once that is true.

    Raises:
        AssertionError: it was not true within that time.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        pause()
    return found
