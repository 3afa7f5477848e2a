"""Whether fused layers work on this machine: Triton has to be there, with a compiler that it can start."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from functools import cache, partial

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.nn import functional

from ...devices import is_gpu

_MOST_OFF = {torch.float32: 1e-4, torch.bfloat16: 0.05, torch.float16: 0.01}
"""Distance from PyTorch's answers and gradients, relative to their norm: several roundings."""
_MOST_OFF_BY_DROPPING = 1e-4
"""Nothing is rounded there, and one value of 6,000 that is dropped wrongly is more."""


@cache
def can_fuse(device: str, dtype: torch.dtype) -> bool:
    """Whether the kernels between multiplications, in a model's format, give what PyTorch gives; asked once in a
    process, takes seconds. Tried for real also where a step is only counted, on tensors without storage."""
    return _works(device, lambda: _fuses(device, dtype))


@cache
def can_attend(device: str, dtype: torch.dtype) -> bool:
    """The same of attention to few keys, which multiplies itself: where it fails, the others need not."""
    return _works(device, lambda: _attends(device, dtype))


@cache
def can_gather(device: str, dtype: torch.dtype, rank: int) -> bool:
    """The same of gradients of LoRAs of a rank, many at a time."""
    return _works(device, lambda: _gathers(device, dtype, rank))


@cache
def can_drop(device: str, dtype: torch.dtype) -> bool:
    """The same of dropout. To be asked outside of passes, which the trial would disturb."""
    return _works(device, lambda: _drops(device, dtype))


def _works(device: str, is_right: Callable[[], bool]) -> bool:
    if not _has_gpu(device):
        return False
    try:
        if importlib.util.find_spec("triton") is None:
            return False
        with unset_fake_temporarily(), torch.inference_mode(False), torch.enable_grad():
            return is_right()
    except Exception:  # noqa: BLE001 - no compiler, no driver, an old GPU: Triton has many ways to say no
        return False


def _has_gpu(device: str) -> bool:
    return is_gpu(device) and torch.cuda.is_available()


def _fuses(device: str, dtype: torch.dtype) -> bool:
    from .convolution import add
    from .doubling import doubled
    from .gate import gate
    from .group_norm import group_norm, pass_and_normalise
    from .joining import joined
    from .layer_norm import add_and_normalise

    groups, layer = (layer.to(device, dtype).requires_grad_(False) for layer in (nn.GroupNorm(2, 12), nn.LayerNorm(12)))
    bias, shift = (torch.linspace(-1, 1, 12, device=device, dtype=dtype) for _ in range(2))

    def gated(x: Tensor, _: Tensor) -> Tensor:
        value, opened = (x + bias).chunk(2, dim=-1)
        return value * functional.gelu(opened)

    pictures, tokens = (_waves(device, dtype, *shape) for shape in ((1, 12, 9, 9), (1, 5, 12)))
    return all(
        _agree(fused, plain, given, _MOST_OFF[dtype])
        for fused, plain, given in (
            (
                lambda x, _: group_norm(x, groups, shift[None], silu=True),
                lambda x, _: functional.silu(groups(x + shift[:, None, None])),
                pictures,
            ),
            (
                lambda x, _: torch.cat(pass_and_normalise(x, groups, silu=False), 1),
                lambda x, _: torch.cat((x, groups(x)), 1),
                pictures,
            ),
            (lambda x, y: joined(x, y[:, :5]), lambda x, y: torch.cat((x, y[:, :5]), 1), pictures),
            (lambda x, _: doubled(x), lambda x, _: functional.interpolate(x, scale_factor=2), pictures),
            (lambda x, y: add(x, y, bias), lambda x, y: x + y + bias[:, None, None], pictures),
            (lambda x, y: add_and_normalise(x, y, layer, bias)[1], lambda x, y: layer(x + y + bias), tokens),
            (lambda x, _: gate(x, bias), gated, tokens),
        )
    )


