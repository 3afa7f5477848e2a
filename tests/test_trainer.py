"""The loop: deterministic, resumable bit for bit, careful with what it has."""

import contextlib
import dataclasses
import json
import math
import os

import pytest
import torch
from safetensors.torch import load_file

from tests.training_jobs import digest, prepared, small_job, train
from trainer_core.errors import TrainingError
from trainer_core.lora.file import read_header
from trainer_core.training.amount import Step
from trainer_core.training.keeping import INTERRUPTED
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.run_lock import RunLock
from trainer_core.training.trainer import Trainer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("trainer")


@pytest.fixture(scope="module", params=["sd15", "sdxl"])
def finished(request, folder):
    """An uninterrupted run."""
    return train(small_job(folder, family=request.param), folder / f"straight-{request.param}")


@pytest.fixture(scope="module")
def straight(finished):
    """The job of an uninterrupted run and its LoRAs."""
    return finished.job, digest(finished)


def test_two_runs_give_the_same_bytes_whatever_the_global_generator_holds(straight, tmp_path):
    job, expected = straight
    torch.manual_seed(12345)
    before = torch.random.get_rng_state()
    assert digest(train(job, tmp_path)) == expected
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("stop", [1, 3, 4, 5, 7])
def test_a_run_cut_at_any_step_ends_with_the_same_bytes(straight, tmp_path, stop):
    job, expected = straight
    assert not train(job, tmp_path, until=stop).run.is_finished
    resumed = train(job, tmp_path)
    assert digest(resumed) == expected
    assert [json.loads(line)["step"] for line in open(resumed.run_folder / "metrics.jsonl")] == list(range(1, 9))


def test_a_killed_run_goes_on_from_its_last_state(straight, tmp_path):
    job, expected = straight
    steps = Trainer(job, tmp_path).steps()
    for _ in range(5):
        next(steps)
    trainer = Trainer(job, tmp_path)
    for newer in trainer.run.state.glob("step-00000004.*"):  # as if it had died before this state was written
        newer.unlink()
    (trainer.run_folder / "epochs" / "mochi-000001.safetensors").unlink()
    (trainer.run_folder / "run.lock").unlink()  # which the system lets go of
    steps_after = train(job, tmp_path)
    assert digest(steps_after) == expected
    with contextlib.suppress(Exception):
        steps.close()


def test_an_epoch_whose_file_was_lost_is_written_again(straight, tmp_path):
    job, expected = straight
    trainer = train(job, tmp_path, until=4)
    trainer.run.saved_file("-000001").unlink()
    assert digest(train(job, tmp_path)) == expected


def test_a_finished_run_answers_at_once(finished, straight):
    job, expected = straight
    again = Trainer(job, finished.run_folder.parent)
    assert list(again.steps()) == [] and list(again.prepare()) == []
    assert digest(again) == expected


def test_another_name_finds_the_same_run_and_is_the_name_of_its_lora(finished):
    renamed = Trainer(dataclasses.replace(finished.job, name="other"), finished.run_folder.parent)
    assert renamed.run_folder == finished.run_folder
    assert renamed.result().name == "other" and renamed.result().file == finished.result().file


def test_a_trainer_that_is_done_holds_no_model(folder, tmp_path):
    trainer = train(small_job(folder), tmp_path, until=2)
    assert trainer.learner is None


def test_a_changed_knob_or_caption_or_crop_is_another_run(folder, tmp_path):
    job = small_job(folder)
    image = job.dataset.images[0]
    changed = [
        small_job(folder, seed=4),
        dataclasses.replace(job, dataset=job.dataset.with_images((dataclasses.replace(image, caption="x"),))),
        dataclasses.replace(job, dataset=job.dataset.with_images(job.dataset.images[::-1])),
    ]
    folders = {Trainer(each, tmp_path).run_folder for each in [job, *changed]}
    assert len(folders) == 4


SAVES_MEMORY = [
    {"precision": {"gradient_checkpointing": True, "checkpoint_every": 2}},
    {"precision": {"offload": True}},
    {"precision": {"short_memory": "reduce"}},
    {"saving": {"state_every_steps": 3}},
]


def changed(job, changes):
    plan = job.plan.to_json()
    plan |= {part: plan[part] | of_part for part, of_part in changes.items()}
    return dataclasses.replace(job, plan=TrainingPlan.from_json(plan))


def test_what_saves_memory_makes_no_other_run(folder, tmp_path):
    job = small_job(folder)
    folders = {Trainer(changed(job, changes), tmp_path).run_folder for changes in [{}, *SAVES_MEMORY]}
    assert len(folders) == 1


