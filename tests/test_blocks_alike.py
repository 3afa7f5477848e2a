"""Blocks that are counted from another of their kind take what they would take themselves, at the same times."""

from __future__ import annotations

import pytest

from tests.full_size_models import full_size
from tests.tiny_models import tiny_sd15, tiny_sdxl
from trainer_core.training import blocks_alike, device_layers, memory
from trainer_core.training.memory import step_memory
from trainer_core.training.memory_choice import MemoryChoice
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.step_memory import StepMemory, StepShape

UNET_ONLY = {"network": {"rank": 4, "alpha": 4}, "optimizer": {"text_encoder_rate": 0}}
AS_SET = {"checkpoint_every": 0, "parts": 1, "base": "full"}


def counted(model, changes=None, *, choice=None, precision="bf16", device="cpu", side=192) -> StepMemory:
    plan = TrainingPlan.from_json(UNET_ONLY | (changes or {}))
    shape = StepShape(pictures=4, width=side + 64, height=side, chunks=2)
    how = MemoryChoice(**AS_SET | (choice or {}))
    return step_memory(model, plan, shape, how, precision=precision, device=device)


@pytest.fixture
def each_block(monkeypatch):
    """Calls a function again with every block gone through."""

    def again(count):
        with monkeypatch.context() as patch:
            patch.setattr(memory, "count_alike_once", lambda *_: None)
            return count()

    return again


TRAINS_TEXT = {"optimizer": {"text_encoder_rate": 1e-5}}


@pytest.mark.parametrize(
    ("make", "changes", "choice", "precision"),
    [
        (tiny_sd15, {}, {}, "bf16"),
        (tiny_sd15, {}, {"checkpoint_every": 1, "parts": 4}, "fp32"),
        (tiny_sd15, TRAINS_TEXT, {"checkpoint_every": 1}, "bf16"),
        (tiny_sdxl, {}, {}, "bf16"),
        (tiny_sdxl, {}, {}, "fp32"),
        (tiny_sdxl, {}, {"checkpoint_every": 1, "parts": 2}, "bf16"),
        (tiny_sdxl, {}, {"checkpoint_every": 1, "base": "nf4"}, "bf16"),
        (tiny_sdxl, {}, {"checkpoint_every": 1, "offload": True}, "bf16"),
        (tiny_sdxl, TRAINS_TEXT, {"checkpoint_every": 1}, "bf16"),
        (tiny_sdxl, {"adapter": {"targets": "with convolutions", "block_weights": "IN00-02=0"}}, {}, "fp32"),
        (tiny_sd15, {"adapter": {"kind": "dora"}}, {"checkpoint_every": 1}, "bf16"),
        (tiny_sdxl, {"adapter": {"dropout": 0.3, "rank_dropout": 0.2}}, {"checkpoint_every": 2}, "bf16"),
    ],
)
def test_the_count_is_that_of_every_block(each_block, make, changes, choice, precision):
    def count():
        return counted(make(), changes, choice=choice, precision=precision)

    found, exact = count(), each_block(count)
    assert abs(found.step - exact.step) <= 64 and found.base == exact.base


@pytest.mark.parametrize("choice", [{}, {"checkpoint_every": 1, "parts": 2}])
@pytest.mark.parametrize("rank", [4, 8])
def test_so_it_is_with_a_gpus_layers(each_block, monkeypatch, choice, rank):
    """Of a rank of 8, layers have borders."""
    pytest.importorskip("triton")
    monkeypatch.setattr(device_layers, "can_fuse", lambda *_: True)

    def count():
        return counted(tiny_sdxl(), {"network": {"rank": rank, "alpha": 1}}, choice=choice, device="cuda")

    found, exact = count(), each_block(count)
    assert abs(found.step - exact.step) <= 64 and found.base == exact.base


def test_what_borders_take_is_counted(monkeypatch):
    """lora/border.py: the weights are larger by them."""
    pytest.importorskip("triton")
    monkeypatch.setattr(device_layers, "can_fuse", lambda *_: True)

    def base(rank: int, **adapter: float) -> int:
        return counted(tiny_sdxl(), {"network": {"rank": rank, "alpha": 1}, "adapter": adapter}, device="cuda").base

    grown = []
    put = memory.put_borders_for_gpu
    monkeypatch.setattr(memory, "put_borders_for_gpu", lambda *given: grown.append(put(*given)) or grown[-1])
    without, with_borders, dropping = base(4), base(8), base(8, rank_dropout=0.1)
    assert grown[0] == grown[2] == 0 < grown[1]
    assert with_borders - without == grown[1] and dropping == without


def test_text_states_are_kept_by_whoever_keeps_them(each_block):
    def count():
        return counted(full_size("sd15"), side=512)

    assert abs(count().step - each_block(count).step) <= 64


def test_of_sdxls_seventy_blocks_two_are_gone_through(monkeypatch):
    measured = []
    plain = blocks_alike._Alike._forwards
    monkeypatch.setattr(blocks_alike._Alike, "_forwards", lambda self: measured.append(self.kind) or plain(self))
    counted(full_size("sdxl"))
    assert len(measured) == 2
