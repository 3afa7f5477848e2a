"""LoRA that multiplications add themselves, and layers that read their input together: what autograd makes of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.training_jobs import prepared, small_job
from trainer_core.families.attention import use_attention
from trainer_core.families.cpu import matrices
from trainer_core.families.cpu.attention import attend
from trainer_core.families.cpu.frozen import FrozenLinear
from trainer_core.lora.joint import Factors, lora_linears
from trainer_core.lora.joint_attention import JointAttention
from trainer_core.lora.low_rank import LoraLayer

pytestmark = pytest.mark.skipif(not matrices.can_multiply(), reason="this PyTorch has no oneDNN")


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.usefixtures("multiplied_by")
@pytest.mark.parametrize("widths", [(12,), (12, 8, 16)])
@pytest.mark.parametrize("leads_on", [True, False])
def test_answers_and_gradients_are_those_of_autograd(widths, leads_on):
    torch.manual_seed(0)
    layers = [nn.Linear(20, width, bias=width != 8).requires_grad_(False) for width in widths]
    factors = [
        Factors(
            drawn(3 + place, 20, seed=place).requires_grad_(),
            drawn(width, 3 + place, seed=5).requires_grad_(),
            (0.5, 1.0, 3.0)[place],
        )
        for place, width in enumerate(widths)
    ]
    x = drawn(2, 5, 20, seed=9).requires_grad_(leads_on)
    inputs = [*([x] if leads_on else []), *(factor for one in factors for factor in (one.down, one.up))]
    found = lora_linears(x, layers, factors)
    expected = [
        layer(x) + x @ one.down.t() @ one.up.t() * one.scale for layer, one in zip(layers, factors, strict=True)
    ]
    towards = [drawn(*answer.shape, seed=11) for answer in expected]
    for one, other in zip(
        (*found, *torch.autograd.grad(found, inputs, towards)),
        (*expected, *torch.autograd.grad(expected, inputs, towards)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=2e-5)


def test_a_half_precision_answer_is_rounded_once():
    """The LoRA's part is rounded as well, but is a fifth of it here. Rounded twice it would be 1.4 times as far off."""
    layer = nn.Linear(640, 320).requires_grad_(False).bfloat16()
    x, down, up = (part.bfloat16() for part in (drawn(256, 640), drawn(16, 640) / 25, drawn(320, 16) / 60))
    (answer,) = lora_linears(x, [layer], [Factors(down, up, 1.0)])
    inner = (x @ down.t()).double()  # which is a tensor of its own
    exact = x.double() @ layer.weight.t().double() + layer.bias.double() + inner @ up.t().double()
    off, rounding = (answer - exact).norm(), (exact.bfloat16() - exact).norm()
    assert rounding < off < 1.1 * rounding


def gradients_of(learner) -> torch.Tensor:
    """Of the UNet's LoRA, for the first part of a run."""
    for parameter in learner.parameters:
        parameter.grad = None
    learner.learn(learner.given(learner.first()))
    return torch.cat([parameter.grad.flatten() for parameter in learner.adapters[0].parameters()])


def with_loras_that_matter(learner):
    for place, layer in enumerate(layer for part in learner.adapters for layer in part.layers):
        layer.lora_up.data = drawn(*layer.lora_up.shape, seed=place) / 20
    return learner


@pytest.mark.parametrize("targets", ["attention and mlp", "with convolutions"])
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_joint_step_on_a_cpu_is_one_layer_by_layer_but_for_rounding(tmp_path, monkeypatch, family, targets):
    job = small_job(tmp_path, family=family, network={"rank": 4, "alpha": 3}, adapter={"targets": targets})
    learner = with_loras_that_matter(prepared(job, tmp_path / "runs").learner)
    assert all(
        type(processor) is JointAttention and processor.attend is attend
        for processor in learner.model.unet.attn_processors.values()
    )
    joint = gradients_of(learner)
    monkeypatch.setattr(LoraLayer, "joins", lambda *_: False)
    alone = gradients_of(learner)
    assert 0 < (joint - alone).norm() < 1e-5 * alone.norm()


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_joint_step_is_as_near_to_fp32_as_one_layer_by_layer(tmp_path, monkeypatch, family):
    def learner_in(precision: str):
        job = small_job(tmp_path, family=family, precision={"training": precision}, network={"rank": 4, "alpha": 2})
        return with_loras_that_matter(prepared(job, tmp_path / precision).learner)

    exact, learner = gradients_of(learner_in("fp32")), learner_in("bf16")
    use_attention(learner.model.unet, JointAttention())
    joint = (gradients_of(learner) - exact).norm() / exact.norm()
    monkeypatch.setattr(LoraLayer, "joins", lambda *_: False)
    alone = (gradients_of(learner) - exact).norm() / exact.norm()
    assert joint != alone and joint < 1.3 * alone < 0.15, "bf16 rounds"


def joins_others(layer) -> bool:
    return isinstance(layer, LoraLayer) and layer.joins(
        drawn(1, layer.base.weight.shape[1]).to(layer.base.weight.dtype)
    )


@pytest.mark.parametrize(
    ("changes", "joins"),
    [
        ({}, True),
        ({"adapter": {"kind": "dora"}}, False),
        ({"adapter": {"dropout": 0.5}}, False),
        ({"precision": {"training": "bf16", "base": "nf4"}}, True),  # what is too small to be packed
        ({"precision": {"training": "fp32"}}, True),
        ({"precision": {"training": "fp32"}, "adapter": {"kind": "dora"}}, False),
        ({"precision": {"training": "fp32"}, "adapter": {"rank_dropout": 0.5}}, False),
    ],
)
def test_only_bare_loras_on_whole_layers_join(tmp_path, changes, joins):
    job = small_job(tmp_path, **{"precision": {"training": "bf16"}} | changes)
    learner = prepared(job, tmp_path / "runs").learner
    given = learner.given(learner.first())
    with learner.passing():
        learner.loss(given)
        for layer in learner.adapters[0].layers:
            assert joins_others(layer) == (joins and type(layer.base) in (nn.Linear, FrozenLinear))
    in_fp32 = learner.precision == "fp32"
    left = any(map(joins_others, learner.adapters[0].layers))
    assert left == (joins and in_fp32), "halves are there within a pass only"
