"""Modules of nodes/ without ComfyUI."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

_PACK = Path(__file__).parents[1]


class Interrupted(BaseException):
    """In the place of what ComfyUI raises where the user pressed Stop."""


@contextmanager
def nodes_alone() -> Iterator[Callable[[str], ModuleType]]:
    """Gives what imports a module of nodes/ by its name; all that comes from ComfyUI is made up, and host is a mock."""
    for name, path in (("pack", _PACK), ("pack.nodes", _PACK / "nodes")):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(path)]
    api, latest = ModuleType("comfy_api"), ModuleType("comfy_api.latest")
    latest.io, latest.ui = MagicMock(ComfyNode=type("ComfyNode", (), {})), MagicMock()
    sys.modules |= {api.__name__: api, latest.__name__: latest, "pack.nodes.host": MagicMock(Interrupted=Interrupted)}
    try:
        yield lambda name: importlib.import_module(f"pack.nodes.{name}")
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] in ("pack", "comfy_api")]:
            del sys.modules[name]
