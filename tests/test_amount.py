"""How long a run is, what a step adds up, what is kept, and how a run ends early."""

from __future__ import annotations

import contextlib
import shutil

import pytest
import torch

from tests.training_jobs import digest, prepared, small_job, train
from trainer_core.errors import TrainingError
from trainer_core.training.amount import saves, steps_from, steps_per_epoch
from trainer_core.training.batches import epoch_batches
from trainer_core.training.keeping import check_room
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.trainer import Trainer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("amount")


@pytest.fixture(scope="module")
def dataset(folder):
    """Four pictures x 2 repeats: 8 samples an epoch."""
    return small_job(folder).dataset


def batches_in_all(dataset, plan, lengths):
    """Batches of the whole run; a step has several where gradients are accumulated."""
    total = 0
    for epoch, length in enumerate(lengths):
        total += min(length * plan.accumulation, len(epoch_batches(dataset, plan.batch_size, plan.seed, epoch)))
    return total


def planned(**changes):
    return TrainingPlan.from_json({"batch_size": 2, "epochs": 3, **changes})


@pytest.mark.parametrize(
    ("changes", "lengths"),
    [
        ({}, [4, 4, 4]),
        ({"accumulation": 2}, [2, 2, 2]),
        ({"accumulation": 3}, [2, 2, 2]),
        ({"accumulation": 9}, [1, 1, 1]),
        ({"steps": 4}, [4]),
        ({"steps": 6}, [4, 2]),
        ({"steps": 1}, [1]),
        ({"steps": 5, "accumulation": 3}, [2, 2, 1]),
    ],
)
def test_epochs_or_steps_say_how_long_a_run_is(dataset, changes, lengths):
    assert steps_per_epoch(dataset, planned(**changes)) == lengths


@pytest.mark.parametrize("changes", [{}, {"accumulation": 3}, {"steps": 6}, {"steps": 5, "accumulation": 3}])
@pytest.mark.parametrize("start", [0, 1, 3, 4])
def test_steps_are_the_same_wherever_a_run_goes_on(dataset, changes, start):
    plan = planned(**changes)
    lengths = steps_per_epoch(dataset, plan)
    whole = list(steps_from(dataset, plan, lengths, 0))
    assert list(steps_from(dataset, plan, lengths, start)) == whole[start:]
    assert len(whole) == sum(lengths)
    places = [step.first_batch + place for step in whole for place in range(len(step.batches))]
    assert places == list(range(batches_in_all(dataset, plan, lengths)))


def test_an_epoch_of_steps_is_the_epochs_batches_in_their_order(dataset):
    plan = planned(accumulation=3)
    steps = list(steps_from(dataset, plan, steps_per_epoch(dataset, plan), 0))
    batches = [list(batch) for step in steps if step.epoch == 1 for batch in step.batches]
    assert batches == epoch_batches(dataset, 2, plan.seed, 1)
    assert [len(step.batches) for step in steps if step.epoch == 1] == [3, 1]
    assert [step.is_last_of_epoch for step in steps] == [False, True] * 3


@pytest.mark.parametrize(
    ("saving", "kept"),
    [
        ({"every_epochs": 1}, [(1, 4, "-000001"), (2, 8, "-000002"), (3, 12, "")]),
        ({"every_epochs": 0}, [(3, 12, "")]),
        ({"every_epochs": 0, "every_steps": 5}, [(2, 5, "-step00000005"), (3, 10, "-step00000010"), (3, 12, "")]),
        ({"every_epochs": 2, "every_steps": 8}, [(2, 8, "-000002"), (3, 12, "")]),
        ({"every_epochs": 3, "every_steps": 6}, [(2, 6, "-step00000006"), (3, 12, "")]),
    ],
)
def test_loras_are_kept_by_epochs_and_by_steps_under_kohyas_names(dataset, saving, kept):
    plan = planned(saving=saving)
    assert [(s.epoch, s.step, s.name) for s in saves(plan, steps_per_epoch(dataset, plan))] == kept


def names_of(trainer):
    return sorted(path.name for path in (trainer.run_folder / "epochs").iterdir())


def test_a_run_that_counts_steps_ends_with_them_and_writes_what_it_promised(folder, tmp_path):
    job = small_job(folder, steps=6, saving={"every_epochs": 1, "every_steps": 5})
    result = train(job, tmp_path).result()
    assert [(saved.epoch, saved.step) for saved in result.epochs] == [(1, 4), (2, 5), (2, 6)]
    assert len(result.losses) == 6


def test_only_the_last_few_are_kept_where_the_plan_says_so(folder, tmp_path):
    job = small_job(folder, epochs=4, batch_size=8, saving={"every_epochs": 1, "keep_last": 2})
    trainer = train(job, tmp_path)
    assert names_of(trainer) == ["mochi-000003.safetensors", "mochi.safetensors"]
    assert [saved.epoch for saved in trainer.result().epochs] == [3, 4]
    assert trainer.size().saves == 2


def test_a_run_asked_to_finish_ends_after_its_step_as_a_finished_one(folder, tmp_path):
    job = small_job(folder)
    trainer = Trainer(job, tmp_path)
    with contextlib.closing(trainer.steps()) as steps:
        for report in steps:
            if report.step == 5:
                trainer.run.ask("finish")
    assert report.step == 6 and report.saved
    again = Trainer(job, tmp_path)
    assert again.run.is_finished and list(again.steps()) == []
    assert [(saved.epoch, saved.step) for saved in again.result().epochs] == [(1, 4), (2, 6)]
    assert "finish" not in trainer.run.asked()


