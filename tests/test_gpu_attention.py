"""Attention to few keys, its kernels interpreted on a CPU: PyTorch's own answers and gradients, with less kept."""

from __future__ import annotations

import functools
import importlib.util

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from tests.test_gpu_layers import drawn
from tests.tiny_models import tiny_sd15
from trainer_core.families.gpu import trial
from trainer_core.families.gpu.trial import can_attend, can_fuse
from trainer_core.training import device_layers

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is for Linux", allow_module_level=True)
from trainer_core.families.gpu import few_keys  # noqa: E402
from trainer_core.families.gpu.few_keys import attend_few_keys, can_multiply  # noqa: E402


def heads_of(x_BLC: torch.Tensor, heads: int) -> torch.Tensor:
    return x_BLC.unflatten(-1, (heads, -1)).transpose(1, 2)


@pytest.fixture
def launched(monkeypatch) -> list[dict[str, int]]:
    """Sizes of the kernels that were started. Blocks are small: interpreting large ones takes long."""
    monkeypatch.setattr(few_keys, "_FORWARDS", few_keys._Division(block=16, programs=4, warps=4, stages=1))
    monkeypatch.setattr(few_keys, "_BACKWARDS", few_keys._Division(block=16, programs=4, warps=4, stages=1))
    found, start = [], few_keys.launch
    monkeypatch.setattr(
        few_keys, "launch", lambda *given, **sizes: found.append({"grid": given[1], **sizes}) or start(*given, **sizes)
    )
    return found