def test_who_is_short_of_memory_goes_on_with_the_run(finished, tmp_path):
    job = finished.job
    stopped = train(job, tmp_path, until=6)
    resumed = Trainer(changed(job, SAVES_MEMORY[0]), tmp_path)
    assert resumed.run_folder == stopped.run_folder
    assert [report.step for report in resumed.steps()] == [7, 8]
    found, expected = load_file(resumed.result().file), load_file(finished.result().file)
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_run_of_a_time_when_that_was_another_one_is_found(folder, tmp_path, monkeypatch):
    job = small_job(folder, **SAVES_MEMORY[0])
    with monkeypatch.context() as before:
        before.setattr("trainer_core.training.run._ONLY_SMALLER", {})
        old = train(job, tmp_path, until=2).run_folder
    assert Trainer(job, tmp_path).run_folder == old != Trainer(small_job(folder), tmp_path).run_folder


def test_a_finished_run_keeps_no_state(finished):
    assert not finished.run.state.exists()


def test_a_run_whose_gradients_are_never_finite_is_ended(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("trainer_core.training.troubles._LEFT_OUT_IN_A_ROW", 3)
    monkeypatch.setattr("torch.nn.utils.clip_grad_norm_", lambda *_: torch.tensor(math.nan))
    trainer = Trainer(small_job(folder), tmp_path)
    with pytest.raises(TrainingError, match="in the last 3 steps, up to step 3, so that nothing was learned"):
        list(trainer.steps())
    assert not trainer.run.is_finished


def test_an_interrupted_run_leaves_a_lora_of_the_step_it_was_at_until_it_is_finished(straight, tmp_path):
    job, expected = straight
    trainer = train(job, tmp_path, until=6)
    left = trainer.run.saved_file(INTERRUPTED)
    metadata, names = read_header(left)
    assert (metadata["ss_steps"], metadata["ss_epoch"]) == ("6", "2") and names
    assert digest(train(job, tmp_path)) == expected and not left.exists()


def test_a_lora_that_cannot_be_written_does_not_hide_why_the_run_stopped(straight, tmp_path, monkeypatch):
    job, expected = straight

    def full_disk(*_):
        raise OSError("No space left on device")

    trainer = Trainer(job, tmp_path)
    steps = trainer.steps()
    next(steps)
    monkeypatch.setattr("trainer_core.training.keeping.write_atomic", full_disk)
    with pytest.raises(KeyboardInterrupt):
        steps.throw(KeyboardInterrupt)
    monkeypatch.undo()
    assert digest(train(job, tmp_path)) == expected


def test_a_damaged_state_falls_back_to_the_one_before(straight, tmp_path):
    job, expected = straight
    trainer = train(job, tmp_path, until=7)
    newest = max(trainer.run.state.glob("*.safetensors"))
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    resumed = Trainer(job, tmp_path)
    first = next(steps := resumed.steps())
    steps.close()
    assert 1 < first.step < 8
    assert digest(train(job, tmp_path)) == expected


def test_a_run_whose_every_state_is_damaged_never_starts_over_in_silence(folder, tmp_path):
    trainer = train(small_job(folder), tmp_path, until=7)
    for path in trainer.run.state.glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(TrainingError, match="damaged"):
        next(Trainer(small_job(folder), tmp_path).steps())


def test_saving_every_2_of_10_epochs_keeps_5_loras(folder, tmp_path):
    job = small_job(folder, epochs=10, batch_size=8, saving={"every_epochs": 2})
    kept = train(job, tmp_path).result().epochs
    assert [saved.epoch for saved in kept] == [2, 4, 6, 8, 10]
    assert [saved.path.name for saved in kept] == [
        "mochi-000002.safetensors",
        "mochi-000004.safetensors",
        "mochi-000006.safetensors",
        "mochi-000008.safetensors",
        "mochi.safetensors",
    ]


def test_a_part_with_rate_0_is_not_in_the_file(folder, tmp_path):
    for name, changes in (
        ("lora_te_", {"text_encoder_rate": 0.0}),
        ("lora_unet_", {"unet_rate": 0.0, "text_encoder_rate": 1e-3}),
    ):
        lora = train(small_job(folder, epochs=1, optimizer=changes), tmp_path).result()
        names = load_file(lora.file)
        assert names and not [key for key in names if key.startswith(name)]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains_and_resumes(folder, tmp_path, precision):
    job = small_job(folder, precision={"training": precision})
    straight = digest(train(job, tmp_path / "a"))
    train(job, tmp_path / "b", until=3)
    resumed = train(job, tmp_path / "b")
    assert digest(resumed) == straight
    assert all(map(math.isfinite, resumed.result().losses))


def test_gradient_checkpointing_changes_nothing(finished, tmp_path):
    job = finished.job
    plan = dataclasses.replace(job.plan, precision=dataclasses.replace(job.plan.precision, gradient_checkpointing=True))
    trainer = train(dataclasses.replace(job, plan=plan), tmp_path)
    plain = load_file(finished.result().file)
    for name, tensor in load_file(trainer.result().file).items():
        assert torch.equal(tensor, plain[name])


def test_a_loss_that_is_not_finite_changes_no_weight_and_ends_the_run_with_a_reason(folder, tmp_path, monkeypatch):
    trainer = Trainer(small_job(folder), tmp_path)
    steps = trainer.steps()
    next(steps)
    adapters = trainer.learner.adapters[0]
    before = adapters.tensors()
    monkeypatch.setattr(
        "trainer_core.training.objective.loss_per_picture", lambda p, t, *_: (p - t).mean((1, 2, 3)) * float("nan")
    )
    with pytest.raises(TrainingError, match="not a finite number 3 times"):
        for _ in steps:
            pass
    after = adapters.tensors()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_error_in_a_step_keeps_what_was_learned(straight, tmp_path, monkeypatch):
    job, expected = straight
    trainer = Trainer(job, tmp_path)
    steps = trainer.steps()
    for _ in range(2):
        next(steps)
    with monkeypatch.context() as patch:
        patch.setattr(trainer.learner, "_losses", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("full")))
        with pytest.raises(torch.OutOfMemoryError):
            next(steps)
    assert max(trainer.run.state.glob("*.json")).name == "step-00000002.json"
    assert digest(train(job, tmp_path)) == expected


