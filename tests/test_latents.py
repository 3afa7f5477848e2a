"""Latents of a large set stay in their files, and train as those in memory do."""

import os
import time

import pytest
import torch

from tests.training_jobs import digest, prepared, small_job, train
from trainer_core.errors import TrainingError
from trainer_core.training import latents
from trainer_core.training.latents import Latent, Latents
from trainer_core.training.trainer import Trainer

BYTES = 2 * 4 * 8 * 8 * 4
"""Of the latent of a picture of 64x64, in fp32: mean and deviation."""


def made(number: int) -> Latent:
    generator = torch.Generator().manual_seed(number)
    return Latent(torch.randn(4, 8, 8, generator=generator), torch.rand(4, 8, 8, generator=generator))


def filled(folder, *, room: int) -> Latents:
    found = Latents(folder, most_bytes=room)
    for number in range(5):
        found.keep([(number, False), (number + 5, False)], f"key-{number}", made(number))
    return found


@pytest.mark.parametrize("room", [0, 2 * BYTES, 5 * BYTES])
def test_any_bound_gives_the_same_latents(tmp_path, room):
    found = filled(tmp_path, room=room)
    again = Latents(tmp_path, most_bytes=room)
    assert all(again.find((number, False), f"key-{number}") for number in range(5))
    assert list(found) == [(number + copy, False) for number in range(5) for copy in (0, 5)] and len(again) == 5
    for number in range(5):
        for latent in (found[number, False], found[number + 5, False], again[number, False]):
            assert torch.equal(latent.mean_CHW, made(number).mean_CHW)
            assert torch.equal(latent.std_CHW, made(number).std_CHW)


@pytest.mark.parametrize(("room", "held"), [(0, 0), (2 * BYTES, 2), (3 * BYTES - 1, 2), (9 * BYTES, 5)])
def test_memory_holds_no_more_than_its_bound_and_the_rest_comes_from_the_files(tmp_path, room, held):
    found = filled(tmp_path, room=room)
    for file in tmp_path.iterdir():
        file.unlink()
    kept = []
    for number in range(5):
        try:
            kept.append(found[number, False])
        except TrainingError as problem:
            assert "Start the run again" in str(problem)
    assert len(kept) == held


def test_what_is_damaged_is_not_found_and_what_breaks_later_is_told(tmp_path):
    found = filled(tmp_path, room=0)
    (tmp_path / "key-1.safetensors").write_bytes(b"broken")
    assert not Latents(tmp_path).find((1, False), "key-1")
    with pytest.raises(TrainingError, match=r"gone .* or broke"):
        _ = found[1, False]
    with pytest.raises(KeyError):
        _ = found[99, False]


def test_what_no_run_has_taken_for_two_months_is_deleted(tmp_path):
    filled(tmp_path, room=0)
    (tmp_path / "notes.txt").write_text("mine")
    days_ago = {"key-0": 0, "key-1": 59, "key-2": 61, "key-3": 61}
    for name, days in days_ago.items():
        age(tmp_path / f"{name}.safetensors", days)
    age(tmp_path / "notes.txt", 999)
    found = Latents(tmp_path)
    assert found.find((3, False), "key-3")
    Latents(tmp_path).delete_unused()
    assert {path.stem for path in tmp_path.iterdir()} == {"key-0", "key-1", "key-3", "key-4", "notes"}
    age(tmp_path / "key-3.safetensors", 99)  # where it could not be marked as used
    found.delete_unused()
    assert found[3, False] and (tmp_path / "key-3.safetensors").exists()
    Latents(tmp_path / "none").delete_unused()


def age(path, days: float) -> None:
    when = time.time() - days * 86_400
    os.utime(path, (when, when))


def test_a_run_keeps_what_it_takes_and_deletes_what_nobody_took(tmp_path):
    job = small_job(tmp_path, epochs=1)
    train(job, tmp_path / "runs", until=1)
    cache = tmp_path / "runs" / "latents"
    own = set(cache.iterdir())
    (cache / "of-another-run.safetensors").write_bytes(b"")
    for path in cache.iterdir():
        age(path, 70)
    train(job, tmp_path / "runs")
    assert set(cache.iterdir()) == own


def test_a_run_that_keeps_nothing_in_memory_learns_the_same(tmp_path, monkeypatch):
    job = small_job(tmp_path, augment={"flip": True}, batch_size=2)
    held = digest(train(job, tmp_path / "held"))
    monkeypatch.setattr(latents.Latents.__init__, "__kwdefaults__", {"most_bytes": 0})
    assert not prepared(job, tmp_path / "read").learner._draws._latents._held
    assert digest(train(job, tmp_path / "read")) == held


def test_a_latent_that_goes_while_training_stops_the_run_which_goes_on_later(tmp_path, monkeypatch):
    job = small_job(tmp_path, epochs=2)
    expected = digest(train(job, tmp_path / "whole"))
    with monkeypatch.context() as small:
        small.setattr(latents.Latents.__init__, "__kwdefaults__", {"most_bytes": 0})
        trainer = Trainer(job, tmp_path / "runs")
        steps = trainer.steps()
        next(steps)
        for file in trainer.run.cache.iterdir():
            file.unlink()
        with pytest.raises(TrainingError, match="an encoded picture has gone"):
            list(steps)
    assert not trainer.run.is_finished
    assert digest(train(job, tmp_path / "runs")) == expected