def gradients(job, folder, monkeypatch):
    """The clipped gradients of the first step."""
    found = []

    def keep(parameters, limit):
        found.append([p.grad.clone() for p in parameters])
        return torch.tensor(0.0)

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.utils, "clip_grad_norm_", keep)
        steps = Trainer(job, folder).steps()
        next(steps)
        steps.close()
    return found[0]


def test_accumulated_gradients_are_the_mean_over_all_pictures_of_the_step(folder, tmp_path, monkeypatch):
    """A step of three batches of 3, 3 and 2 pictures against those batches alone, weighted by their pictures."""
    job = small_job(folder, batch_size=3, accumulation=3, epochs=1, optimizer={"text_encoder_rate": 0.0})
    together = gradients(job, tmp_path / "together", monkeypatch)
    trainer = prepared(job, tmp_path / "apart")
    learner = trainer.learner
    (step,) = steps_from(job.dataset, job.plan, trainer.lengths, 0)
    assert [len(batch) for batch in step.batches] == [3, 3, 2]
    mean = [torch.zeros_like(p, dtype=torch.float64) for p in learner.parameters]
    for part in learner.draw(step):
        alone = torch.autograd.grad(learner._losses(learner.given(part)).mean(), learner.parameters)
        mean = [m + g.double() * len(part.batch) / 8 for m, g in zip(mean, alone, strict=True)]
    for one, other in zip(together, mean, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-5 * other.abs().max().item())


@pytest.fixture(scope="module")
def accumulating(folder):
    """A job and the LoRAs of an uninterrupted run."""
    job = small_job(folder, batch_size=1, accumulation=3, captions={"shuffle": True}, ema={"decay": 0.9})
    return job, digest(train(job, folder / "accumulating"))


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_an_accumulating_run_resumes_bit_for_bit(accumulating, tmp_path, stop):
    job, straight = accumulating
    train(job, tmp_path, until=stop)
    assert digest(train(job, tmp_path)) == straight


def data_of(lora: bytes) -> bytes:
    """A file without its header, which holds the plan."""
    return lora[8 + int.from_bytes(lora[:8], "little") :]


def short_job(folder, **changes):
    return small_job(folder, epochs=1, **changes)


def learned(job, runs):
    return data_of(train(job, runs).result().file.read_bytes())


@pytest.fixture(scope="module")
def plain(folder):
    return learned(short_job(folder), folder / "plain")


@pytest.mark.parametrize(
    "changes",
    [
        {"noise": {"offset": 0.1, "multires_iterations": 4, "perturbation": 0.1}},
        {"weighting": {"min_snr_gamma": 5.0}},
        {"loss": {"kind": "huber"}},
        {"timesteps": {"first": 500, "sampling": "content"}},
        {"adapter": {"dropout": 0.5}},
        {"adapter": {"kind": "loha"}},
        {"captions": {"caption_dropout": 1.0}},
        {"optimizer": {"lora_plus_ratio": 16.0}},
        {"ema": {"decay": 0.5}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_part_of_the_plan_reaches_the_lora(plain, folder, tmp_path, changes):
    assert learned(short_job(folder, **changes), tmp_path) != plain


def test_memory_that_runs_out_is_answered_once_with_checkpointing_and_changes_nothing(
    plain, folder, tmp_path, monkeypatch
):
    trainer = prepared(short_job(folder), tmp_path)
    learner, real = trainer.learner, trainer.learner._losses
    failures = [torch.OutOfMemoryError("full")]

    def losses(given):
        if given.part.place == 2 and failures:
            raise failures.pop()
        return real(given)

    monkeypatch.setattr(learner, "_losses", losses)
    for _ in trainer.steps():
        pass
    assert data_of(trainer.result().file.read_bytes()) == plain
    assert any("checkpointing" in remark for remark in trainer.remarks)


def test_memory_that_runs_out_again_ends_the_run_with_its_state_kept(folder, tmp_path, monkeypatch):
    trainer = prepared(small_job(folder, epochs=1), tmp_path)
    steps = trainer.steps()
    next(steps)
    monkeypatch.setattr(trainer.learner, "_losses", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("full")))
    with pytest.raises(torch.OutOfMemoryError):
        next(steps)
    assert max(trainer.run.state.glob("*.json")).name == "step-00000001.json"


def test_a_run_that_does_not_fit_on_the_disk_is_refused_before_it_loads_anything(folder, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=1000))
    with pytest.raises(TrainingError, match="MB are free"):
        next(Trainer(small_job(folder), tmp_path).prepare())


def test_what_a_stopped_run_has_written_takes_no_more_room(folder, tmp_path, monkeypatch):
    job = small_job(folder, epochs=8, saving={"every_epochs": 1, "state_every_steps": 2})
    stopped = train(job, tmp_path, until=21)
    each = stopped.size().bytes_each
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=16 * each))
    planned = saves(stopped.plan, stopped.lengths)
    with pytest.raises(TrainingError, match="MB are free"):
        check_room(Trainer(job, tmp_path / "another").run, stopped.size(), planned)
    check_room(stopped.run, stopped.size(), planned)


@pytest.mark.parametrize("field", ["start_from", "merge_first"])
def test_a_lora_that_is_not_there_is_refused_in_one_line(folder, tmp_path, field):
    with pytest.raises(TrainingError, match="there is no LoRA .*gone.safetensors.*Correct"):
        Trainer(small_job(folder, adapter={field: str(tmp_path / "gone.safetensors")}), tmp_path)
