"""The folders that nodes list, without ComfyUI."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.nodes_alone import nodes_alone


@pytest.fixture
def folders() -> Iterator[ModuleType]:
    with nodes_alone() as module:
        yield module("folders")


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
