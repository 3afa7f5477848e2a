"""What dropout leaves out: the same wherever and in however many parts it is found, and evenly."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from tests.test_gpu_layers import drawn
from trainer_core.families.gpu import trial
from trainer_core.families.gpu.trial import can_drop
from trainer_core.lora.dropout import Dropout, hashes, keys_of, seed_numbers

SEED = 0x1234_5678_9ABC_DEF0
KEY = (2**31 - 5, 77)


def made(
    seed: int = SEED, first: int = 0, *, values=0.0, ranks=0.0, name="lora_unet_x", has_kernel: bool = False
) -> Dropout:
    return Dropout(
        values=values,
        ranks=ranks,
        module=0.0,
        seed=seed,
        numbers=seed_numbers(seed, 9)[first:],
        name=name,
        keys=keys_of(name),
        has_kernel=has_kernel,
    )


def test_hashes_are_even_and_unlike_those_of_other_seeds_layers_and_places():
    shape = torch.Size([1, 200_000])
    of = (SEED, KEY), (SEED + 1, KEY), (SEED, (1, 77))
    found = [hashes(seed_numbers(seed, 1), key, shape)[0] for seed, key in of]
    found.append(hashes(seed_numbers(SEED + 2**32, 1), KEY, shape)[0])
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
    numbers = seed_numbers(SEED, 4)[2:]
    assert hashes(numbers, KEY, torch.Size([4, 3])).flatten().tolist() == expected


@pytest.mark.parametrize("chances", [{"values": 0.3}, {"ranks": 0.3}])
def test_parts_of_a_batch_lose_what_they_lose_together(chances):
    x = drawn(6, 5, 8)

    def dropped(drops: Dropout, inner: torch.Tensor) -> torch.Tensor:
        return drops.drop_ranks(drops.drop_values(inner), -1)

    whole = dropped(made(**chances), x)
    parts = [slice(0, 2), slice(2, 5), slice(5, 6)]
    assert torch.equal(torch.cat([dropped(made(first=rows.start, **chances), x[rows]) for rows in parts]), whole)
    assert 0 < (whole == 0).sum() < whole.numel()
    assert not torch.equal(whole, dropped(made(SEED + 1, **chances), x))
    assert not torch.equal(whole, dropped(made(name="lora_unet_y", **chances), x))


@pytest.mark.parametrize("shape", [(4, 8, 3, 3), (4, 8, 3, 1), (4, 8, 1, 1)])
def test_ranks_of_convolutions_are_dropped_together(shape):
    kept = made(ranks=0.5).drop_ranks(torch.ones(shape), 1)
    assert set(kept.unique().tolist()) == {0.0, 2.0}
    assert (kept.flatten(2).amax(-1) == kept.flatten(2).amin(-1)).all()
    with_kernel = made(ranks=0.5, has_kernel=True).drop_ranks(torch.ones(shape), 1)
    assert torch.equal(with_kernel, kept), "a kernel does the last dimension only"


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is for Linux")
@pytest.mark.parametrize("dtype", [torch.float32, torch.half])
@pytest.mark.parametrize("shape", [(3, 7, 8), (2, 50, 40), (4, 8), (2, 3, 5, 8)])
@pytest.mark.parametrize("chances", [{"values": 0.3}, {"ranks": 0.3}, {"values": 0.001}, {"ranks": 0.999}])
def test_the_kernel_drops_the_same(chances, shape, dtype):
    def answer_and_gradient(has_kernel: bool) -> list[torch.Tensor]:
        x = drawn(*shape).to(dtype).requires_grad_()
        drops = made(first=3, has_kernel=has_kernel, **chances)
        answer = drops.drop_ranks(drops.drop_values(x), -1)
        return [answer, *torch.autograd.grad(answer, x, drawn(*shape, seed=1).to(dtype))]

    for one, other in zip(answer_and_gradient(True), answer_and_gradient(False), strict=True):
        assert torch.equal(one == 0, other == 0)
        torch.testing.assert_close(one, other, rtol=2e-3 if dtype == torch.half else 1e-6, atol=1e-6)


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is for Linux")
def test_pictures_stay_in_channels_last():
    x = drawn(2, 8, 5, 5).contiguous(memory_format=torch.channels_last)
    dropped = made(values=0.3, has_kernel=True).drop_values(x)
    assert dropped.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(dropped, made(values=0.3).drop_values(x.contiguous()))


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is for Linux")
def test_the_kernel_is_tried_before_it_is_used(monkeypatch):
    assert not can_drop("cuda", torch.half), "no GPU is here"
    monkeypatch.setattr(trial, "_has_gpu", lambda device: True)
    from trainer_core.families.gpu import dropping

    real = dropping.drop
    try:
        can_drop.cache_clear()
        assert can_drop("cpu", torch.half)
        for wrong in (lambda x: x.index_fill(1, torch.tensor(7), 0), lambda x: x.flip(0)):
            can_drop.cache_clear()
            monkeypatch.setattr(dropping, "drop", lambda *given, spoil=wrong, **named: spoil(real(*given, **named)))
            assert not can_drop("cpu", torch.half)
    finally:
        can_drop.cache_clear()
