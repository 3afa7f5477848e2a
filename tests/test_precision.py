"""How layers and multiplications suit a GPU, without one."""

from __future__ import annotations

import pytest
import torch

from tests.training_jobs import prepared, small_job
from trainer_core.devices import is_gpu
from trainer_core.training import preparation
from trainer_core.training.precision import tf32


@pytest.mark.parametrize(("device", "expected"), [("cuda", "high"), ("cuda:1", "high"), ("cpu", "highest")])
def test_tf32_is_a_gpus_and_only_while_the_context_lasts(device, expected):
    assert torch.get_float32_matmul_precision() == "highest"
    with tf32(device):
        assert torch.get_float32_matmul_precision() == expected
    with pytest.raises(KeyboardInterrupt), tf32(device):
        raise KeyboardInterrupt
    assert torch.get_float32_matmul_precision() == "highest" and is_gpu(device) == (expected == "high")


def losses(job, runs):
    trainer = prepared(job, runs)
    convolution = trainer.learner.model.unet.down_blocks[0].resnets[0].conv1.weight
    for _ in trainer.steps():
        pass
    return trainer.result().losses, convolution.is_contiguous(memory_format=torch.channels_last)


def test_a_run_in_a_gpus_order_of_channels_learns_the_same(tmp_path, monkeypatch):
    job = small_job(tmp_path, epochs=1, precision={"training": "bf16"})
    plain, turned = losses(job, tmp_path / "plain")
    assert not turned
    monkeypatch.setattr(preparation, "is_gpu", lambda device: True)
    found, turned = losses(job, tmp_path / "turned")
    assert turned and found == pytest.approx(plain, rel=0.02)
