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
            give=lambda run, name="mochi": module("lost").give(name, [run / RESULT]),
            fingerprint=lambda **linked: node.fingerprint_inputs(**{"name": "mochi", "dataset": None} | linked),
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


def test_who_gave_none_of_what_is_lost_answers_as_before(graph, tmp_path):
    graph.give(finished_run(tmp_path / "mochi-1"))
    graph.give(finished_run(tmp_path / "other-1"), name="other")
    before, of_any = graph.fingerprint(), graph.fingerprint(name=None)
    (tmp_path / "other-1" / RESULT).unlink()
    assert graph.fingerprint() == before
    assert graph.fingerprint(name=None) != of_any, "a linked name may be any"


def test_pictures_that_were_deleted_are_kept_anew(tmp_path):
    with nodes_alone() as module:
        node, picture = module("images_to_dataset").ImagesToDataset, tmp_path / "a.png"
        picture.touch()
        module("lost").give("pictures", [picture])
        before = node.fingerprint_inputs(images=None)
        assert node.fingerprint_inputs(images=None) == before
        picture.unlink()
        assert node.fingerprint_inputs(images=None) != before
