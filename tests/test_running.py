"""A training run inside a node, without ComfyUI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import pytest

from tests.nodes_alone import Interrupted, nodes_alone
from trainer_core.errors import TrainingError
from trainer_core.training.run import Run


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


@pytest.mark.parametrize("ending", [None, Interrupted, TrainingError, MemoryError])
def test_what_a_run_was_asked_for_does_not_come_over_its_next_attempt(running, ending, tmp_path):
    """Nothing is left also where it failed while it was prepared, before a step that could have answered."""
    run = Run.__new__(Run)
    run.folder = tmp_path
    live = SimpleNamespace(run=run, end=lambda end: None)
    with suppress(BaseException), running._known_as_now(live):
        run.ask("finish")
        if ending:
            raise ending
    assert run.asked() == frozenset() and running.run_in_training() is None


def test_what_another_process_was_asked_for_is_left_to_it(running, monkeypatch, tmp_path):
    """It trains the run, so that this one's preparation was refused."""
    run = Run.__new__(Run)
    run.folder = tmp_path
    run.ask("finish")
    monkeypatch.setattr(running.RunLock, "is_held", staticmethod(lambda folder: folder == tmp_path))
    with suppress(TrainingError), running._known_as_now(SimpleNamespace(run=run, end=lambda end: None)):
        raise TrainingError("in use")
    assert run.asked() == {"finish"}


def test_a_run_that_a_node_gives_is_looked_after(running, monkeypatch, tmp_path):
    """Or ComfyUI would go on giving it once it is deleted."""
    lora = SimpleNamespace(run_folder=tmp_path / "mochi-1", losses=(0.5,), epochs=(), name="mochi", file=tmp_path)
    monkeypatch.setattr(running, "Trainer", lambda *_, **__: finished_trainer(lora))
    monkeypatch.setattr(running, "plan_warnings", lambda *_: [])
    before = running.lost.count_lost("mochi")
    running.train(SimpleNamespace(), SimpleNamespace(name="mochi"), [], 1)
    assert running.lost.count_lost("mochi") > before


def finished_trainer(lora: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(
        run=SimpleNamespace(is_finished=True, folder=lora.run_folder, name="mochi"), run_folder=lora.run_folder,
        total_steps=1, lengths=(1,), plan=None, remarks=["a remark"], result=lambda: lora,
        verdict=lambda: SimpleNamespace(lines=["good"]),
    )  # fmt: skip
