"""Blocks of the UNet that wait in the CPU's memory: the same numbers, two blocks at a time, each known ahead."""

from __future__ import annotations

import weakref
from dataclasses import replace

import pytest
import torch

from tests.full_size_models import full_size
from tests.tiny_models import tiny_sd15
from tests.training_jobs import small_job, train
from trainer_core.families.offloading import Conveyor, bytes_taken_off, layers_of_blocks, offload
from trainer_core.families.quantised import quantise
from trainer_core.training.memory import step_memory
from trainer_core.training.memory_choice import MemoryChoice, savings
from trainer_core.training.plan import OptimizerPlan, PrecisionPlan, TrainingPlan
from trainer_core.training.step_memory import GB, StepShape

SAMPLES = {"prompts": "a", "width": 32, "height": 32, "steps": 1}
UNET_ONLY = TrainingPlan(optimizer=OptimizerPlan(text_encoder_rate=0.0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("offloading")


def tiny_unet(kind: str):
    unet = tiny_sd15().unet.requires_grad_(False)
    quantise(unet, kind)
    return unet


def gradient_of(unet):
    """Of what the UNet answers, with regard to its input."""
    generator = torch.Generator().manual_seed(5)
    x_BCHW = torch.randn(1, 4, 16, 16, generator=generator, requires_grad=True)
    text_BLD = torch.randn(1, 8, unet.config.cross_attention_dim, generator=generator)
    answer = unet(x_BCHW, torch.tensor([300]), text_BLD).sample
    answer.square().sum().backward()
    return answer.detach(), x_BCHW.grad


@pytest.mark.parametrize("kind", ["full", "fp8", "int8", "nf4"])
def test_an_offloaded_model_gives_the_same_to_the_bit(kind):
    unet = tiny_unet(kind)
    expected = gradient_of(unet)
    offload(unet, "cpu")
    for found in (gradient_of(unet), gradient_of(unet)):  # at first nothing is known of the order of blocks
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_whole_weights_that_are_made_when_used_are_the_weights():
    plain = tiny_sd15().unet.requires_grad_(False)
    for one, other in zip(gradient_of(tiny_unet("full")), gradient_of(plain), strict=True):
        torch.testing.assert_close(one, other)


def test_after_one_step_every_block_is_on_its_way_before_it_is_needed():
    unet = tiny_unet("full")
    blocks = len(layers_of_blocks(unet))
    conveyor = offload(unet, "cpu")
    gradient_of(unet)
    first = conveyor.surprises
    assert first >= 2 * blocks - 1
    gradient_of(unet)
    gradient_of(unet)
    assert conveyor.surprises - first <= 1  # the first step could not know what follows a step


def test_two_blocks_lie_on_the_device_at_a_time(monkeypatch):
    pieces, most = weakref.WeakSet(), []
    send = Conveyor._send

    def counted(self, block):
        piece, event = send(self, block)
        pieces.add(piece)
        most.append(len(pieces))
        return piece, event

    monkeypatch.setattr(Conveyor, "_send", counted)
    unet = tiny_unet("full")
    offload(unet, "cpu")
    with torch.no_grad():
        for _ in range(2):
            unet(torch.zeros(1, 4, 16, 16), torch.tensor([3]), torch.zeros(1, 8, unet.config.cross_attention_dim))
    assert max(most[len(most) // 2 :]) == 2


def test_what_is_taken_off_is_no_longer_held_by_the_model():
    unet = tiny_unet("full")
    held = lambda: sum(tensor.nbytes for tensor in (*unet.parameters(), *unet.buffers()))  # noqa: E731
    before, off, blocks = held(), bytes_taken_off(unet), layers_of_blocks(unet)
    offload(unet, "cpu")
    assert held() < before - off
    assert {name for layers in blocks for layer in layers for name in layer.state_dict()} == {"bias", "table"}


@pytest.mark.parametrize(
    "changes",
    [
        {"samples": SAMPLES},
        {"adapter": {"kind": "dora"}, "precision": {"gradient_checkpointing": True}},
    ],
    ids=["with samples", "DoRA with checkpointing"],
)
def test_a_run_learns_the_same_and_goes_on_with_the_same_bytes(folder, tmp_path, monkeypatch, changes):
    precision = {"precision": {"offload": True} | changes.get("precision", {})}
    job = small_job(folder, **(changes | precision))
    plain = train(job, tmp_path / "plain").result()
    as_set = MemoryChoice.as_set
    monkeypatch.setattr(MemoryChoice, "as_set", lambda plan, *, on_gpu: as_set(plan, on_gpu=True))
    train(job, tmp_path / "cut", until=3)
    cut = train(job, tmp_path / "cut").result()
    whole = train(job, tmp_path / "whole").result()
    assert cut.file.read_bytes() == whole.file.read_bytes()
    assert whole.losses == pytest.approx(plain.losses, rel=1e-4)


def test_sd15_needs_three_quarters_less_for_its_base():
    shape = StepShape(pictures=1, width=512, height=512, chunks=1)
    plan = replace(UNET_ONLY, precision=PrecisionPlan(cuda_graphs=False))  # graphs keep gradients, offloading has none

    def needs(**choice):
        choice = MemoryChoice(checkpoint_every=1, parts=1, **choice)
        return step_memory(full_size("sd15"), plan, shape, choice, precision="bf16", device="cuda")

    whole, apart = needs(base="full"), needs(base="full", offload=True)
    assert whole.base > 1.5 * GB and apart.base < 0.25 * whole.base
    assert apart.step == pytest.approx(whole.step, rel=0.2)


def test_offloading_comes_before_fewer_bits_and_on_a_gpu_only():
    assert [choice.offload for choice in savings(UNET_ONLY, 1, on_gpu=True)] == [False, False, True, True, True]
    assert not any(choice.offload for choice in savings(UNET_ONLY, 1, on_gpu=False))
    set_so = TrainingPlan.from_json({"precision": {"offload": True}})
    assert [MemoryChoice.as_set(set_so, on_gpu=on_gpu).offload for on_gpu in (False, True)] == [False, True]