@pytest.mark.parametrize("programs", [1, 6, 100], ids=lambda programs: f"{programs} programs")
@pytest.mark.parametrize("keys, width", [(77, 40), (77, 64), (5, 64), (80, 16), (65, 48), (64, 8)])
def test_answers_and_gradients_are_pytorchs(launched, monkeypatch, keys, width, programs):
    division = few_keys._Division(block=16, programs=programs, warps=4, stages=1)
    monkeypatch.setattr(few_keys, "_FORWARDS", division)
    monkeypatch.setattr(few_keys, "_BACKWARDS", division)
    query_BQC = (2 * drawn(2, 50, 2 * width)).requires_grad_()
    row_BLC = drawn(2, keys, 5 * width, seed=1).requires_grad_()  # keys and values as parts of it

    def everything(attend) -> list[torch.Tensor]:
        key, value = row_BLC[..., : 2 * width], row_BLC[..., 3 * width :]
        answer = attend(*(heads_of(one, 2) for one in (query_BQC, key, value))).transpose(1, 2).flatten(2)
        return [answer, *torch.autograd.grad(answer, (query_BQC, row_BLC), drawn(*answer.shape, seed=2))]

    for one, other in zip(
        everything(attend_few_keys), everything(functional.scaled_dot_product_attention), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=2e-5, atol=2e-5)
    spans = {1: 1, 6: 2, 100: 4}[programs]
    added_up = [(-(-2 * keys * 2 * width // 512), 2)] if spans > 1 else []
    assert [one["grid"] for one in launched] == [(2, spans, 2), (2, spans, 2), *added_up]


def test_two_tiles_of_keys_take_no_more_than_they_need(launched):
    for keys, tiles in ((5, (16, 0)), (64, (64, 0)), (77, (64, 16)), (80, (64, 16))):
        attend_few_keys(*(heads_of(drawn(1, tokens, 64), 1) for tokens in (3, keys, keys)))
        assert (launched[-1]["KEYS"], launched[-1]["REST"]) == tiles


def test_half_precision_is_rounded_little(launched):
    three = [heads_of(drawn(1, tokens, 64, seed=tokens), 2).half().requires_grad_() for tokens in (20, 77, 77)]
    exact = [one.detach().double().requires_grad_() for one in three]
    answer, expected = attend_few_keys(*three), functional.scaled_dot_product_attention(*exact)
    found = [answer, *torch.autograd.grad(answer.float().pow(3).sum(), three)]
    wanted = [expected, *torch.autograd.grad(expected.pow(3).sum(), exact)]
    assert len(launched) == 3 and {one.dtype for one in found} == {torch.float16}
    assert all((one - other).norm() / other.norm() < 5e-3 for one, other in zip(found, wanted, strict=True))


def test_nothing_is_kept_but_queries_keys_and_values_and_nothing_is_copied(launched):
    rows = [drawn(2, tokens, 32).requires_grad_() for tokens in (20, 7, 7)]
    three, kept = [heads_of(row, 2) for row in rows], []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        answer = attend_few_keys(*three)
    assert [one.data_ptr() for one in kept] == [one.data_ptr() for one in three]
    assert answer.transpose(1, 2).flatten(2).data_ptr() == answer.data_ptr()
    gradients = torch.autograd.grad(answer, three, torch.ones(()).expand(answer.shape))
    assert all(one.transpose(1, 2).is_contiguous() for one in gradients)


def test_what_is_counted_has_the_same_form(launched):
    with FakeTensorMode():
        three = [
            heads_of(torch.zeros(2, tokens, 32, dtype=torch.bfloat16), 2).requires_grad_() for tokens in (20, 7, 7)
        ]
        answer = attend_few_keys(*three)
        gradients = torch.autograd.grad(answer.sum(), three)
    assert [one.shape for one in (answer, *gradients)] == [three[0].shape, *(one.shape for one in three)]
    assert all(one.dtype == torch.bfloat16 and one.transpose(1, 2).is_contiguous() for one in (answer, *gradients))


def cases() -> dict[str, tuple[torch.Tensor, ...]]:
    few, many, wide = (heads_of(drawn(1, *shape), 2) for shape in ((7, 16), (81, 16), (7, 130)))
    return {
        "mask": (few, few, few, torch.ones(7, 7, dtype=torch.bool).tril()),
        "many keys": (few, many, many),
        "wide heads": (wide, wide, wide),
        "values apart": (few, few, few.transpose(2, 3).contiguous().transpose(2, 3)),
        "heads apart": (few, few.contiguous(), few),
    }


@pytest.mark.parametrize("name", cases())
def test_the_rest_is_pytorchs(launched, name):
    given = cases()[name]
    torch.testing.assert_close(attend_few_keys(*given), functional.scaled_dot_product_attention(*given))
    assert not launched


@pytest.mark.parametrize(
    "dtype, capability, hip, is_used",
    [
        (torch.bfloat16, (9, 0), None, True),
        (torch.float16, (8, 6), None, True),
        (torch.float16, (7, 5), None, False),
        (torch.float32, (9, 0), None, False),
        (torch.float16, (11, 0), "6.4", False),
    ],
)
def test_it_is_for_tensor_cores(monkeypatch, dtype, capability, hip, is_used):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert can_multiply("cuda", dtype) == is_used


@pytest.mark.parametrize(
    "fuses, compiles, attends", [(True, False, True), (True, False, False), (True, True, True), (False, False, True)]
)
def test_a_unet_on_a_gpu_attends_so_unless_it_is_compiled(monkeypatch, fuses, compiles, attends):
    monkeypatch.setattr(device_layers, "can_fuse", lambda *_: fuses)
    monkeypatch.setattr(device_layers, "can_attend", lambda *_: attends)
    unet = tiny_sd15().unet
    device_layers.use_gpu_layers(unet, "cuda", torch.bfloat16, will_compile=compiles)
    is_used = fuses and attends and not compiles
    expected = attend_few_keys if is_used else functional.scaled_dot_product_attention
    assert {processor.attend for processor in unet.attn_processors.values()} == {expected}


@pytest.fixture
def on_a_gpu(monkeypatch):
    for asked in (can_attend, can_fuse):
        asked.cache_clear()
    monkeypatch.setattr(trial, "_has_gpu", lambda device: True)
    yield
    for asked in (can_attend, can_fuse):
        asked.cache_clear()


def test_it_is_tried_alone(on_a_gpu, monkeypatch):
    assert can_attend("cpu", torch.float32) and not can_attend("cpu", torch.bfloat16), "which is not interpreted"
    can_attend.cache_clear()
    wrong = functools.partial(functional.scaled_dot_product_attention, scale=0.126)
    monkeypatch.setattr(few_keys, "attend_few_keys", wrong)
    assert not can_attend("cpu", torch.float32) and can_fuse("cpu", torch.float32)
