"""The layers for a GPU, their kernels interpreted on a CPU: PyTorch's own answers and gradients, with less kept."""

from __future__ import annotations

import contextlib
import importlib.util
import sys

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.upsampling import Upsample2D
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn import functional

from tests.tiny_models import tiny_sd15, tiny_sdxl
from trainer_core.families.base_model import BaseModel
from trainer_core.families.gpu import trial
from trainer_core.families.gpu.trial import can_fuse
from trainer_core.families.quantised import quantise
from trainer_core.families.room import room_of
from trainer_core.lora.adapters import Adapters
from trainer_core.lora.names import targets_of
from trainer_core.training.checkpointing import checkpoint_blocks
from trainer_core.training.memory_count import MemoryCount
from trainer_core.training.plan.adapter import AdapterPlan
from trainer_core.training.stand_ins import stand_in_for

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is for Linux", allow_module_level=True)
from trainer_core.families.gpu import launching, layers  # noqa: E402
from trainer_core.families.gpu.convolution import add, convolved, unbiased  # noqa: E402
from trainer_core.families.gpu.doubling import doubled  # noqa: E402
from trainer_core.families.gpu.gate import gate  # noqa: E402
from trainer_core.families.gpu.group_norm import group_norm, pass_and_normalise  # noqa: E402
from trainer_core.families.gpu.joining import joined  # noqa: E402
from trainer_core.families.gpu.layer_norm import add_and_normalise  # noqa: E402
from trainer_core.families.gpu.layers import (  # noqa: E402
    FusedCrossAttnUpBlock,
    FusedResnetBlock,
    FusedTransformerBlock,
    FusedUpBlock,
    FusedUpsample,
    use_fused_layers,
)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def weighed(layer: nn.Module) -> nn.Module:
    """Weights that are not 1 and 0, frozen."""
    for place, parameter in enumerate(layer.parameters()):
        parameter.data = drawn(*parameter.shape, seed=7 + place)
    return layer.requires_grad_(False)


def assert_alike(answers, expected, inputs) -> None:
    """The same answers, and the same gradients for what led there."""
    found, wanted = (
        [*each, *torch.autograd.grad(each, inputs, [torch.empty_like(a).copy_(drawn(*a.shape, seed=9)) for a in each])]
        for each in (answers, expected)
    )
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("silu", [True, False])
@pytest.mark.parametrize("shifted", [True, False])
@pytest.mark.parametrize("shape", [(2, 40, 9, 9), (1, 60, 4, 4), (3, 130, 3, 25)], ids=str)
def test_group_norm_is_pytorchs(shape, shifted, silu):
    layer = weighed(nn.GroupNorm(10, shape[1], eps=1e-3))
    x = (3 * drawn(*shape) + 5).contiguous(memory_format=torch.channels_last).requires_grad_()  # far from 0
    shift = drawn(*shape[:2], seed=1).requires_grad_() if shifted else None
    expected = layer(x if shift is None else x + shift[:, :, None, None])
    expected = functional.silu(expected) if silu else expected
    assert_alike([group_norm(x, layer, shift, silu=silu)], [expected], [x, shift] if shifted else [x])


@pytest.mark.parametrize("shape", [(2, 40, 9, 9), (1, 60, 4, 1), (3, 130, 3, 25)], ids=str)
@pytest.mark.parametrize("way", ["as it lies", "part of another", "in another order", "nowhere", "alone"])
def test_what_passes_by_a_group_norm_is_added_to_its_gradient(shape, way):
    layer, x = weighed(nn.GroupNorm(10, shape[1])), drawn(*shape).contiguous(memory_format=torch.channels_last)
    x.requires_grad_()

    def answers(passed: torch.Tensor, normal: torch.Tensor) -> list[torch.Tensor]:
        if way == "part of another":  # as of pictures that are joined
            passed = torch.cat((drawn(*shape, seed=3).contiguous(memory_format=torch.channels_last), passed), 1)
        elif way == "in another order":
            passed = passed.transpose(2, 3).flip(2)
        return {"nowhere": [normal], "alone": [passed]}.get(way, [passed, normal])

    fused = answers(*pass_and_normalise(x, layer, silu=True))
    assert_alike(fused, answers(x, functional.silu(layer(x))), [x])


def test_group_norm_takes_pictures_in_any_order_and_half_precision():
    layer, x = weighed(nn.GroupNorm(4, 16)), drawn(2, 16, 5, 5)
    answer = group_norm(x.bfloat16(), layer.bfloat16(), silu=True)
    assert answer.dtype == torch.bfloat16 and answer.is_contiguous(memory_format=torch.channels_last)
    exact = functional.silu(layer.float()(x.bfloat16().float()))
    assert (answer - exact).norm() / exact.norm() < 5e-3, "one rounding, which Triton's interpreter cuts off"


