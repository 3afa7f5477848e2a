"""Layers and attention on the CPU by oneDNN: the answers and gradients of PyTorch's own, with less kept."""

from __future__ import annotations

import time
import timeit

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.tiny_models import tiny_sd15
from trainer_core.families import onednn
from trainer_core.families.cpu_attention import CpuAttention, attend, use_cpu_attention
from trainer_core.families.onednn import FrozenConv2d, FrozenLinear, use_onednn

pytestmark = pytest.mark.skipif(not onednn.can_multiply(), reason="this PyTorch has no oneDNN")

CONVOLUTIONS = {
    "in columns": ((64, 16, 3, 3), 1, 1, 6),
    "in columns, every second place": ((64, 16, 3, 3), 2, 1, 7),
    "of many places": ((8, 16, 3, 3), 1, 1, 12),
    "of many places, every second": ((8, 16, 3, 3), 2, 1, 12),
    "of one place": ((24, 16, 1, 1), 1, 0, 6),
}
"""Weight, stride, padding, side of the input."""


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def gradients(answer: torch.Tensor, *inputs: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(answer, inputs, drawn(*answer.shape, seed=9)))


def kept_bytes(compute) -> int:
    """Of the tensors that a computation keeps for its backward pass."""
    kept: dict[int, int] = {}
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.update({t.data_ptr(): t.nbytes}) or t, lambda t: t):
        compute()
    return sum(kept.values())


def assert_alike(found, expected) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("outputs", [5, 40], ids=["fewer", "more"])
@pytest.mark.parametrize("has_added", [False, True])
def test_a_linear_layer_and_all_its_gradients_are_pytorchs(outputs, has_added):
    x, added = drawn(2, 9, 16).requires_grad_(), drawn(2, 9, outputs, seed=1).requires_grad_()
    weight, bias = drawn(outputs, 16, seed=2).requires_grad_(), drawn(outputs, seed=3).requires_grad_()
    expected = functional.linear(x, weight, bias) + (added if has_added else 0)
    found = onednn.linear(x, weight, bias, added if has_added else None)
    inputs = (x, weight, bias, added)[: 4 if has_added else 3]
    assert found.grad_fn.name() == "_LinearBackward"
    assert_alike([found, *gradients(found, *inputs)], [expected, *gradients(expected, *inputs)])


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_frozen_convolution_and_its_inputs_gradient_are_pytorchs(name, batch):
    shape, stride, padding, side = CONVOLUTIONS[name]
    own = nn.Conv2d(shape[1], shape[0], shape[2], stride, padding).requires_grad_(False)
    own.weight.copy_(drawn(*shape))
    plain = nn.Conv2d(shape[1], shape[0], shape[2], stride, padding).requires_grad_(False)
    plain.load_state_dict(own.state_dict())
    use_onednn(own)
    x = drawn(batch, shape[1], side, side + 2).contiguous(memory_format=torch.channels_last).requires_grad_()
    found, expected = own(x), plain(x)
    assert_alike([found, *gradients(found, x)], [expected, *gradients(expected, x)])


def test_frozen_layers_keep_nothing_of_their_inputs():
    linear, convolution = nn.Linear(16, 4), nn.Conv2d(16, 32, 3, padding=1)
    for layer, x in ((linear, drawn(50, 16)), (convolution, drawn(1, 16, 4, 4))):
        use_onednn(layer.requires_grad_(False))
        x.requires_grad_()
        assert kept_bytes(lambda layer=layer, x=x: layer(x)) == layer.weight.nbytes


def test_only_plain_layers_are_taken_and_keep_their_names_and_weights():
    class Quantised(nn.Linear):
        pass

    model = nn.Sequential(nn.Linear(4, 4), Quantised(4, 4), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, groups=2))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    use_onednn(model)
    assert [type(layer) for layer in model] == [FrozenLinear, Quantised, FrozenConv2d, nn.Conv2d]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_other_number_formats_and_autocast_are_left_to_pytorch():
    x, weight = drawn(3, 8), drawn(4, 8, seed=1)
    assert torch.equal(onednn.linear(x.double(), weight.double()), functional.linear(x.double(), weight.double()))
    with torch.autocast("cpu", torch.bfloat16):
        assert onednn.linear(x, weight).dtype == torch.bfloat16


@pytest.mark.parametrize(("queries", "keys"), [(300, 300), (256, 600)])
def test_long_attention_and_its_gradients_are_pytorchs(queries, keys):
    inputs = [drawn(2, 3, n, 8, seed=n + i).requires_grad_() for i, n in enumerate((queries, keys, keys))]
    found, expected = attend(*inputs), functional.scaled_dot_product_attention(*inputs)
    assert found.grad_fn.name() == "_AttentionBackward"
    assert_alike([found, *gradients(found, *inputs)], [expected, *gradients(expected, *inputs)])


def test_a_unet_with_both_answers_and_learns_as_before():
    inputs = (drawn(1, 4, 16, 24).requires_grad_(), torch.tensor([500]), drawn(1, 77, 64, seed=1))
    model = tiny_sd15()
    before = model.unet(*inputs).sample
    before = [before, *gradients(before, inputs[0])]
    use_onednn(model.unet)
    use_cpu_attention(model.unet)
    after = model.unet(*inputs).sample
    assert all(type(processor) is CpuAttention for processor in model.unet.attn_processors.values())
    assert_alike([after, *gradients(after, inputs[0])], before)
    again = model.unet(*inputs).sample
    assert torch.equal(again, after)


def test_a_part_of_a_larger_matrix_is_multiplied_as_fast_as_a_whole_one():
    x, whole = drawn(32, 1024), drawn(320, 1024)
    part = drawn(1024, 640)[:, :320].t().copy_(whole)

    def least_seconds(weight: torch.Tensor) -> float:
        return min(timeit.repeat(lambda: onednn.multiply(x, weight), number=1, repeat=5, timer=time.thread_time))

    torch.testing.assert_close(onednn.multiply(x, part), onednn.multiply(x, whole))
    assert least_seconds(part) < 20 * least_seconds(whole)
