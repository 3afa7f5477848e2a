"""Runs that are measured on their way: when, the same after a stop, without changing them, and what is said of them."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from dataclasses import replace

import pytest
import torch

from tests.training_jobs import prepared, small_job, train, write_pictures
from trainer_core.crop.crop import crop_dataset
from trainer_core.crop.rules import CropRules
from trainer_core.dataset.folder import read_folder
from trainer_core.errors import TrainingError
from trainer_core.progress import StageReport
from trainer_core.runs.saves import BEST, choose_kept
from trainer_core.training.best import best_epoch
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.reports import SavedEpoch, StepReport, TrainedLora
from trainer_core.training.trainer import Trainer
from trainer_core.training.validation import Validation
from trainer_core.training.validation_report import ValidationReport, append_report


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("judged")


MEASURED = {"validation": {}}


def larger_job(folder, **changes):
    """A job on ten pictures: enough to hold some out."""
    job = small_job(folder, **changes)
    dataset = read_folder(write_pictures(folder / "ten", 10, seed=4))
    return job.__class__(
        base_model=job.base_model,
        dataset=crop_dataset(dataset, CropRules(width=64, height=64, method="center")),
        plan=job.plan,
        name="mochi",
    )


def measured(trainer):
    lines = (trainer.run_folder / "validation.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def data_digest(trainer):
    data = trainer.result().file.read_bytes()
    return hashlib.sha256(data[8 + int.from_bytes(data[:8], "little") :]).hexdigest()


def measured_epochs(trainer):
    return [(report["epoch"], report["step"]) for report in measured(trainer)]


def test_a_run_is_measured_after_each_epoch_the_first_time_with_the_base_model(folder, tmp_path):
    trainer = Trainer(small_job(folder, **MEASURED), tmp_path)
    steps = trainer.steps()
    next(report for report in steps if isinstance(report, StepReport))
    assert not (trainer.run_folder / "validation.jsonl").read_text(), "no run waits for it before its first step"
    list(steps)
    assert measured_epochs(trainer) == [(0, 0), (1, 4), (2, 8)]
    assert all(len(report["per_picture"]) == 4 and report["held_out_loss"] is None for report in measured(trainer))


@pytest.mark.parametrize("kind", ["lora", "dora", "loha", "lokr", "oft"])
def test_the_base_model_is_measured_as_it_was_before_the_first_step(folder, tmp_path, kind):
    job = small_job(folder, adapter={"kind": kind}, epochs=1, **MEASURED)
    trainer = prepared(job, tmp_path / "untrained")
    judge, learner = trainer._judge, trainer.learner
    judge.begin(learner, 0)
    list(judge._measure(learner, 1, 0))
    (untrained,), (base, trained) = measured(trainer), measured(train(job, tmp_path / "trained"))
    assert base["per_picture"] == pytest.approx(untrained["per_picture"], rel=1e-6)
    assert trained["per_picture"] != pytest.approx(base["per_picture"], rel=1e-6)


def test_what_a_run_starts_from_is_measured_before_its_first_step(folder, tmp_path):
    start = train(small_job(folder, optimizer={"learning_rate": 1e-2}, epochs=1, **MEASURED), tmp_path / "start")
    job = small_job(folder, adapter={"start_from": str(start.result().file)}, epochs=1, **MEASURED)
    trainer = train(job, tmp_path / "further")
    assert measured_epochs(trainer) == [(0, 0), (1, 4)]
    assert measured(trainer)[0]["per_picture"] == pytest.approx(measured(start)[-1]["per_picture"], rel=1e-2)


@pytest.mark.parametrize("rate", [0.0, 1e-3], ids=["text encoder frozen", "text encoder trained"])
def test_measuring_changes_nothing_in_what_is_learned(folder, tmp_path, rate):
    plan = {"optimizer": {"learning_rate": 1e-3, "text_encoder_rate": rate}, "adapter": {"dropout": 0.2}}
    with_it = train(small_job(folder, **plan, **MEASURED), tmp_path / "with")
    without = train(small_job(folder, **plan), tmp_path / "without")
    assert data_digest(with_it) == data_digest(without)
    assert not (without.run_folder / "validation.jsonl").exists()


@pytest.fixture(scope="module")
def shuffled(folder):
    """A job and the measurements of an uninterrupted run."""
    job = small_job(folder, captions={"shuffle": True}, **MEASURED)
    return job, measured(train(job, folder / "shuffled"))


@pytest.mark.parametrize("stop", [2, 4, 6])
def test_a_run_that_was_stopped_has_the_same_measurements(shuffled, tmp_path, stop):
    job, straight = shuffled
    train(job, tmp_path, until=stop)
    assert measured(train(job, tmp_path)) == straight


def test_held_out_pictures_are_measured_and_never_trained(folder, tmp_path):
    trainer = train(larger_job(folder, validation={"held_out_share": 0.2}), tmp_path)
    assert len(trainer.dataset.images) == 8 and "2 of 10 pictures" in trainer.remarks[0]
    last = measured(trainer)[-1]
    assert len(last["per_held_out"]) == 2 and len(last["per_picture"]) == 8
    assert not last["per_held_out"].keys() & last["per_picture"].keys()
    assert last["held_out_loss"] > 0
    trained = {trainer.dataset.images[index].path.name for index, _ in trainer_latents(trainer)}
    assert not trained & {name.rpartition("/")[2] for name in last["per_held_out"]}


def trainer_latents(trainer):
    again = prepared(trainer.job, trainer.run_folder.parent / "again")
    return list(again.learner._draws._latents)


def test_a_finished_run_has_a_verdict_in_words(folder, tmp_path):
    found = train(larger_job(folder, epochs=3, validation={"held_out_share": 0.2}), tmp_path).verdict()
    assert found.kind in ("underfit", "good", "overfit") and found.lines


def test_a_run_that_was_not_measured_says_so(folder, tmp_path):
    trainer = train(small_job(folder, epochs=1), tmp_path)
    assert trainer.verdict().kind == "not measured"


def test_a_run_ended_early_is_measured_at_its_end(folder, tmp_path):
    trainer = Trainer(small_job(folder, epochs=4, **MEASURED), tmp_path)
    with contextlib.closing(trainer.steps()) as steps:
        for report in steps:
            if isinstance(report, StepReport) and report.step == 5:
                trainer.run.ask("finish")
    assert measured_epochs(trainer) == [(0, 0), (1, 4), (2, 6)]


IN_THE_PLACE_OF_WHAT_TRAINS = {
    "averages": {"ema": {"decay": 0.9}},
    "the average of a path": {"optimizer": {"name": "AdamWScheduleFree", "learning_rate": 1e-3}},
}


@pytest.mark.parametrize("what", IN_THE_PLACE_OF_WHAT_TRAINS)
def test_a_run_stopped_in_each_of_its_measurements_is_the_run_that_was_not(folder, tmp_path, what):
    """The last one is due only because the run ends."""
    plan = IN_THE_PLACE_OF_WHAT_TRAINS[what] | {"epochs": 3}
    draws = what == "averages"
    job = small_job(folder, **plan, validation={"every_epochs": 2, "two_prompts": draws})
    straight = train(job, tmp_path / "straight")
    assert measured_epochs(straight) == [(0, 0), (2, 8), (3, 12)]
    of_one = 4 + 1  # pictures, and one at the beginning
    for stop in (2, of_one + 2, of_one + 2):  # in the base model's; in the one with it; in the last
        trainer = Trainer(job, tmp_path / "stopped")
        with contextlib.closing(trainer.steps()) as steps:
            told = (report for report in steps if isinstance(report, StageReport) and report.stage == "measuring")
            assert len(list(itertools.islice(told, stop))) == stop
    assert measured_epochs(trainer) == [(0, 0), (2, 8)]
    trainer = train(job, tmp_path / "stopped")
    assert measured(trainer) == measured(straight)
    assert data_digest(trainer) == data_digest(straight)
    assert trainer.verdict() == straight.verdict()
    assert (trainer.run_folder / "two_prompts.json").exists() == draws


@pytest.mark.parametrize("rate", [0.0, 1e-3], ids=["text encoder frozen", "text encoder trained"])
def test_the_two_prompt_test_is_drawn_at_the_end_and_changes_nothing(folder, tmp_path, rate):
    plan = {"optimizer": {"learning_rate": 1e-3, "text_encoder_rate": rate}, "epochs": 1}
    plain = train(small_job(folder, **plan, **MEASURED), tmp_path / "plain")
    tested = train(small_job(folder, **plan, validation={"two_prompts": True}), tmp_path / "tested")
    found = json.loads((tested.run_folder / "two_prompts.json").read_text())
    assert found["caption_distance"] > 0 and found["trigger_variety"] is not None
    assert data_digest(tested) == data_digest(plain)
    assert tested.verdict().kind in ("underfit", "good", "overfit")


def test_a_two_prompt_test_that_fails_is_told_and_ends_nothing(folder, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no picture today")
        yield

    monkeypatch.setattr("trainer_core.training.two_prompt_test.draw_in_steps", broken)
    trainer = train(small_job(folder, epochs=1, validation={"two_prompts": True}), tmp_path)
    assert trainer.run.is_finished and "no picture today" in trainer.remarks[-1]


def log_of(run_folder, losses):
    """A validation log with these held-out losses by step."""
    reports = [
        ValidationReport(
            epoch=0, step=step, training_loss=1.0, held_out_loss=loss, per_picture={"a": 1.0}, per_held_out={"b": loss}
        )
        for step, loss in losses.items()
    ]
    run_folder.mkdir()
    for report in reports:
        append_report(run_folder / "validation.jsonl", report)


def lora_of(run_folder, steps):
    saved = tuple(SavedEpoch(epoch=n, step=step, path=run_folder / str(n)) for n, step in enumerate(steps, start=1))
    values = {"name": "x", "base_model": run_folder, "plan": TrainingPlan(), "trigger_words": (), "losses": ()}
    return TrainedLora(run_folder=run_folder, epochs=saved, **values)


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ({0: 1.0, 4: 0.8, 8: 0.6, 12: 0.7}, 2),
        ({0: 0.1, 4: 0.8, 8: 0.8, 12: 0.9}, 1),
        ({4: 0.8, 8: 0.2, 12: float("nan")}, 2),
        ({8: 0.9}, 2),
    ],
)
def test_the_best_epoch_is_the_kept_one_with_the_lowest_held_out_loss(tmp_path, losses, best):
    log_of(tmp_path / "run", losses)
    assert best_epoch(lora_of(tmp_path / "run", (4, 8, 12))).epoch == best


@pytest.fixture
def held_out_losses(monkeypatch):
    """What measurements find on held-out pictures, by epoch."""
    losses = {0: 1.0, 1: 0.8, 2: 0.6, 3: 0.9, 4: 0.7}
    measure = Validation.measure

    def measured_so(self, predict, modules, *, epoch, step):
        report = yield from measure(self, predict, modules, epoch=epoch, step=step)
        return replace(report, held_out_loss=losses[epoch])

    monkeypatch.setattr(Validation, "measure", measured_so)
    return losses


def kept_steps(trainer):
    return [saved.step for saved in trainer.result().epochs]


@pytest.mark.parametrize("saving", [{"every_epochs": 0, "every_steps": 3}, {"every_epochs": 1, "keep_last": 1}])
@pytest.mark.parametrize("stopped_at", [None, 2, 2.5])
def test_the_best_lora_stays_whatever_else_is_kept(folder, tmp_path, held_out_losses, saving, stopped_at):
    job = larger_job(folder, epochs=4, saving=saving, validation={"held_out_share": 0.2})
    each = Trainer(job, tmp_path).lengths[0]
    if stopped_at:
        train(job, tmp_path, until=int(stopped_at * each))
    trainer = train(job, tmp_path)
    of_plan = range(3, 4 * each, 3) if "every_steps" in saving else ()
    assert kept_steps(trainer) == sorted({*of_plan, 2 * each, 4 * each})
    assert best_epoch(trainer.result()).epoch == choose_kept(trainer.run_folder, BEST).epoch == 2
    assert names_in(trainer.run_folder / "epochs").count("mochi-000002.safetensors") == 1


def test_memory_that_does_not_do_for_measuring_ends_no_run(folder, tmp_path, monkeypatch):
    def short_of_memory(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")
        yield

    monkeypatch.setattr(Validation, "measure", short_of_memory)
    trainer = train(small_job(folder, epochs=3, **MEASURED), tmp_path)
    assert trainer.run.is_finished and trainer.verdict().kind == "not measured"
    assert trainer.remarks.count("memory ran out while the LoRA was measured; the run goes on without that") == 1


def test_a_killed_run_keeps_its_best_lora_once_it_is_the_best_again(folder, tmp_path, held_out_losses):
    """What was kept behind the last state goes, and has to come again."""
    saving = {"every_epochs": 0, "state_every_steps": 4}
    job = larger_job(folder, epochs=4, saving=saving, validation={"held_out_share": 0.2})
    held_out_losses |= {1: 0.9, 2: 0.8, 3: 0.5}
    trainer = Trainer(job, tmp_path)
    each, steps = trainer.lengths[0], trainer.steps()
    reached = next(report.step for report in steps if isinstance(report, StepReport) and report.step == 3 * each + 1)
    assert "mochi-000003.safetensors" in names_in(trainer.run_folder / "epochs")
    for state in trainer.run.state.iterdir():  # as if it had been killed before these were written
        if int(state.stem.removeprefix("step-")) > 2 * each:
            state.unlink()
    assert list(trainer.run.state.iterdir()) and reached
    (trainer.run_folder / "run.lock").unlink()  # which the system lets go of
    again = train(job, tmp_path)
    assert kept_steps(again) == [3 * each, 4 * each]
    with contextlib.suppress(Exception):
        steps.close()


def test_a_better_lora_takes_the_place_of_the_best(folder, tmp_path, held_out_losses):
    held_out_losses |= {2: 0.75, 3: 0.7, 4: 0.7}
    job = larger_job(folder, epochs=4, saving={"every_epochs": 0}, validation={"held_out_share": 0.2})
    trainer = train(job, tmp_path)
    each = trainer.lengths[0]
    assert kept_steps(trainer) == [3 * each, 4 * each], "of equal ones the earlier"
    assert names_in(trainer.run_folder / "epochs") == ["mochi-000003.safetensors", "mochi.safetensors"]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_no_epoch_is_the_best_where_nothing_was_held_out(folder, tmp_path):
    lora = train(small_job(folder, epochs=1, **MEASURED), tmp_path).result()
    with pytest.raises(TrainingError, match="held_out_share"):
        best_epoch(lora)