@pytest.mark.parametrize("width", [64, 90])
def test_layer_norm_is_pytorchs_alone_and_behind_a_sum(width):
    layer = weighed(nn.LayerNorm(width))
    x, y = (drawn(2, 7, width, seed=seed).requires_grad_() for seed in (0, 1))
    assert_alike(add_and_normalise(x, None, layer), (x, layer(x)), [x])
    assert_alike(add_and_normalise(x, y, layer), (x + y, layer(x + y)), [x, y])
    total, _ = add_and_normalise(x, y, layer)  # the norm's answer leads nowhere
    assert_alike([total], [x + y], [x, y])
    assert_alike([add_and_normalise(x, y, layer)[1]], [layer(x + y)], [x, y])
    bias = drawn(width, seed=4)
    assert_alike(add_and_normalise(x, y, layer, bias), (x + y + bias, layer(x + y + bias)), [x, y])
    assert_alike([add(x, y, bias)], [x + y + bias], [x, y])


@pytest.mark.parametrize("room", [0, 8])
def test_kernels_leave_room_behind_what_they_write(room):
    layer, (x, y) = weighed(nn.LayerNorm(20)), (drawn(2, 7, 20, seed=seed).requires_grad_() for seed in (0, 1))
    found = []
    for tensor in (x, y):
        tensor.register_hook(lambda gradient: found.append(room_of(gradient)))
    total, once = add_and_normalise(x * 1, None, layer, room=room, gradient_room=room)
    total, twice = add_and_normalise(total, y, layer, gradient_room=room)  # the first reads the second's gradient
    answer = gate(twice, room=room, gradient_room=room)
    value, opened = layer(x + y).chunk(2, dim=-1)
    assert_alike([once, total, answer], [layer(x), x + y, value * functional.gelu(opened)], [x, y])
    assert room_of(once) == room_of(answer) == room and found[:2] == [room, 0]


@pytest.mark.parametrize("bias", [None, drawn(2 * 1100, seed=4)])
def test_the_gate_is_geglu(bias):
    x = drawn(2, 3, 2 * 1100).requires_grad_()
    value, opened = (x if bias is None else x + bias).chunk(2, dim=-1)
    assert_alike([gate(x, bias)], [value * functional.gelu(opened)], [x])


def test_a_convolution_keeps_no_input_and_leaves_its_bias_to_the_sum():
    layer = weighed(nn.Conv2d(8, 16, 3, stride=2, padding=1))
    x, beside = drawn(2, 8, 9, 9).requires_grad_(), drawn(2, 16, 5, 5, seed=1).requires_grad_()
    kept: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        plain = unbiased(x, layer)
        biased = convolved(x, layer)
    assert [tensor is layer.weight for tensor in kept] == [True, True]
    assert_alike([add(beside, plain, layer.bias), biased], [beside + layer(x), layer(x)], [x, beside])


@pytest.mark.parametrize(("channels", "others"), [(64, 128), (40, 24), (3, 130), (1, 1)])
@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format], ids=str)
def test_joined_pictures_are_pytorchs(channels, others, order):
    x, y = (
        drawn(2, count, 7, 11, seed=count).contiguous(memory_format=order).requires_grad_()
        for count in (channels, others)
    )
    answer = joined(x, y)
    assert answer.is_contiguous(memory_format=torch.channels_last)
    assert_alike([answer], [torch.cat((x, y), 1)], [x, y])
    of_x, of_y = torch.autograd.grad(joined(x, y).square().sum(), [x, y])
    for gradient in (of_x, of_y):
        assert gradient.is_contiguous(memory_format=torch.channels_last), "no part of another"


@pytest.mark.parametrize("shape", [(2, 40, 5, 9), (1, 4, 1, 1), (3, 130, 8, 7)], ids=str)
@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format], ids=str)
def test_a_doubled_picture_is_pytorchs(shape, order):
    x = drawn(*shape).contiguous(memory_format=order).requires_grad_()
    answer = doubled(x)
    assert answer.is_contiguous(memory_format=torch.channels_last)
    assert_alike([answer], [functional.interpolate(x, scale_factor=2.0)], [x])


def test_gradients_of_a_doubled_picture_are_added_up_before_they_are_rounded():
    x = torch.zeros(1, 1, 1, 1, dtype=torch.half, requires_grad=True)
    doubled(x).backward(torch.tensor([[[[2048.0, 1.0], [1.0, 1.0]]]], dtype=torch.half))
    assert x.grad.item() == 2052, "2048 + 1 is 2048 in fp16"


