"""What is told of a run while it is trained."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from trainer_core.progress import StageReport
from trainer_core.runs import live_run
from trainer_core.runs.live_run import LiveRun
from trainer_core.training.reports import StepReport

RUN = SimpleNamespace(folder=Path("runs/mochi-1"), name="mochi")


@dataclass
class Watched:
    """A live run with a clock that is turned by hand."""

    live: LiveRun | None = None
    now: float = 100.0
    told: list[dict] = field(default_factory=list)

    def step(self, number: int, *, seconds: float = 0.01, loss: float = 0.5, epoch: int = 1, saved: bool = False):
        self.now += seconds
        path = Path("x.safetensors") if saved else None
        self.live.reached_step(
            StepReport(step=number, total_steps=1000, epoch=epoch, loss=loss, learning_rate=1e-4, saved=path)
        )

    def stage(self, name: str, done: int, total: int):
        self.now += 0.01
        self.live.reached_stage(StageReport(stage=name, done=done, total=total))


@pytest.fixture
def watched(monkeypatch):
    made = Watched()
    monkeypatch.setattr(live_run.time, "perf_counter", lambda: made.now)
    made.live = LiveRun(RUN, total_steps=1000, epochs=10, tell=made.told.append, memory=lambda: 512)
    return made


def test_the_first_step_is_told_at_once_and_then_twice_a_second_at_most(watched):
    for number in range(1, 301):
        watched.step(number)
    assert len(watched.told) == 6  # in three seconds
    assert [event["step"] for event in watched.told[:3]] == [1, 51, 101]


def test_a_stage_that_begins_is_told_at_once(watched):
    for name in ("estimating memory", "loading the base model", "encoding pictures"):
        watched.stage(name, 0, 4)
        watched.stage(name, 1, 4)
    assert [(event["stage"], event["done"]) for event in watched.told] == [
        ("estimating memory", 0), ("loading the base model", 0), ("encoding pictures", 0),
    ]  # fmt: skip


def test_every_step_is_told_once(watched):
    for number in range(1, 201):
        watched.step(number, seconds=0.05)
    watched.live.end("finished")
    assert [point[0] for event in watched.told for point in event["points"]] == list(range(1, 201))
    assert watched.told[0]["points"] == [(1, 0.5, 1e-4)]


def test_of_very_fast_steps_few_are_told_the_newest_among_them(watched):
    for number in range(1, 1202):
        watched.step(number, seconds=0.0005)
    points = watched.told[1]["points"]
    assert len(points) <= 50 and points[-1][0] == watched.told[1]["step"]
    assert points == sorted(points)


def test_losses_that_are_not_finite_are_told_as_none(watched):
    watched.step(1, loss=math.nan)
    json.dumps(watched.told, allow_nan=False)
    assert watched.told[0]["points"] == [(1, None, 1e-4)]


def test_how_fast_and_how_long_yet_is_told_once_two_steps_are_known(watched):
    watched.stage("encoding pictures", 3, 4)
    assert (watched.told[0]["stage"], watched.told[0]["done"], watched.told[0]["total"]) == ("encoding pictures", 3, 4)
    assert watched.told[0]["seconds_per_step"] is None and watched.told[0]["seconds_left"] is None
    for number in range(1, 5):
        watched.step(number, seconds=2)
    assert watched.told[-1]["seconds_per_step"] == pytest.approx(2)
    assert watched.told[-1]["seconds_left"] == pytest.approx(2 * 996)
    assert watched.told[-1]["memory_mb"] == 512


def test_the_time_of_samples_is_not_that_of_steps(watched):
    for number in range(1, 4):
        watched.step(number, seconds=1)
    watched.stage("drawing sample 1 of 1", 1, 20)
    watched.step(4, seconds=60)
    watched.step(5, seconds=1)
    assert watched.live.place()["seconds_per_step"] == pytest.approx(1)


def test_what_the_page_should_read_again_is_told_once(watched):
    watched.step(1)
    assert watched.told[-1]["changed"] == ["validation"]  # the base model was measured before
    watched.step(2, seconds=1, saved=True)
    assert watched.told[-1]["changed"] == ["saves"]
    watched.live.has_drawn()
    watched.live.has_remarked(["one"])
    watched.step(3, seconds=1)
    assert watched.told[-1]["changed"] == ["remarks", "samples"] and watched.live.remarks == ("one",)
    watched.step(4, seconds=1)
    assert watched.told[-1]["changed"] == []
    watched.step(5, seconds=1, epoch=2)
    assert watched.told[-1]["changed"] == ["validation"]


@pytest.mark.parametrize("state", ["finished", "stopped", "failed"])
def test_the_end_is_told_at_once_with_all_that_is_left(watched, state):
    watched.step(1)
    watched.step(2)
    watched.live.end(state)
    assert [event["state"] for event in watched.told] == ["training", state]
    assert watched.told[-1]["points"] == [(2, 0.5, 1e-4)]
    assert watched.told[-1]["changed"] == ["remarks", "samples", "saves", "validation", "verdict"]
    assert (watched.told[-1]["run"], watched.told[-1]["name"]) == ("mochi-1", "mochi")


def test_a_step_is_told_of_in_microseconds():
    live = LiveRun(RUN, total_steps=10_000, epochs=1, tell=lambda event: None, memory=lambda: 0)
    reports = [StepReport(step=n, total_steps=10_000, epoch=1, loss=0.5, learning_rate=1e-4) for n in range(1, 10_001)]
    start = time.process_time()
    for report in reports:
        live.reached_step(report)
    assert (time.process_time() - start) / len(reports) < 50e-6