def _attends(device: str, dtype: torch.dtype) -> bool:
    from .few_keys import attend_few_keys, can_multiply

    def attended(by: Callable[..., Tensor], x: Tensor, y: Tensor) -> Tensor:
        return by(*(one.unflatten(-1, (2, -1)).transpose(1, 2) for one in (x, y, x * y)))

    if not can_multiply(device, dtype):
        return False
    ours, theirs = (partial(attended, by) for by in (attend_few_keys, functional.scaled_dot_product_attention))
    # of SDXL's size: whether its kernels find room shows with no smaller one
    return _agree(ours, theirs, _waves(device, dtype, 1, 77, 128), _MOST_OFF[dtype])


def _drops(device: str, dtype: torch.dtype) -> bool:
    from ...lora.dropout import hashes
    from .dropping import drop

    numbers, key, least = torch.tensor([[3, 5, 7]], device=device), (2**30 + 1, 11), 2**30
    x, _ = _waves(device, dtype, 3, 50, 40)

    def fused(by_ranks: bool, x: Tensor) -> Tensor:
        return drop(x, numbers, key, least, 2.0, by_ranks=by_ranks)

    def plain(by_ranks: bool, x: Tensor) -> Tensor:
        drawn = torch.Size((3, 1 if by_ranks else 50, 40))
        return x * (2 * (hashes(numbers, key, drawn) >= least)).to(dtype)

    return all(_agree(partial(fused, by), partial(plain, by), [x], _MOST_OFF_BY_DROPPING) for by in (False, True))


def _gathers(device: str, dtype: torch.dtype, rank: int) -> bool:
    from .few_keys import can_multiply
    from .narrow_gradients import NarrowGradients

    gathered = NarrowGradients()
    # of other widths, and of tokens for some to many turns of the kernel's loop; more than it takes at a time, of which
    # some are cut into spans
    pairs = [
        (_waves(device, dtype, tokens, 8 * place)[0].detach(), _waves(device, dtype, tokens, rank)[1].detach())
        for place, tokens in enumerate((2100, *range(1, 640, 40)), 1)
    ]
    if not can_multiply(device, dtype) or not all(gathered.fits(*pair) for pair in pairs):
        return False
    answers = [gathered.later(*pair, turned=place % 2 == 1) for place, pair in enumerate(pairs)]
    sums = [torch.zeros(answer.shape, device=device) for answer in answers]
    for place, (pair, total) in enumerate(zip(pairs, sums, strict=True)):
        gathered.later(*pair, turned=place % 2 == 1, added_to=(total, 0.5))
    gathered.compute()
    for place, ((wide, narrow), answer, total) in enumerate(zip(pairs, answers, sums, strict=True)):
        expected = (narrow.double().t() @ wide.double()) if place % 2 else (wide.double().t() @ narrow.double())
        off = torch.stack([(answer.double() - expected).norm(), (total.double() / 0.5 - expected).norm()])
        if not bool((off <= _MOST_OFF[dtype] * expected.norm()).all()):
            return False
    return True


def _waves(device: str, dtype: torch.dtype, *shape: int) -> list[Tensor]:
    waves = torch.arange(torch.Size(shape).numel(), device=device).reshape(shape)
    return [(waves * step).sin().to(dtype).requires_grad_() for step in (0.7, 1.1)]


def _agree(fused: Callable, plain: Callable, given: Sequence[Tensor], most_off: float) -> bool:
    """Whether answers, and gradients of the sum of their cubes, are alike. That of a norm's squares would be 0."""
    found, expected = (
        [answer, *torch.autograd.grad(answer.float().pow(3).sum(), given, allow_unused=True)]
        for answer in (fused(*given), plain(*given))
    )
    pairs = [(one.double(), other.double()) for one, other in zip(found, expected, strict=True) if other is not None]
    return all(bool((one - other).norm() <= most_off * other.norm()) for one, other in pairs)