@pytest.mark.parametrize(("asked", "is_fused"), [(None, True), ((8, 10), True), ((7, 10), False)])
def test_an_upsampling_of_another_size_than_twice_is_diffusers_own(asked, is_fused, monkeypatch):
    layer = weighed(Upsample2D(6, use_conv=True, out_channels=4))
    x = drawn(1, 6, 4, 5).requires_grad_()
    expected = layer(x, asked)
    use_fused_layers(nn.Sequential(layer))
    assert type(layer) is FusedUpsample
    sizes = []
    monkeypatch.setattr(layers, "doubled", lambda x: sizes.append(x.shape) or doubled(x))
    assert_alike([layer(x, asked)], [expected], [x])
    assert len(sizes) == is_fused


# ------------------------------------------------------------------------------------------------------ the UNet


@pytest.fixture
def in_torch(monkeypatch):
    """Kernels' work done by PyTorch: interpreting a whole UNet's would take minutes."""

    def halves(x, bias=None, **_):
        value, opened = (x if bias is None else x + bias).chunk(2, dim=-1)
        return value * functional.gelu(opened)

    pictures_in_torch(monkeypatch)
    monkeypatch.setattr(layers, "gate", halves)

    def sum_and_norm(x, y, layer, bias=None, **_):
        total = summed(x, y, bias)
        return total, layer(total)

    monkeypatch.setattr(layers, "add_and_normalise", sum_and_norm)


