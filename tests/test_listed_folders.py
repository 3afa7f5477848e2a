"""The folders that nodes list, without ComfyUI."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

PACK = Path(__file__).parents[1]


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """nodes/folders.py alone: nodes/ as a whole needs ComfyUI."""
    for name, path in (("pack", PACK), ("pack.nodes", PACK / "nodes")):
        package = ModuleType(name)
        package.__path__ = [str(path)]
        monkeypatch.setitem(sys.modules, name, package)
    yield importlib.import_module("pack.nodes.folders")
    for name in [name for name in sys.modules if name.startswith("pack.")]:
        monkeypatch.delitem(sys.modules, name)


def test_a_folder_that_may_not_be_looked_into_keeps_no_other_from_being_listed(folders, tmp_path, monkeypatch):
    for name in ("mascot/close", "lost+found/inner", "style"):
        (tmp_path / name).mkdir(parents=True)
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "lost+found":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    listed = folders.list_folders({"input": [tmp_path], "datasets": [tmp_path / "not there"]})
    assert listed == ["input/lost+found", "input/mascot", "input/mascot/close", "input/style"]
