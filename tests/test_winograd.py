"""3x3 convolutions whose weights are kept transformed: PyTorch's answers and gradients, from fewer multiplications."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from tests.tiny_models import tiny_sd15
from tests.training_jobs import digest, prepared, small_job, train
from trainer_core.families.cpu import layers, matrices, winograd
from trainer_core.families.cpu.layers import (
    FrozenConv2d,
    blocks_of_many_places,
    bytes_of_transforms,
    transform_convolutions,
    use_cpu_layers,
)
from trainer_core.families.cpu.winograd import WinogradConv2d
from trainer_core.training import preparation
from trainer_core.training.device_layers import usual_pixels
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.shares import first_batches

pytestmark = pytest.mark.skipif(not matrices.can_multiply(), reason="this PyTorch has no oneDNN")


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def frozen(inputs: int, outputs: int, *, bias: bool = True) -> tuple[FrozenConv2d, nn.Conv2d]:
    """A layer and a plain copy."""
    torch.manual_seed(0)
    own, plain = (nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias).requires_grad_(False) for _ in range(2))
    plain.load_state_dict(own.state_dict())
    use_cpu_layers(own)
    return own, plain


@pytest.mark.usefixtures("multiplied_by")
@pytest.mark.parametrize("largest", [2**22, 10_000], ids=["whole", "in parts"])
@pytest.mark.parametrize("size", [(8, 12), (7, 9), (1, 4), (3, 1)], ids=str)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("channels", [(16, 24, True), (24, 16, False)], ids=str)
def test_answers_and_gradients_are_pytorchs(channels, batch, size, largest, monkeypatch):
    monkeypatch.setattr(winograd, "_LARGEST", largest)
    inputs, outputs, bias = channels
    own, plain = frozen(inputs, outputs, bias=bias)
    WinogradConv2d.transform(own)
    for x in (drawn(batch, inputs, *size), drawn(batch, inputs, *size).contiguous(memory_format=torch.channels_last)):
        x.requires_grad_()
        found, expected = own(x), plain(x)
        towards = drawn(*expected.shape, seed=1)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        gradients = [torch.autograd.grad(answer, x, towards) for answer in (found, expected)]
        torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)
        assert found.is_contiguous(memory_format=torch.channels_last)


def test_it_rounds_no_more_than_a_plain_convolution():
    own, plain = frozen(320, 320)
    x = drawn(1, 320, 32, 32).contiguous(memory_format=torch.channels_last)
    exact = functional.conv2d(x.double(), plain.weight.double(), plain.bias.double(), padding=1)
    alone = (own(x) - exact).norm()
    WinogradConv2d.transform(own)
    assert (own(x) - exact).norm() < 1.5 * alone


def test_it_multiplies_two_and_a_quarter_times_less(monkeypatch):
    own, plain = frozen(16, 24)
    WinogradConv2d.transform(own)
    x, counted = drawn(1, 16, 8, 8), []
    multiply, add_product = winograd.multiply, winograd.add_product
    monkeypatch.setattr(
        winograd, "multiply", lambda x, w, bias=None: counted.append(2 * x.numel() * len(w)) or multiply(x, w, bias)
    )
    monkeypatch.setattr(
        winograd, "add_product", lambda total, x, w: counted.append(2 * x.numel() * len(w)) or add_product(total, x, w)
    )
    with FlopCounterMode(display=False) as counter:
        plain(x)
    own(x)
    assert sum(counted) * 2.25 == counter.get_total_flops()


def test_only_the_transformed_weight_is_kept_and_the_kernel_can_be_had_from_it():
    own, plain = frozen(16, 24)
    WinogradConv2d.transform(own)
    assert [name for name, _ in own.named_parameters()] == ["bias"]
    assert own.transformed_16OC.numel() == round((1 + winograd.GROWTH) * plain.weight.numel())
    torch.testing.assert_close(own.weight, plain.weight)
    x = drawn(1, 16, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        found = own(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), plain(x), rtol=0.05, atol=0.05)


def test_nothing_is_kept_for_the_backward_pass_but_the_weight():
    own, _ = frozen(16, 24)
    WinogradConv2d.transform(own)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.data_ptr()) or t, lambda t: t):
        own(drawn(1, 16, 8, 8).requires_grad_())
    assert kept == [own.transformed_16OC.data_ptr()]


def test_only_large_plain_3x3_convolutions_are_transformed_and_none_that_somebody_reads():
    model = nn.Sequential(
        nn.Conv2d(192, 192, 3, padding=1),
        nn.Conv2d(192, 192, 3, padding=1),
        nn.Conv2d(192, 191, 3, padding=1),
        nn.Conv2d(192, 192, 3, padding=1, stride=2),
        nn.Conv2d(192, 192, 3),
        nn.Conv2d(192, 192, 1),
        nn.Conv2d(192, 192, 3, padding=1, padding_mode="circular"),
    ).requires_grad_(False)
    use_cpu_layers(model)
    transform_convolutions(model, keeping=[model[1]])
    assert [type(layer) for layer in model] == [WinogradConv2d, *[FrozenConv2d] * 5, nn.Conv2d]
    weights = bytes_of_transforms(model)
    assert weights == round(winograd.GROWTH * model[1].weight.nbytes), "what is transformed grows no more"
    assert bytes_of_transforms(model, keeping=[model[1]]) == 0


def test_blocks_of_many_places_are_those_where_pictures_are_large_enough():
    unet = tiny_sd15().unet
    down, up = unet.down_blocks, unet.up_blocks
    assert list(blocks_of_many_places(unet, 191)) == []
    first = [down[0], up[-2].upsamplers[0], up[-1].resnets]
    assert list(blocks_of_many_places(unet, 192)) == list(blocks_of_many_places(unet, 767)) == first
    everywhere = {layer for block in blocks_of_many_places(unet, 2**20) for layer in block.modules()}
    plain = {layer for layer in unet.modules() if isinstance(layer, nn.Conv2d) and layer.padding == (1, 1)}
    assert everywhere & plain == plain - {unet.conv_in, unet.conv_out}


@pytest.fixture
def transforms_all(monkeypatch):
    monkeypatch.setattr(layers, "_MANY_PLACES", 1)
    monkeypatch.setattr(winograd, "_LEAST_CHANNELS", 1)


@pytest.mark.parametrize(("kind", "stays"), [("lora", False), ("loha", True), ("dora", True)])
@pytest.mark.usefixtures("transforms_all")
def test_a_run_transforms_its_models_but_for_what_adapters_read(tmp_path, kind, stays):
    trainer = prepared(small_job(tmp_path, adapter={"kind": kind, "targets": "with convolutions"}), tmp_path / "runs")
    unet = trainer.learner.model.unet
    adapted = {layer.base for layer in trainer.learner.adapters[0].layers}
    kinds = {True: set(), False: set()}
    for layer in unet.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3) and layer.stride == (1, 1):
            kinds[layer in adapted].add(type(layer))
    assert kinds == {True: {FrozenConv2d if stays else WinogradConv2d}, False: {FrozenConv2d}}, "conv_in, conv_out"
    parts = (unet, *trainer.learner.model.text_encoders)
    tensors = (tensor for part in parts for tensor in (*part.parameters(), *part.buffers()))
    assert trainer.step_memory().base == sum(tensor.nbytes for tensor in tensors if not tensor.requires_grad)


@pytest.mark.parametrize(("least", "transformed"), [(2 * 8 * 8, True), (2 * 8 * 8 + 1, False)])
def test_what_counts_is_how_many_places_a_usual_batch_has(tmp_path, transforms_all, monkeypatch, least, transformed):
    monkeypatch.setattr(layers, "_MANY_PLACES", least)
    learner = prepared(small_job(tmp_path), tmp_path / "runs").learner  # two pictures of 64 pixels, 8x8 latents each
    first = learner.model.unet.down_blocks[0]
    assert any(isinstance(layer, WinogradConv2d) for layer in first.modules()) == transformed


def test_a_usual_batch_is_the_one_in_the_middle(tmp_path):
    job = small_job(tmp_path)
    plan = TrainingPlan(batch_size=4, accumulation=1)

    def usual(dataset, *, processes, parts):
        return usual_pixels(first_batches(dataset, plan, processes), [image.bucket for image in dataset.images], parts)

    one, *others = job.dataset.images  # each twice
    larger = [dataclasses.replace(image, bucket=(64, 128)) for image in others]
    dataset = job.dataset.with_images([one, *larger])  # batches: 2 of 64x64, 4 and 2 of 64x128
    pixels = 64 * 64
    assert usual(dataset, processes=1, parts=1) == 2 * 2 * pixels
    assert usual(dataset, processes=1, parts=2) == 2 * pixels
    assert usual(dataset, processes=4, parts=1) == 2 * pixels
    assert usual(job.dataset, processes=1, parts=1) == 4 * pixels
    assert usual(job.dataset, processes=2, parts=1) == 2 * pixels


def test_pictures_go_through_a_vae_that_is_transformed(tmp_path, transforms_all, monkeypatch):
    seen = []
    real = preparation.encode_pictures
    monkeypatch.setattr(
        preparation,
        "encode_pictures",
        lambda model, *rest, **more: seen.append(model.vae) or real(model, *rest, **more),
    )
    prepared(small_job(tmp_path), tmp_path / "runs")
    kinds = {type(layer) for layer in seen[0].modules() if isinstance(layer, nn.Conv2d)}
    assert kinds == {WinogradConv2d, FrozenConv2d}, "the latter for 1x1 kernels and every second place"


def test_a_run_with_transformed_weights_is_the_run_without_but_for_rounding(tmp_path, transforms_all, monkeypatch):
    job = small_job(tmp_path)
    transformed, again = (train(job, tmp_path / name) for name in ("transformed", "again"))
    monkeypatch.setattr(layers, "_MANY_PLACES", 2**30)
    plain = train(job, tmp_path / "plain")
    assert digest(transformed) == digest(again) != digest(plain)
    assert transformed.result().losses == pytest.approx(plain.result().losses, rel=1e-5)