def pictures_in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done with pictures between multiplications, and with sums of anything."""
    monkeypatch.setattr(layers, "group_norm", plain_group_norm)
    monkeypatch.setattr(layers, "pass_and_normalise", lambda x, *given, **how: (x, plain_group_norm(x, *given, **how)))
    monkeypatch.setattr(layers, "joined", lambda x, y: torch.cat((x, y), 1))
    monkeypatch.setattr(layers, "doubled", lambda x: functional.interpolate(x, scale_factor=2.0))
    monkeypatch.setattr(layers, "add", plain_add)


def plain_group_norm(x: torch.Tensor, layer: nn.GroupNorm, shift: torch.Tensor | None = None, *, silu: bool):
    y = nn.GroupNorm.forward(layer, x if shift is None else x + shift[:, :, None, None])
    return functional.silu(y) if silu else y


def plain_add(x: torch.Tensor, y: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return x + y + (bias[:, None, None] if x.dim() == 4 else bias)


def summed(x: torch.Tensor, y: torch.Tensor | None, bias: torch.Tensor | None) -> torch.Tensor:
    """Of what there is."""
    return sum((one for one in (y, bias) if one is not None), start=x)


def tiny(family: str = "sd15") -> BaseModel:
    model = {"sd15": tiny_sd15, "sdxl": tiny_sdxl}[family]()
    model.unet.requires_grad_(False).to(memory_format=torch.channels_last)
    return model


def unets(family: str) -> list[UNet2DConditionModel]:
    """One with fused layers and one without, of the same weights."""
    found = [tiny(family).unet for _ in range(2)]
    use_fused_layers(found[0])
    return found


def answer_of(unet: UNet2DConditionModel, x_BCHW: torch.Tensor) -> torch.Tensor:
    times, states, added = told_to(unet, len(x_BCHW))
    return unet(x_BCHW, times, states, added_cond_kwargs=added or None).sample


def told_to(unet: UNet2DConditionModel, count: int) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """Timesteps, text states and what else a UNet is told of so many pictures."""
    config, added = unet.config, {}
    if config.addition_embed_type == "text_time":
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        added = {"text_embeds": drawn(count, pooled, seed=3), "time_ids": torch.ones(count, 6)}
    states = torch.linspace(-2, 2, count * 5 * config.cross_attention_dim).reshape(count, 5, -1)
    return torch.tensor([7] * count), states, added


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_fused_unet_answers_as_a_plain_one_and_keeps_its_names(family, in_torch):
    fused, plain = unets(family)
    kinds = {type(module) for module in fused.modules()}
    assert {FusedResnetBlock, FusedTransformerBlock, FusedUpsample, FusedUpBlock, FusedCrossAttnUpBlock} <= kinds
    assert list(fused.state_dict()) == list(plain.state_dict())
    x = drawn(2, plain.config.in_channels, 8, 8).requires_grad_()
    assert_alike([answer_of(fused, x)], [answer_of(plain, x)], [x])


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_the_blocks_that_are_computed_again_are_those_of_a_plain_unet(family, in_torch):
    def computed_again(unet: UNet2DConditionModel) -> list[str]:
        names, again = {module: name for name, module in unet.named_modules()}, []
        unet.train().enable_gradient_checkpointing(lambda block, *given: again.append(names[block]) or block(*given))
        answer_of(unet, drawn(1, unet.config.in_channels, 8, 8).requires_grad_())
        return again

    fused, plain = map(computed_again, unets(family))
    assert fused == plain and any("up_blocks.0.resnets" in name for name in fused)


def test_blocks_that_are_to_be_compiled_stay_as_they_are():
    unet = tiny().unet
    use_fused_layers(unet, transformers=False)
    kinds = {type(module).__name__ for module in unet.modules()}
    assert {"BasicTransformerBlock", "GEGLU", "FusedResnetBlock"} <= kinds and "FusedTransformerBlock" not in kinds


def packed(model) -> None:
    quantise(model.unet, "nf4")


def checkpointed(model) -> None:
    checkpoint_blocks(model, 1)


@pytest.mark.parametrize("targets", ["attention and mlp", "with convolutions"])
@pytest.mark.parametrize("change", [lambda model: None, packed, checkpointed])
def test_adapters_on_fused_layers_learn_the_same(targets, change, in_torch):
    gradients = []
    for is_fused in (True, False):
        model, plan = tiny(), AdapterPlan(targets=targets)
        if is_fused:
            use_fused_layers(model.unet)
        change(model)
        (unet, found), *_ = targets_of(model, plan.targets, plan.blocks)
        adapters = Adapters(unet, found, 4, 4, plan)
        for place, parameter in enumerate(adapters.parameters()):
            parameter.data = drawn(*parameter.shape, seed=place) / 10
        answer_of(model.unet.train(), drawn(2, model.unet.config.in_channels, 8, 8)).square().mean().backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in adapters.parameters()]))
    fused, plain = gradients
    assert (fused - plain).norm() / plain.norm() < 1e-4


def test_a_step_keeps_less_as_its_memory_is_counted():
    def kept(unet: UNet2DConditionModel) -> int:
        with FakeTensorMode():
            stand_in_for(unet, torch.float32, channels_last=True)
            with MemoryCount() as count:
                answer = answer_of(unet, torch.zeros(1, unet.config.in_channels, 32, 32).requires_grad_())
                return count.live if answer.requires_grad else 0

    fused, plain = map(kept, unets("sd15"))
    assert 0 < fused < 0.8 * plain


# ------------------------------------------------------------------------------------------- whether they can be used


def test_nothing_is_fused_on_a_cpu_or_where_no_gpu_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    can_fuse.cache_clear()
    assert not can_fuse("cpu", torch.float32) and not can_fuse("cuda", torch.float32)


@pytest.fixture
def on_a_gpu(monkeypatch):
    can_fuse.cache_clear()
    monkeypatch.setattr(trial, "_has_gpu", lambda device: True)
    yield
    can_fuse.cache_clear()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_kernels_are_tried_in_the_models_format(on_a_gpu, dtype):
    assert can_fuse("cpu", dtype)


def test_kernels_are_tried_for_real_while_a_step_is_only_counted(on_a_gpu):
    with FakeTensorMode():
        assert can_fuse("cpu", torch.float32)
        assert isinstance(torch.zeros(1), FakeTensor)


WRONG = {
    "group_norm": lambda x, layer, shift, silu: 1.01 * functional.silu(layer(x + shift[0, :, None, None])),
    "pass_and_normalise": lambda x, layer, silu: (1.01 * x, layer(x)),
    "add_and_normalise": lambda x, y, layer, bias: (x + y, layer(x + y)),
    "add": lambda x, y, bias: x + y + 1.01 * bias[:, None, None],
    "doubled": lambda x: functional.interpolate(x, scale_factor=2.0, mode="bilinear"),
    "joined": lambda x, y: torch.cat((y, x), 1),
    "gate": lambda x, bias: x.chunk(2, dim=-1)[0] * functional.gelu(x.chunk(2, dim=-1)[1]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_kernel_that_is_wrong_is_found(on_a_gpu, monkeypatch, name):
    kernels = gate, group_norm, pass_and_normalise, add_and_normalise, add, doubled, joined
    functions = {one.__name__: one for one in kernels}
    monkeypatch.setattr(sys.modules[functions[name].__module__], name, WRONG[name])
    assert not can_fuse("cpu", torch.float32)


def test_a_machine_without_a_compiler_has_none(on_a_gpu, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(sys.modules[group_norm.__module__], "launch", fails)
    assert not can_fuse("cpu", torch.float32)
    can_fuse.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not can_fuse("cpu", torch.float32)


def test_kernels_start_on_the_device_of_their_answer(monkeypatch):
    current, seen = [None], []

    @contextlib.contextmanager
    def device(place):
        current.append(place)
        yield
        current.pop()

    class Kernel:
        def __getitem__(self, grid):
            return lambda *_, **__: seen.append((grid, current[-1]))

    monkeypatch.setattr(launching, "is_gpu", lambda device: True)
    monkeypatch.setattr(torch.cuda, "device", device)
    launching.launch(Kernel(), (3,), torch.empty(1), 4, SIZE=5)
    assert seen == [((3,), torch.device("cpu"))]
