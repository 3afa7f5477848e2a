"""Layers and attention on a CPU: the answers and gradients of PyTorch's own, with less kept."""

from __future__ import annotations

import time
import timeit

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention import FeedForward
from torch import nn
from torch.nn import functional

from tests.tiny_models import tiny_sd15
from tests.training_jobs import prepared, small_job
from trainer_core.families.attention import use_attention
from trainer_core.families.cpu import attention, matrices, winograd
from trainer_core.families.cpu.attention import attend
from trainer_core.families.cpu.feed_forward import FeedForwardInParts
from trainer_core.families.cpu.frozen import FrozenConv2d, FrozenLinear
from trainer_core.families.cpu.layers import transform_convolutions, use_cpu_layers
from trainer_core.lora.joint_attention import JointAttention

pytestmark = pytest.mark.skipif(not matrices.can_multiply(), reason="this PyTorch has no oneDNN")

CONVOLUTIONS = {
    "in columns": ((64, 16, 3, 3), 1, 1, 6),
    "in columns, every second place": ((64, 16, 3, 3), 2, 1, 7),
    "of many places": ((8, 16, 3, 3), 1, 1, 12),
    "of many places, every second": ((8, 16, 3, 3), 2, 1, 12),
    "of one place": ((24, 16, 1, 1), 1, 0, 6),
}
"""Weight, stride, padding, side of the input."""


def tiny_unet(use_linear_projection: bool = False) -> UNet2DConditionModel:
    """SDXL's kind projects tokens, SD1.5's pictures."""
    unet = tiny_sd15().unet
    if not use_linear_projection:
        return unet
    torch.manual_seed(0)
    return UNet2DConditionModel.from_config({**unet.config, "use_linear_projection": True}).requires_grad_(False)


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


@pytest.mark.usefixtures("multiplied_by")
@pytest.mark.parametrize("outputs", [5, 40], ids=["fewer", "more"])
@pytest.mark.parametrize("has_added", [False, True])
def test_a_linear_layer_and_all_its_gradients_are_pytorchs(outputs, has_added):
    x, added = drawn(2, 9, 16).requires_grad_(), drawn(2, 9, outputs, seed=1).requires_grad_()
    weight, bias = drawn(outputs, 16, seed=2).requires_grad_(), drawn(outputs, seed=3).requires_grad_()
    expected = functional.linear(x, weight, bias) + (added if has_added else 0)
    found = matrices.linear(x, weight, bias, added if has_added else None)
    inputs = (x, weight, bias, added)[: 4 if has_added else 3]
    assert found.grad_fn.name() == "_LinearBackward"
    assert_alike([found, *gradients(found, *inputs)], [expected, *gradients(expected, *inputs)])


