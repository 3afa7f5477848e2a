"""A run that is deleted is trained again when its graph is queued, though nothing of the graph has changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.nodes_alone import nodes_alone
from trainer_core.files import write_json
from trainer_core.training.run import RESULT


@pytest.fixture(params=["train_lora.TrainLora", "train_again.TrainAgain"])
def graph(request: pytest.FixtureRequest) -> Iterator[SimpleNamespace]:
    """What gives a run, and what ComfyUI asks of a node before it answers from its cache."""
    with nodes_alone() as module:
        file, name = request.param.split(".")
        node = getattr(module(file), name)
        yield SimpleNamespace(
            give=module("lost_runs").give,
            fingerprint=lambda: node.fingerprint_inputs(name="mochi", dataset=None),
        )


def finished_run(folder: Path) -> Path:
    write_json(folder / RESULT, {"epochs": []})
    return folder


def test_nothing_runs_again_while_every_run_is_there(graph, tmp_path):
    before = graph.fingerprint()
    graph.give(finished_run(tmp_path / "mochi-1"))
    assert graph.fingerprint() == before


def test_a_run_that_was_deleted_is_asked_for_anew_and_only_once(graph, tmp_path):
    run = finished_run(tmp_path / "mochi-1")
    graph.give(run)
    before = graph.fingerprint()
    (run / RESULT).unlink()
    after = graph.fingerprint()
    assert after != before
    graph.give(finished_run(run))
    assert graph.fingerprint() == after


def test_a_run_may_be_deleted_again(graph, tmp_path):
    seen = []
    for _ in range(3):
        seen.append(graph.fingerprint())
        graph.give(finished_run(tmp_path / "mochi-1"))
        (tmp_path / "mochi-1" / RESULT).unlink()
    assert len(set(seen)) == 3


def test_runs_that_no_graph_was_given_do_not_count(graph, tmp_path):
    before = graph.fingerprint()
    (finished_run(tmp_path / "of-another-day") / RESULT).unlink()
    assert graph.fingerprint() == before
