"""Two processes train what one would. Both are on the CPU, with gloo: one torchrun does what all tests look at."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training_jobs import small_job, train
from trainer_core.errors import TrainingError
from trainer_core.files import write_json
from trainer_core.job import read_job
from trainer_core.training.amount import Step
from trainer_core.training.launch import PROCESS_LOG, check_devices, steps_on
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.reports import StepReport
from trainer_core.training.shares import check_shares, share
from trainer_core.training.team import OTHERS_LEFT, joined
from trainer_core.training.trainer import Trainer

PACK = Path(__file__).parents[1]
OPTIMIZER = {"learning_rate": 1e-3, "text_encoder_rate": 1e-3}
ADAPTER = {"dropout": 0.2, "rank_dropout": 0.2, "module_dropout": 0.2}
EVERYTHING = {
    "batch_size": 3,
    "accumulation": 2,
    "epochs": 3,
    "optimizer": OPTIMIZER,
    "adapter": ADAPTER,
    "noise": {"offset": 0.05, "multires_iterations": 2, "perturbation": 0.1},
    "augment": {"flip": True},
    "ema": {"decay": 0.9},
    "saving": {"state_every_steps": 1},
    "precision": {"saving": "fp32"},
}
"""8 pictures an epoch: steps of 6 and of 2, so a batch falls to both processes. All that is drawn is drawn."""
UNET = {
    "batch_size": 4,
    "epochs": 3,
    "seed": 5,
    "optimizer": {"learning_rate": 1e-3, "text_encoder_rate": 0.0},
    "precision": {"saving": "fp32"},
}
ROUNDING = 1e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The runs of one process, beside them those of two."""
    folder = tmp_path_factory.mktemp("parallel")
    for name, changes in (("job", EVERYTHING), ("unet", UNET)):
        write_json(folder / f"{name}.json", small_job(folder, **changes).to_json())
    train(read_job(folder / "job.json"), folder / "alone")
    train(read_job(folder / "unet.json"), folder / "unet_alone")
    train(read_job(folder / "job.json"), folder / "continued", until=3)
    processes = ["--standalone", "--nproc-per-node=2", f"--log-dir={folder / 'torchrun'}"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", *processes]
    ran = subprocess.run(
        [*torchrun, "-m", "tests.two_processes", str(folder)], cwd=PACK, capture_output=True, text=True, timeout=500
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return folder


def run_in(runs: Path) -> Path:
    (run,) = runs.glob("mochi-*")
    return run


def losses(runs: Path) -> list[float]:
    lines = (run_in(runs) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines]


def learned(runs: Path) -> torch.Tensor:
    """All up matrices of the run, which began as zeros, in fp32."""
    tensors = load_file(run_in(runs) / "epochs" / "mochi.safetensors")
    return torch.cat([tensors[name].flatten() for name in sorted(tensors) if "lora_up" in name])


def said(folder: Path, rank: int) -> dict[str, str]:
    return json.loads((folder / f"said-{rank}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("alone", "together"), [("alone", "together"), ("unet_alone", "unet_together")])
def test_two_processes_learn_what_one_learns(folder, alone, together):
    assert losses(folder / together) == pytest.approx(losses(folder / alone), rel=ROUNDING)
    apart = learned(folder / together) - learned(folder / alone)
    assert apart.norm() < 10 * ROUNDING * learned(folder / alone).norm()  # Adam makes more of the least gradients


def test_two_processes_give_the_same_bytes_again(folder):
    assert losses(folder / "together") == losses(folder / "again")
    one, other = (run_in(folder / runs) / "epochs" / "mochi.safetensors" for runs in ("together", "again"))
    assert one.read_bytes() == other.read_bytes()


def test_two_processes_record_their_passes_as_the_first_one_decides_and_learn_the_same(folder):
    assert "CUDA graphs: a pass takes" in said(folder, 0)["graphs"] and "CUDA graphs" not in said(folder, 1)["unet"]
    assert all(int(said(folder, rank)["recorded"]) > 0 for rank in (0, 1))
    assert losses(folder / "unet_graphs") == losses(folder / "unet_together")
    assert learned(folder / "unet_graphs").equal(learned(folder / "unet_together"))


@pytest.mark.parametrize("rank", [0, 1])
def test_gradients_of_graphs_stay_in_one_piece_until_a_process_gives_its_graphs_up(folder, rank):
    assert said(folder, rank)["in one piece"] == "6", "AdamW takes them so in every step"
    assert said(folder, rank)["in one piece, given up"] == "8", "twice more, in a run that goes on with neither"
    assert losses(folder / "unet_given_up") == losses(folder / "unet_together")
    assert learned(folder / "unet_given_up").equal(learned(folder / "unet_together"))


def test_a_run_of_one_process_goes_on_in_two(folder):
    assert losses(folder / "continued")[:3] == losses(folder / "alone")[:3]
    assert losses(folder / "continued") == pytest.approx(losses(folder / "alone"), rel=ROUNDING)


def test_a_run_of_two_processes_stops_when_asked_and_goes_on_in_one(folder):
    assert losses(folder / "stopped") == losses(folder / "together")[:3]
    assert "asked to stop after step 3" in said(folder, 0)["stopped"]
    assert said(folder, 1)["stopped"] == OTHERS_LEFT
    train(read_job(folder / "job.json"), folder / "stopped")
    assert losses(folder / "stopped") == pytest.approx(losses(folder / "alone"), rel=ROUNDING)


def test_only_the_first_process_writes(folder):
    assert len(losses(folder / "together")) == 6
    assert {path.name for path in run_in(folder / "together").glob("*")} == {
        path.name for path in run_in(folder / "alone").glob("*")
    }


def test_where_memory_runs_out_in_one_process_both_recompute(folder):
    assert "gradient checkpointing is on" in said(folder, 0)["memory"]
    assert "gradient checkpointing is on" in said(folder, 1)["memory"]
    assert losses(folder / "memory") == pytest.approx(losses(folder / "alone"), rel=ROUNDING)


def test_what_fails_in_the_second_process_ends_the_first_with_its_state_kept(folder):
    assert said(folder, 1)["failed"] == "the second one is broken"
    assert said(folder, 0)["failed"] == OTHERS_LEFT
    done = len(losses(folder / "failed"))
    assert 0 < done < 6
    assert (run_in(folder / "failed") / "state" / f"step-{done:08d}.safetensors").exists()


def test_a_loss_that_is_no_number_in_one_process_changes_no_weight_in_any(folder):
    """Else they would hold different weights, which ends a run."""
    broken = [step for step, loss in enumerate(losses(folder / "nan")) if not math.isfinite(loss)]
    assert len(broken) == 1
    assert len(losses(folder / "nan")) == 6


def test_processes_whose_weights_differ_stop(folder):
    assert "hold different weights" in said(folder, 0)["drifted"]
    assert "hold different weights" in said(folder, 1)["drifted"]


@pytest.mark.parametrize("size", range(1, 8))
@pytest.mark.parametrize("sizes", [(1,), (3,), (4, 4), (3, 1, 4), (2, 2, 2, 2)])
def test_every_picture_of_a_step_falls_to_one_process(sizes, size):
    batches = tuple(tuple(range(10 * i, 10 * i + count)) for i, count in enumerate(sizes))
    shares = [share(Step(0, batches, 5, False), rank, size) for rank in range(size)]
    seen = [(part.place, index) for parts in shares for part in parts for index in part.batch[part.rows]]
    assert seen == [(5 + i, index) for i, batch in enumerate(batches) for index in batch]
    counts = [sum(part.rows.stop - part.rows.start for part in parts) for parts in shares]
    assert max(counts) - min(counts) <= 1


def test_as_many_processes_as_batches_cut_none():
    batches = ((0, 1), (2, 3), (4, 5))
    for rank in range(3):
        (part,) = share(Step(0, batches, 0, False), rank, 3)
        assert part.batch == batches[rank] and part.rows == slice(0, 2)


def test_more_processes_than_pictures_of_a_step_are_refused():
    check_shares(TrainingPlan(batch_size=2, accumulation=2), 4)
    with pytest.raises(TrainingError, match="fewer pictures"):
        check_shares(TrainingPlan(batch_size=2, accumulation=2), 5)


def test_more_devices_than_there_are_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_devices(2, "cuda:0")
    with pytest.raises(TrainingError, match="Set devices to 2"):
        check_devices(3, "cuda:0")


def test_without_torchrun_a_process_is_alone():
    with joined("cpu") as team:
        assert (team.rank, team.size) == (0, 1)
        assert team.add_up(2.5, 1) == [2.5, 1]


def test_a_program_of_one_process_trains_in_two_and_can_stop_them(tmp_path, monkeypatch):
    (temporary := tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    job = small_job(tmp_path, **UNET)
    trainer = Trainer(job, tmp_path / "runs")
    reports = steps_on(trainer, 2)
    first = next(report for report in reports if isinstance(report, StepReport))
    reports.close()
    assert first.step == 1
    assert not trainer.run.is_finished
    assert not trainer.run.asked()
    done = len(losses(tmp_path / "runs"))
    later = [report.step for report in steps_on(trainer, 2) if isinstance(report, StepReport)]
    assert later == list(range(done + 1, 7))
    assert trainer.result().losses == pytest.approx(train(job, tmp_path / "alone").result().losses, rel=ROUNDING)
    assert (trainer.run_folder / PROCESS_LOG).exists()
    assert list(temporary.iterdir()) == [], "torchrun's notes are gone"


def test_what_stops_the_processes_is_told_in_their_words(tmp_path):
    trainer = Trainer(small_job(tmp_path, **UNET), tmp_path / "runs")
    (tmp_path / "tiny_sd15.safetensors").unlink()
    with pytest.raises(TrainingError, match="tiny_sd15"):
        for _ in steps_on(trainer, 2):
            pass
