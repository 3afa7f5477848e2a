"""A folder that another node gives to Load Dataset: ComfyUI says None of it until the graph is run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes_alone import nodes_alone

OTHERS = {
    "repeats": 1, "smallest_side": 64, "largest_aspect": 4.0, "background": "white", "transparency_as_mask": False,
    "caption_lines": "all", "most_unusable": 50.0,
}  # fmt: skip


@pytest.fixture
def node(tmp_path: Path) -> Iterator[type]:
    (tmp_path / "mascot").mkdir()
    with nodes_alone() as module:
        load_dataset = module("load_dataset")
        load_dataset.host.picture_roots.return_value = {"input": [tmp_path]}
        yield load_dataset.LoadDataset


def test_it_is_queued(node):
    assert node.validate_inputs(folder=None) is True
    assert node.validate_inputs(folder="input/mascot") is True
    assert "is not a folder inside ComfyUI's input/" in node.validate_inputs(folder="input/none")


@pytest.mark.parametrize("folders", [(None, "none"), ("input/mascot", None), (None, None)])
def test_it_is_read_every_time(node, folders):
    folder, regularisation = folders
    before, after = (
        [node.fingerprint_inputs(folder=folder, regularisation=regularisation, **OTHERS)] for _ in range(2)
    )
    assert before != after


def test_a_chosen_folder_is_read_again_only_when_a_file_in_it_has_changed(node, tmp_path):
    def fingerprint() -> list:
        return node.fingerprint_inputs(folder="input/mascot", regularisation="none", **OTHERS)

    before = fingerprint()
    assert fingerprint() == before
    (tmp_path / "mascot" / "1.txt").write_text("cat", encoding="utf-8")
    assert fingerprint() != before
