"""A training run inside a node, without ComfyUI."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import pytest

from tests.nodes_alone import nodes_alone


@dataclass
class Place:
    workflow: str | None = None
    node: str = "4"


@pytest.fixture
def running() -> Iterator[ModuleType]:
    with nodes_alone() as module:
        running = module("running")
        running.host.place_of.return_value = Place()
        yield running


def test_a_run_that_a_node_gives_is_looked_after(running, monkeypatch, tmp_path):
    """Or ComfyUI would go on giving it once it is deleted."""
    lora = SimpleNamespace(run_folder=tmp_path / "mochi-1", losses=(0.5,), epochs=(), name="mochi", file=tmp_path)
    monkeypatch.setattr(running, "Trainer", lambda *_, **__: finished_trainer(lora))
    monkeypatch.setattr(running, "plan_warnings", lambda *_: [])
    before = running.lost_runs.count_lost_runs()
    running.train(SimpleNamespace(), None, [], 1)
    assert running.lost_runs.count_lost_runs() > before


def finished_trainer(lora: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(
        run=SimpleNamespace(is_finished=True, folder=lora.run_folder, name="mochi"), run_folder=lora.run_folder,
        total_steps=1, lengths=(1,), plan=None, remarks=["a remark"], result=lambda: lora,
        verdict=lambda: SimpleNamespace(lines=["good"]),
    )  # fmt: skip
