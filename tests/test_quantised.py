"""Frozen weights in fewer bits: how near they are, and that adapters learn on them as on whole ones."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
import torch
from torch import nn

from tests.tiny_models import tiny_sd15
from tests.training_jobs import prepared, small_job, train
from trainer_core.demo import DEMO_BASE
from trainer_core.families.quantised import FORMATS, QuantisedConv2d, QuantisedLinear, _nf4_numbers, quantise
from trainer_core.lora.adapters import Adapters
from trainer_core.lora.layer import weight_shape
from trainer_core.lora.names import targets_of
from trainer_core.lora.networks import KINDS, fresh_layer
from trainer_core.training.amount import Step
from trainer_core.training.plan.adapter import AdapterPlan

PAPERS_LEVELS = (
    "-1.0 -0.6961928 -0.5250731 -0.3949175 -0.2844414 -0.1847734 -0.0910500 0.0 "
    "0.0795803 0.1609302 0.2461123 0.3379152 0.4407098 0.5626170 0.7229568 1.0"
)
"""Appendix E of arXiv:2305.14314."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("quantised")


def linear():
    return nn.Linear(96, 64).requires_grad_(False)


def convolution():
    return nn.Conv2d(16, 32, 3, stride=2, padding=1).requires_grad_(False)


def quantised(layer, kind):
    return (QuantisedLinear if isinstance(layer, nn.Linear) else QuantisedConv2d)(layer, FORMATS[kind])


def input_of(layer):
    shape = (2, 5, 96) if isinstance(layer, nn.Linear) else (2, 16, 9, 9)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), requires_grad=True)


@pytest.mark.parametrize(("kind", "off", "bits"), [("fp8", 0.03, 8), ("int8", 0.01, 8), ("nf4", 0.11, 4.5)])
@pytest.mark.parametrize("shape", [(64, 96), (32, 16, 3, 3), (7, 13)])
def test_a_weight_comes_back_as_near_as_its_bits_allow(kind, off, bits, shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 0.03
    codes, scales = FORMATS[kind].pack(weight)
    again = FORMATS[kind].unpack(codes, scales, FORMATS[kind].table()).flatten()[: weight.numel()].reshape(shape)
    assert (again - weight).norm() / weight.norm() < off
    assert codes.nbytes * 8 <= (bits - 0.5 if kind == "nf4" else bits) * (weight.numel() + 64)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_row_of_zeros_stays_zero(kind):
    codes, scales = FORMATS[kind].pack(torch.zeros(2, 64))
    assert torch.equal(FORMATS[kind].unpack(codes, scales, FORMATS[kind].table()), torch.zeros(2, 64))


def test_nf4_has_the_papers_levels():
    assert _nf4_numbers() == pytest.approx([float(level) for level in PAPERS_LEVELS.split()], abs=2e-6)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("make", [linear, convolution])
def test_answers_and_gradients_are_those_of_the_weight_that_is_kept(kind, make):
    layer = make()
    small = quantised(layer, kind)
    x = input_of(layer)
    small(x).square().sum().backward()
    answer, gradient = small(x), x.grad.clone()
    layer.weight.data = small.weight
    x.grad = None
    layer(x).square().sum().backward()
    torch.testing.assert_close(answer, layer(x))
    torch.testing.assert_close(gradient, x.grad)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("network", KINDS)
@pytest.mark.parametrize("make", [linear, convolution])
def test_every_kind_of_adapter_learns_on_every_format(kind, network, make):
    base = make()
    plan = AdapterPlan(kind=network, targets="with convolutions", conv_rank=4, conv_alpha=4.0)
    small = fresh_layer(quantised(base, kind), 4, 4.0, plan)
    whole_base = make()
    whole_base.load_state_dict({"weight": small.base.weight, "bias": base.bias})
    whole = fresh_layer(whole_base, 4, 4.0, plan)
    found = []
    for layer in (small, whole):
        layer.initialise(torch.Generator().manual_seed(0))
        x = input_of(base)
        layer(x).square().sum().backward()
        found.append([layer(x), x.grad, *(parameter.grad for _, parameter in layer.trained())])
    for mine, expected in zip(*found, strict=True):
        torch.testing.assert_close(mine, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("network", ["lora", "dora", "loha", "lokr"])
def test_no_adapter_keeps_a_whole_weight_for_the_backward_pass(network):
    base, saved = linear(), []
    layer = fresh_layer(quantised(base, "nf4"), 4, 4.0, AdapterPlan(kind=network))
    layer.initialise(torch.Generator().manual_seed(0))
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor), lambda _: None):
        layer(input_of(base))
    weights = [tensor for tensor in saved if tensor.shape == base.weight.shape]
    assert not any(torch.equal(weight, layer.base.weight) for weight in weights)


