"""Steps asked for before the loss of the one before them is known, as on a GPU: the same run, read one step later."""

from __future__ import annotations

import contextlib
import json
import math
from types import SimpleNamespace

import pytest
import torch

from tests.training_jobs import digest, prepared, small_job, train
from tests.waits import Waits
from trainer_core.errors import TrainingError
from trainer_core.training import learner as learner_module
from trainer_core.training.amount import steps_from
from trainer_core.training.learner import Learner
from trainer_core.training.loop import optimizer_of
from trainer_core.training.optimizer import trained_parameters
from trainer_core.training.reports import StepReport
from trainer_core.training.run import STEP_LOG
from trainer_core.training.step_loss import StepLoss
from trainer_core.training.trainer import Trainer


@pytest.fixture
def ahead(monkeypatch):
    """The learner takes the CPU for a GPU, whose numbers come late."""
    monkeypatch.setattr(learner_module, "is_gpu", lambda device: True)


def logged(trainer):
    path = trainer.result().run_folder / STEP_LOG
    return [json.loads(line) for line in path.read_text().splitlines()]


def step_maker(job, folder, *, is_fp16=False):
    """A trainer's learner and optimizer, and what takes its n-th step."""
    trainer = prepared(job, folder / "runs")
    learner, optimizer = trainer.learner, optimizer_of(trainer.learner, trainer.plan)
    if is_fp16:  # which no CPU trains in
        learner._scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
        learner._scaler.scale(torch.zeros(()))
    steps = list(steps_from(trainer.dataset, trainer.plan, trainer.lengths, 0))
    drawn = [learner.draw(step) for step in steps]
    return learner, optimizer, lambda place: learner.step(drawn[place], optimizer)


def spoil(monkeypatch, *steps, part="loss"):
    """Losses, or only gradients, of these steps (from 0) are not finite."""
    real = Learner._losses

    def losses(learner, given):
        found = real(learner, given)
        if given.part.place not in steps or not torch.is_grad_enabled():
            return found
        if part == "gradient":
            found.register_hook(lambda gradient: gradient * math.nan)
            return found
        return found * math.inf

    monkeypatch.setattr(Learner, "_losses", losses)


PLANS = {
    "measured and saved by epochs": {"validation": {}},
    "accumulated, saved by steps": {
        "batch_size": 1,
        "accumulation": 2,
        "saving": {"every_steps": 3, "state_every_steps": 2},
    },
    "clipped, averaged, decayed": {
        "ema": {"decay": 0.9},
        "optimizer": {"learning_rate": 1e-3, "max_grad_norm": 1e-3, "weight_decay": 0.5},
    },
    "limited": {"adapter": {"max_norm": 0.01}, "optimizer": {"learning_rate": 1e-2}},
}


@pytest.mark.parametrize("name", PLANS)
def test_a_run_ahead_is_the_run_that_waits(tmp_path, monkeypatch, name):
    job = small_job(tmp_path, **PLANS[name])
    waited = train(job, tmp_path / "waited")
    monkeypatch.setattr(learner_module, "is_gpu", lambda device: True)
    went_ahead = train(job, tmp_path / "ahead")
    assert logged(went_ahead) == logged(waited)
    assert digest(went_ahead) == digest(waited)


def test_every_step_is_told_once_and_in_order_one_step_later(tmp_path, monkeypatch, ahead):
    asked_for = 0
    real = Learner.step

    def step(learner, parts, optimizer):
        nonlocal asked_for
        asked_for += 1
        return real(learner, parts, optimizer)

    monkeypatch.setattr(Learner, "step", step)
    job = small_job(tmp_path, saving={"state_every_steps": 0})
    seen = [(told.step, asked_for) for told in Trainer(job, tmp_path / "runs").steps() if isinstance(told, StepReport)]
    assert [step for step, _ in seen] == list(range(1, 9))
    assert [ahead for _, ahead in seen] == [2, 3, 4, 4, 6, 7, 8, 8]  # at the end of an epoch all is read


