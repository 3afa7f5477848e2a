"""What dropout leaves out: the same wherever and in however many parts it is found, and evenly."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from tests.test_gpu_layers import drawn
from trainer_core.lora import dropout
from trainer_core.lora.dropout import Dropout, Rows, hashes, seed_numbers

SEED = 0x1234_5678_9ABC_DEF0
KEY = (2**31 - 5, 77)


def made(seed: int = SEED, part: Rows | None = None, *, values=0.0, ranks=0.0, name="lora_unet_x") -> Dropout:
    return Dropout(values=values, ranks=ranks, module=0.0, seed=seed, numbers=seed_numbers(seed, part), name=name)


def test_hashes_are_even_and_unlike_those_of_other_seeds_layers_and_places():
    shape = torch.Size([1, 200_000])
    found = [hashes(seed_numbers(seed), key, shape)[0] for seed, key in ((SEED, KEY), (SEED + 1, KEY), (SEED, (1, 77)))]
    found.append(hashes(seed_numbers(SEED + 2**32), KEY, shape)[0])
    for one in found:
        assert 0 <= one.min() and one.max() < 2**31
        assert torch.histc(one.float(), 16).sub(200_000 / 16).abs().max() < 500
    kept = torch.stack([(one >= 2**30).float() for one in found])
    kept = torch.cat([kept, *(kept[:1].roll(by, 1) for by in (1, 2, 8, 32, 320, 1280))])
    apart = torch.corrcoef(kept) - torch.eye(len(kept))
    assert apart.abs().max() < 0.01


def test_hashes_are_those_of_lowbias32():
    """By its definition, with numbers of 32 bits in Python."""

    def mixed(x: int) -> int:
        x ^= x >> 16
        x = x * 0x7FEB352D % 2**32
        x ^= x >> 15
        x = x * 0x846CA68B % 2**32
        return x ^ x >> 16

    one = mixed(SEED % 2**32 ^ KEY[0])
    other = mixed(SEED // 2**32 ^ KEY[1] ^ one)
    expected = [mixed(mixed(place ^ one) ^ other) >> 1 for place in range(6, 18)]
    numbers = seed_numbers(SEED, Rows(slice(2, 4), 9))
    assert hashes(numbers, KEY, torch.Size([4, 3])).flatten().tolist() == expected


@pytest.mark.parametrize("chances", [{"values": 0.3}, {"ranks": 0.3}])
def test_parts_of_a_batch_lose_what_they_lose_together(chances):
    x = drawn(6, 5, 8)

    def dropped(drops: Dropout, inner: torch.Tensor) -> torch.Tensor:
        return drops.drop_ranks(drops.drop_values(inner), -1)

    whole = dropped(made(**chances), x)
    parts = [slice(0, 2), slice(2, 5), slice(5, 6)]
    assert torch.equal(torch.cat([dropped(made(part=Rows(rows, 6), **chances), x[rows]) for rows in parts]), whole)
    assert 0 < (whole == 0).sum() < whole.numel()
    assert not torch.equal(whole, dropped(made(SEED + 1, **chances), x))
    assert not torch.equal(whole, dropped(made(name="lora_unet_y", **chances), x))


@pytest.mark.parametrize("shape", [(4, 8, 3, 3), (4, 8, 3, 1), (4, 8, 1, 1)])
def test_ranks_of_convolutions_are_dropped_together(shape, monkeypatch):
    kept = made(ranks=0.5).drop_ranks(torch.ones(shape), 1)
    assert set(kept.unique().tolist()) == {0.0, 2.0}
    assert (kept.flatten(2).amax(-1) == kept.flatten(2).amin(-1)).all()
    monkeypatch.setattr(dropout, "_has_kernel", lambda inner: True)
    assert torch.equal(made(ranks=0.5).drop_ranks(torch.ones(shape), 1), kept), "a kernel does the last dimension only"


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is for Linux")
@pytest.mark.parametrize("dtype", [torch.float32, torch.half])
@pytest.mark.parametrize("shape", [(3, 7, 8), (2, 50, 40), (4, 8), (2, 3, 5, 8)])
@pytest.mark.parametrize("chances", [{"values": 0.3}, {"ranks": 0.3}, {"values": 0.001}, {"ranks": 0.999}])
def test_the_kernel_drops_the_same(chances, shape, dtype, monkeypatch):
    def answer_and_gradient() -> list[torch.Tensor]:
        x = drawn(*shape).to(dtype).requires_grad_()
        drops = made(part=Rows(slice(3, 3 + shape[0]), 9), **chances)
        answer = drops.drop_ranks(drops.drop_values(x), -1)
        return [answer, *torch.autograd.grad(answer, x, drawn(*shape, seed=1).to(dtype))]

    expected = answer_and_gradient()
    monkeypatch.setattr(dropout, "_has_kernel", lambda inner: True)
    for one, other in zip(answer_and_gradient(), expected, strict=True):
        assert torch.equal(one == 0, other == 0)
        torch.testing.assert_close(one, other, rtol=2e-3 if dtype == torch.half else 1e-6, atol=1e-6)