@pytest.mark.parametrize("kind", FORMATS)
def test_no_whole_weight_is_kept_for_the_backward_pass(kind):
    saved = []
    layer = quantised(linear(), kind)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor), lambda _: None):
        layer(input_of(layer))
    assert not saved


def test_what_stands_around_the_blocks_stays_whole():
    unet = tiny_sd15().unet
    quantise(unet, "fp8")
    assert type(unet.conv_in) is nn.Conv2d and type(unet.time_embedding.linear_1) is nn.Linear
    inside = [module for module in unet.down_blocks.modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    assert any(type(module) is QuantisedLinear for module in inside)
    assert any(type(module) is QuantisedConv2d for module in inside)


GRADIENTS = {"fp8": 0.99, "int8": 0.999, "nf4": 0.94}


def gradients_on(base, folder, runs):
    """Of four batches, in one row."""
    job = small_job(folder, precision={"base": base}, optimizer={"text_encoder_rate": 0.0})
    learner = prepared(dataclasses.replace(job, base_model=DEMO_BASE), runs).learner
    for place in range(4):
        (part,) = learner.draw(Step(0, ((0, 1),), place, False))
        learner._losses(learner.given(part)).sum().backward()
    return torch.cat([p.grad.flatten() for p in learner.parameters if p.grad is not None])


@pytest.fixture(scope="module")
def whole_gradients(folder):
    return gradients_on("full", folder, folder / "gradients")


@pytest.mark.parametrize("kind", FORMATS)
def test_gradients_point_where_those_of_the_whole_model_point(whole_gradients, folder, tmp_path, kind):
    found = gradients_on(kind, folder, tmp_path)
    assert torch.cosine_similarity(whole_gradients, found, dim=0) > GRADIENTS[kind]


def losses_on(base, folder, runs):
    """Of 52 steps."""
    job = small_job(
        folder,
        epochs=13,
        precision={"base": base},
        optimizer={"learning_rate": 2e-3},
    )
    return train(job, runs).result().losses


@pytest.fixture(scope="module")
def whole_losses(folder):
    return losses_on("full", folder, folder / "runs")


@pytest.mark.parametrize("kind", FORMATS)
def test_a_run_on_fewer_bits_learns_as_the_whole_one(whole_losses, folder, tmp_path, kind):
    small = losses_on(kind, folder, tmp_path)
    noise = max(abs(one - other) for one, other in pairwise(whole_losses))
    assert len(small) == len(whole_losses) == 52
    assert max(abs(one - other) for one, other in zip(whole_losses, small, strict=True)) < 0.1 * noise
    assert small != whole_losses


@pytest.mark.parametrize("kind", ["lora", "dora", "loha", "lokr", "oft"])
def test_adapters_are_attached_without_a_look_at_the_weights(kind, monkeypatch):
    """Each look makes a weight anew, or fetches it from elsewhere."""
    model, plan = tiny_sd15(), AdapterPlan(kind=kind, targets="with convolutions")
    quantise(model.unet, "nf4")
    unet, targets = targets_of(model, plan.targets)[0]
    with monkeypatch.context() as patch:
        patch.setattr(FORMATS["nf4"], "unpack", None)
        adapters = Adapters(unet, targets, 4, 4.0, plan)
    assert len(targets) > 40 and {parameter.dtype for parameter in adapters.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    "layer", [nn.Linear(6, 4), nn.Conv2d(6, 4, 3), nn.Conv2d(6, 4, (3, 1), groups=2), nn.Conv2d(6, 4, 1, bias=False)]
)
def test_the_shape_of_a_weight_is_told_by_its_layer(layer):
    assert weight_shape(layer) == tuple(layer.weight.shape)