@pytest.mark.parametrize(
    ("kind", "family", "is_fp16"),
    [
        ("text encoders too", "sdxl", True),
        ("limited", "sd15", False),
        ("accumulated", "sd15", False),
        ("no text encoder", "sd15", False),
    ],
)
def test_a_step_ahead_reads_nothing(tmp_path, monkeypatch, ahead, kind, family, is_fp16):
    plans = {
        "text encoders too": {},
        "limited": {"adapter": {"max_norm": 0.01}},
        "accumulated": {"batch_size": 1, "accumulation": 2},
        "no text encoder": {"optimizer": {"learning_rate": 1e-3, "text_encoder_rate": 0.0}},
    }
    job = small_job(tmp_path, family=family, **plans[kind])
    _, _, take = step_maker(job, tmp_path, is_fp16=is_fp16)
    take(0)
    with Waits(monkeypatch) as waits:
        loss = take(1)
        assert not waits.found
        assert loss.value > 0 and loss.is_finite
        assert waits.found == {"fetched": 1}


@pytest.mark.parametrize("part", ["loss", "gradient"])
@pytest.mark.parametrize("kind", ["fp32", "fp16", "limited"])
def test_a_step_that_is_not_finite_moves_no_bit(tmp_path, monkeypatch, ahead, kind, part):
    """Neither of weights nor of averages, in the first step and later; the step after it moves all."""
    optimizer = {"learning_rate": 1e-2, "weight_decay": 0.5, "max_grad_norm": 0.0}
    job = small_job(tmp_path, optimizer=optimizer, adapter={"max_norm": 0.01} if kind == "limited" else {})
    spoil(monkeypatch, 0, 2, part=part)
    learner, optimizer, take = step_maker(job, tmp_path, is_fp16=kind == "fp16")

    def bits():
        kept = [value for weight in trained_parameters(optimizer) for value in optimizer.state[weight].values()]
        return [value.detach().numpy().tobytes() for value in [*learner.parameters, *kept]]

    seen = [bits()]
    for place in range(4):
        take(place)
        seen.append(bits())
    weights = len(learner.parameters)
    assert seen[0][:weights] == seen[1][:weights]
    assert all(one != other for one, other in zip(seen[1][:weights], seen[2][:weights], strict=True))
    assert seen[2] == seen[3]
    assert seen[3] != seen[4] and all(weight.isfinite().all() for weight in learner.parameters)


@pytest.mark.parametrize("part", ["loss", "gradient"])
@pytest.mark.parametrize("steps", [(0,), (1, 4)], ids=str)
def test_what_is_not_finite_leaves_weights_and_optimizer_as_where_it_is_waited_for(tmp_path, monkeypatch, steps, part):
    """With momentum and weight decay, which would move weights without any gradient."""
    plan = {"optimizer": {"learning_rate": 1e-2, "weight_decay": 0.5, "max_grad_norm": 0.0, "text_encoder_rate": 0.0}}
    job = small_job(tmp_path, **plan)
    spoil(monkeypatch, *steps, part=part)
    waited = train(job, tmp_path / "waited")
    monkeypatch.setattr(learner_module, "is_gpu", lambda device: True)
    went_ahead = train(job, tmp_path / "ahead")
    bad = [entry["step"] - 1 for entry in logged(went_ahead) if not math.isfinite(entry["loss"])]
    assert bad == (list(steps) if part == "loss" else [])
    assert digest(went_ahead) == digest(waited)


def test_losses_that_are_never_finite_still_end_a_run_that_can_be_gone_on_with(tmp_path, monkeypatch, ahead):
    spoil(monkeypatch, *range(1, 9))
    job = small_job(tmp_path)
    with pytest.raises(TrainingError, match="not a finite number 3 times in 4 steps, the last time at step 4"):
        train(job, tmp_path / "runs")
    monkeypatch.undo()
    train(job, tmp_path / "runs")


def test_a_run_that_is_stopped_goes_on_as_if_it_had_not_been(tmp_path, ahead):
    job = small_job(tmp_path, ema={"decay": 0.9}, saving={"state_every_steps": 3})
    whole = train(job, tmp_path / "whole")
    for until in (1, 4, 6):  # within an epoch, at its end, where a state is due
        train(job, tmp_path / "stopped", until=until)
    stopped = train(job, tmp_path / "stopped")
    assert logged(stopped) == logged(whole)
    assert digest(stopped) == digest(whole)