@pytest.mark.usefixtures("multiplied_by")
@pytest.mark.parametrize("largest", [30 * 2**20, 10_000], ids=["whole", "in parts"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_frozen_convolution_and_its_inputs_gradient_are_pytorchs(name, batch, largest, monkeypatch):
    monkeypatch.setattr(matrices, "_LARGEST", largest)
    shape, stride, padding, side = CONVOLUTIONS[name]
    own = nn.Conv2d(shape[1], shape[0], shape[2], stride, padding).requires_grad_(False)
    own.weight.copy_(drawn(*shape))
    plain = nn.Conv2d(shape[1], shape[0], shape[2], stride, padding).requires_grad_(False)
    plain.load_state_dict(own.state_dict())
    use_cpu_layers(own)
    x = drawn(batch, shape[1], side, side + 2).contiguous(memory_format=torch.channels_last).requires_grad_()
    found, expected = own(x), plain(x)
    assert_alike([found, *gradients(found, x)], [expected, *gradients(expected, x)])


def test_frozen_layers_keep_nothing_of_their_inputs():
    linear, convolution = nn.Linear(16, 4), nn.Conv2d(16, 32, 3, padding=1)
    for layer, x in ((linear, drawn(50, 16)), (convolution, drawn(1, 16, 4, 4))):
        use_cpu_layers(layer.requires_grad_(False))
        x.requires_grad_()
        assert kept_bytes(lambda layer=layer, x=x: layer(x)) == layer.weight.nbytes


def test_only_plain_layers_are_taken_and_keep_their_names_and_weights():
    class Quantised(nn.Linear):
        pass

    model = nn.Sequential(nn.Linear(4, 4), Quantised(4, 4), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, groups=2))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    use_cpu_layers(model)
    assert [type(layer) for layer in model] == [FrozenLinear, Quantised, FrozenConv2d, nn.Conv2d]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_other_number_formats_and_autocast_are_left_to_pytorch():
    x, weight = drawn(3, 8), drawn(4, 8, seed=1)
    assert torch.equal(matrices.linear(x.double(), weight.double()), functional.linear(x.double(), weight.double()))
    with torch.autocast("cpu", torch.bfloat16):
        assert matrices.linear(x, weight).dtype == torch.bfloat16


@pytest.mark.parametrize(("queries", "keys"), [(384, 384), (400, 600)])
@pytest.mark.parametrize("flash", [False, True], ids=["ours", "PyTorch's"])
@pytest.mark.parametrize("scores", [2**21, 100_000], ids=["whole", "in parts"])
def test_long_attention_and_its_gradients_are_pytorchs(queries, keys, scores, flash, monkeypatch):
    monkeypatch.setattr(attention, "_SCORES", scores)
    monkeypatch.setattr(matrices, "ONEDNN_IS_FAR_AHEAD", not flash)
    inputs = [drawn(2, 3, n, 8, seed=n + i).requires_grad_() for i, n in enumerate((queries, keys, keys))]
    found, expected = attend(*inputs), functional.scaled_dot_product_attention(*inputs)
    assert (found.grad_fn.name() == "_AttentionBackward") != flash
    assert_alike([found, *gradients(found, *inputs)], [expected, *gradients(expected, *inputs)])


def test_few_places_and_many_weights_are_multiplied_the_other_way_round(monkeypatch):
    x, weight, bias = drawn(2, 3, 8, 1024), drawn(1024, 1024, seed=1), drawn(1024, seed=2)
    shapes = []
    real = matrices._MULTIPLY
    monkeypatch.setattr(matrices, "_MULTIPLY", lambda *args: shapes.append(args[0].shape) or real(*args))
    for has_bias in (None, bias):
        found = matrices.multiply(x, weight, has_bias)
        assert found.is_contiguous()
        torch.testing.assert_close(found, functional.linear(x, weight, has_bias), rtol=1e-5, atol=1e-4)
    matrices.multiply(x.repeat(2, 1, 1, 1), weight)
    assert shapes == [(1024, 1024), (1024, 1024), (4, 3, 8, 1024)]


@pytest.mark.parametrize(
    ("processor", "is_ahead"),
    [
        ("vendor_id\t: AuthenticAMD\ncpu family\t: 26\nmodel\t\t: 2\n", True),
        ("vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 97\n", False),  # Zen 4
        ("vendor_id\t: GenuineIntel\ncpu family\t: 26\nmodel\t\t: 1\n", False),
        ("AMD64 Family 26 Model 68 Stepping 0, AuthenticAMD", True),
        ("AMD64 Family 25 Model 33 Stepping 2, AuthenticAMD", False),
        ("arm", False),
    ],
)
def test_onednn_is_far_ahead_of_mkl_on_amds_processors_of_whole_width(processor, is_ahead, monkeypatch):
    monkeypatch.setattr(matrices, "MKL_IS_WHOLE", False)
    assert matrices._has_twice_mkls_width(processor) == is_ahead
    monkeypatch.setattr(matrices, "MKL_IS_WHOLE", True)
    assert not matrices._has_twice_mkls_width(processor)


def test_mkl_has_many_places_where_it_is_whole(monkeypatch):
    counted = []
    real = matrices._MULTIPLY
    monkeypatch.setattr(matrices, "_MULTIPLY", lambda *args: counted.append(1) or real(*args))

    def is_by_mkl(places: int, weight: torch.Tensor) -> bool:
        counted.clear()
        matrices.multiply(drawn(2, places // 2, 8), weight)
        return not counted

    weight, wide, turned = drawn(16, 8), drawn(4104, 8), drawn(8, 4104).t()
    monkeypatch.setattr(matrices, "MKL_IS_WHOLE", True)
    assert is_by_mkl(256, weight) and not is_by_mkl(254, weight)
    assert not is_by_mkl(256, wide) and is_by_mkl(258, wide) and is_by_mkl(256, turned)
    monkeypatch.setattr(matrices, "MKL_IS_WHOLE", False)
    assert not is_by_mkl(256, weight)


@pytest.mark.parametrize("multiplied_by", ["oneDNN"], indirect=True)  # and attention by our own
@pytest.mark.parametrize("largest", [30 * 2**20, 40_000], ids=["whole", "in parts"])
@pytest.mark.parametrize("is_linear", [False, True], ids=["projected as a picture", "projected as tokens"])
def test_a_unet_with_all_of_it_answers_and_learns_as_before(is_linear, largest, multiplied_by, monkeypatch):
    monkeypatch.setattr(matrices, "_LARGEST", largest)
    monkeypatch.setattr(winograd, "_LEAST_CHANNELS", 1)
    inputs = (drawn(1, 4, 24, 24).requires_grad_(), torch.tensor([500]), drawn(1, 77, 64, seed=1))
    unet = tiny_unet(is_linear)
    before = unet(*inputs).sample
    before = [before, *gradients(before, inputs[0])]
    use_cpu_layers(unet)
    transform_convolutions(unet)
    use_attention(unet, JointAttention(attend))
    after = unet(*inputs).sample
    assert_alike([after, *gradients(after, inputs[0])], before)
    again = unet(*inputs).sample
    assert torch.equal(again, after)


def test_feed_forward_layers_take_tokens_in_parts_unless_they_are_told_not_to(monkeypatch):
    monkeypatch.setattr(matrices, "_LARGEST", 40_000)
    inputs = (drawn(1, 4, 24, 24), torch.tensor([500]), drawn(1, 77, 64, seed=1))
    tokens = {}
    for in_parts in (True, False):
        unet = tiny_unet()
        use_cpu_layers(unet, in_parts=in_parts)
        seen = tokens[in_parts] = []
        for name, layer in unet.named_modules():
            if name.endswith("ff.net.0.proj"):
                layer.register_forward_hook(lambda _, given, answer, seen=seen: seen.append(answer.nbytes))
        unet(*inputs)
    assert max(tokens[True]) <= 40_000 < max(tokens[False])
    assert sum(tokens[True]) == sum(tokens[False])


def test_a_unets_pictures_stay_channels_last():
    """Else every convolution turns what it is given."""
    unet = tiny_unet()
    use_cpu_layers(unet)
    turned = []
    for name, layer in unet.named_modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_pre_hook(
                lambda _, given, name=name: (
                    turned.append(name) if not given[0].is_contiguous(memory_format=torch.channels_last) else None
                )
            )
    unet(drawn(1, 4, 16, 16), torch.tensor([500]), drawn(1, 77, 64, seed=1))
    assert turned in ([], ["conv_in"])


def test_a_part_of_a_larger_matrix_is_multiplied_as_fast_as_a_whole_one():
    x, whole = drawn(32, 1024), drawn(320, 1024)
    part = drawn(1024, 640)[:, :320].t().copy_(whole)

    def least_seconds(weight: torch.Tensor) -> float:
        return min(timeit.repeat(lambda: matrices.multiply(x, weight), number=1, repeat=5, timer=time.thread_time))

    torch.testing.assert_close(matrices.multiply(x, part), matrices.multiply(x, whole))
    assert least_seconds(part) < 20 * least_seconds(whole)


@pytest.mark.parametrize(
    ("adapter", "in_parts"),
    [({}, True), ({"rank_dropout": 0.1}, False), ({"kind": "loha"}, False), ({"kind": "dora"}, False)],
    ids=str,
)
def test_only_what_costs_nothing_to_call_again_is_called_for_each_part(tmp_path, adapter, in_parts):
    """Other kinds build a weight at every call; dropout is drawn for all tokens of a call."""
    learner = prepared(small_job(tmp_path, adapter=adapter), tmp_path / "runs").learner
    kinds = {type(layer) for layer in learner.model.unet.modules() if isinstance(layer, FeedForward)}
    assert kinds == {FeedForwardInParts if in_parts else FeedForward}