def test_every_step_draws_new_noise_latents_and_timesteps(folder, tmp_path):
    learner = prepared(small_job(folder), tmp_path).learner
    first, second, again = (learner.draw(Step(0, ((0, 1),), place, False))[0].shown for place in (0, 1, 0))
    for name in ("x_BCHW", "noise_BCHW", "seen_BCHW", "t_B"):
        one, other, same = (getattr(shown, name) for shown in (first, second, again))
        assert not torch.equal(one, other) and torch.equal(one, same)
    assert not torch.equal(first.noise_BCHW[0], first.noise_BCHW[1])


@pytest.mark.parametrize("norm, limit", [(0.5, 0.5), (0.0, math.inf)])
def test_gradients_are_clipped_to_the_plans_norm(folder, tmp_path, monkeypatch, norm, limit):
    limits = []
    clip = torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda p, most: limits.append(most) or clip(p, most))
    train(small_job(folder, optimizer={"max_grad_norm": norm}), tmp_path, until=1)
    assert limits == [limit]


def test_the_rates_of_the_schedule_are_those_of_the_steps(folder, tmp_path):
    trainer = Trainer(small_job(folder, schedule={"name": "cosine", "warmup_steps": 2}), tmp_path)
    rates = [report.learning_rate for report in trainer.steps()]
    assert rates[:3] == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3]) and rates[-1] < rates[3]


def test_the_prior_loss_weight_reaches_the_gradient(folder, tmp_path):
    losses = {}
    for weight in (0.0, 1.0):
        job = small_job(folder, regularisation=True, loss={"prior_loss_weight": weight})
        losses[weight] = train(job, tmp_path).result().losses
    assert sum(losses[0.0]) < 0.8 * sum(losses[1.0])  # half of the samples are regularisation pictures


def test_two_processes_do_not_train_one_run(folder, tmp_path):
    trainer = Trainer(small_job(folder), tmp_path)
    with RunLock(trainer.run_folder), pytest.raises(TrainingError, match="another process"):
        next(trainer.prepare())
    for _ in trainer.prepare():
        pass
    with RunLock(trainer.run_folder), pytest.raises(TrainingError, match="another process"):
        next(trainer.steps())


def test_a_run_that_goes_on_clears_what_a_killed_process_was_writing(folder, tmp_path):
    job = small_job(folder)
    trainer = train(job, tmp_path, until=1)
    left = [trainer.run_folder / "epochs" / ".mochi.0123abcd.tmp", trainer.run.cache / ".latent.0123abcd.tmp"]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
        os.utime(path, (0, 0))
    train(job, tmp_path, until=2)
    assert not any(path.exists() for path in left)


def test_a_read_only_runs_folder_fails_before_any_work(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="cannot write"):
        Trainer(small_job(folder), tmp_path / "file" / "runs")