@pytest.mark.parametrize("when", [2, 4], ids=["within an epoch", "at its end"])
def test_an_interrupt_that_comes_while_a_loss_is_waited_for_loses_no_step(tmp_path, monkeypatch, ahead, when):
    job = small_job(tmp_path, ema={"decay": 0.9}, saving={"state_every_steps": 0})
    whole = train(job, tmp_path / "whole")
    reads, real = 0, StepLoss._read.func

    def read(loss):
        nonlocal reads
        reads += 1
        if reads == when:
            raise KeyboardInterrupt
        return real(loss)

    with monkeypatch.context() as patch:
        patch.setattr(StepLoss, "_read", property(read))
        with pytest.raises(KeyboardInterrupt):
            train(job, tmp_path / "stopped")
    stopped = train(job, tmp_path / "stopped")
    assert logged(stopped) == logged(whole)
    assert digest(stopped) == digest(whole)


def test_a_log_that_cannot_be_written_loses_no_state(tmp_path, monkeypatch, ahead):
    job = small_job(tmp_path, saving={"state_every_steps": 0})
    whole = train(job, tmp_path / "whole")

    def full_disk(path, how, **settings):
        if path.name == "metrics.jsonl" and how == "a":
            raise OSError(28, "No space left on device")
        return open(path, how, **settings)

    with monkeypatch.context() as patch:
        patch.setattr("trainer_core.files.open", full_disk, raising=False)
        with pytest.raises(TrainingError, match="cannot write .*metrics.jsonl .*No space left"):
            train(job, tmp_path / "stopped")
    (run,) = (tmp_path / "stopped").glob("mochi-*")
    assert [path.stem for path in (run / "state").glob("*.json")] == ["step-00000002"]
    assert digest(train(job, tmp_path / "stopped")) == digest(whole)


@pytest.mark.parametrize("request_", ["sample", "save", "stop", "finish"])
def test_what_is_asked_for_is_answered(tmp_path, ahead, request_):
    job = small_job(
        tmp_path, saving={"state_every_steps": 0},
        samples={"prompts": "mochi", "every_epochs": 0, "width": 64, "height": 64, "steps": 1},
    )  # fmt: skip
    trainer = Trainer(job, tmp_path / "runs")
    told = []
    with pytest.raises(TrainingError, match="asked to stop") if request_ == "stop" else contextlib.nullcontext():
        for report in trainer.steps():
            told.append(report)
            if isinstance(report, StepReport) and report.step == 1:
                trainer.run.ask(request_)
    steps = [report.step for report in told if isinstance(report, StepReport)]
    assert steps == {"stop": [1, 2], "finish": [1, 2, 3]}.get(request_, list(range(1, 9)))
    lines = (trainer.run.folder / STEP_LOG).read_text().splitlines()
    assert len(lines) == {"stop": 2, "finish": 3}.get(request_, 8)
    saved = [report.step for report in told if isinstance(report, StepReport) and report.saved]
    assert saved == {"save": [3, 4, 8], "stop": [], "finish": [3]}.get(request_, [4, 8])


@pytest.mark.parametrize("name", ["AdamW8bit", "Lion", "Adafactor"])
def test_what_cannot_leave_out_a_step_by_itself_is_waited_for(tmp_path, ahead, name):
    learner, optimizer, _ = step_maker(small_job(tmp_path, optimizer={"name": name}), tmp_path)
    assert not learner.is_ahead(optimizer)
    assert not learner.is_ahead(torch.optim.AdamW(learner.parameters, foreach=True))
    assert not learner.is_ahead(torch.optim.SGD(learner.parameters))


def test_several_processes_agree_on_their_losses_and_so_wait(tmp_path, ahead):
    learner, optimizer, _ = step_maker(small_job(tmp_path), tmp_path)
    assert learner.is_ahead(optimizer)
    learner.team = SimpleNamespace(size=2)
    assert not learner.is_ahead(optimizer)


def test_a_cpu_is_waited_for(tmp_path):
    learner, optimizer, _ = step_maker(small_job(tmp_path), tmp_path)
    assert not learner.is_ahead(optimizer)
