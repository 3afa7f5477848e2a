"""Pillow's switch for half pictures, held at "refuse them" while something is decoded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from PIL import ImageFile

Result = TypeVar("Result")

_lock = threading.Lock()
_inside = 0
_outside_value = False


def decode_strictly(decode: Callable[[], Result]) -> Result:
    """Call `decode` so that half a picture is an error, even where another node pack has told Pillow to fill the
    rest with grey.

    The switch (`ImageFile.LOAD_TRUNCATED_IMAGES`) is one for the whole process: threads that decode at the same time
    hold it together, the last one puts it back, and what was decoded while somebody else set it is decoded again.
    """
    while True:
        _hold()
        try:
            result = decode()
            was_strict = not ImageFile.LOAD_TRUNCATED_IMAGES
        finally:
            _release()
        if was_strict:
            return result


def _hold() -> None:
    global _inside, _outside_value
    with _lock:
        if _inside == 0:
            _outside_value = ImageFile.LOAD_TRUNCATED_IMAGES
        _inside += 1
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def _release() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if _inside == 0 and not ImageFile.LOAD_TRUNCATED_IMAGES:
            ImageFile.LOAD_TRUNCATED_IMAGES = _outside_value
