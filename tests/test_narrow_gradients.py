"""Gradients of LoRAs, many at a time: those that PyTorch multiplies one by one, and nothing that waits is lost."""

from __future__ import annotations

import importlib.util
from itertools import cycle, islice

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.test_borders import gradients_of, loras, placed, with_rooms  # noqa: F401 - a fixture
from tests.test_gpu_layers import drawn
from trainer_core.families.gpu import trial
from trainer_core.families.gpu.trial import can_gather
from trainer_core.lora.border import Borders
from trainer_core.lora.halves import halves_at_hand

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is for Linux", allow_module_level=True)
from trainer_core.families.gpu import narrow_gradients  # noqa: E402
from trainer_core.families.gpu.narrow_gradients import NarrowGradients  # noqa: E402

SHAPES = [(70, 24), (200, 136), (5, 64), (64, 320), (130, 72)]
"""Tokens and columns: whole tiles and parts of one."""


def pair(tokens: int, width: int, rank: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A wide and a narrow matrix, which are parts of larger ones."""
    wide, narrow = drawn(tokens, width + 16, seed=seed).half(), drawn(tokens, 8 + rank, seed=seed + 1).half()
    return wide[:, :width], narrow[:, 8:]


def expected(wide: Tensor, narrow: Tensor, *, turned: bool) -> Tensor:
    found = wide.double().t() @ narrow.double()
    return found.t() if turned else found


def assert_right(found: Tensor, *given: Tensor, turned: bool = False) -> None:
    wanted = expected(*given, turned=turned)
    assert found.shape == wanted.shape and (found.double() - wanted).norm() < 1e-3 * wanted.norm()


@pytest.mark.parametrize("rank", [8, 24, 32])
@pytest.mark.parametrize("count", [1, 5, 16, 37])
def test_many_of_any_shapes_are_those_of_each(count, rank):
    gathered = NarrowGradients()
    given = [pair(*shape, rank, seed=place) for place, shape in enumerate(islice(cycle(SHAPES), count))]
    found = [gathered.later(*one, turned=place % 2 == 1) for place, one in enumerate(given)]
    gathered.compute()
    for place, (answer, one) in enumerate(zip(found, given, strict=True)):
        assert_right(answer, *one, turned=place % 2 == 1)


def test_they_are_added_to_what_is_there(monkeypatch):
    started, gathered = launched(monkeypatch), NarrowGradients()
    factors = [1.0, 0.375, -2.0, 1 / 3]
    given = [pair(*shape, seed=place) for place, shape in enumerate([(70, 24), (5, 64), (4100, 136), (64, 320)])]
    before = [drawn(wide.shape[1], 8, seed=3) for wide, _ in given]
    places = [one.clone() if place % 2 else one.t().contiguous() for place, one in enumerate(before)]
    for number, ((wide, narrow), place, factor) in enumerate(zip(given, places, factors, strict=True)):
        assert gathered.later(wide, narrow, turned=number % 2 == 0, added_to=(place, factor)) is None
    gathered.compute()
    assert [name for name, _ in started] == ["_narrow_gradients", "_add_up_spans"]
    for number, (one, place, was, factor) in enumerate(zip(given, places, before, factors, strict=True)):
        wanted = was + factor * expected(*one, turned=False)
        found = place if number % 2 else place.t()
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-4)


def test_what_is_added_twice_to_the_same_place_is_added_twice(monkeypatch):
    counts, gathered = computed_at(monkeypatch), NarrowGradients()
    one, other, place = pair(70, 24), pair(200, 24, seed=5), torch.zeros(24, 8)
    gathered.later(*one, added_to=(place, 1.0))
    gathered.later(*other, added_to=(place, 1.0))
    assert counts == [1], "two programs that read it before either has written would lose one"
    answer = gathered.later(*one)
    assert counts == [1, 1], "what is added and what is not are of different kernels"
    gathered.compute()
    both = expected(*one, turned=False) + expected(*other, turned=False)
    torch.testing.assert_close(place.double(), both, rtol=1e-5, atol=1e-4)
    assert_right(answer, *one)


def launched(monkeypatch) -> list[tuple[str, tuple[int, ...]]]:
    """Kernels that are started, with how many programs."""
    found: list[tuple[str, tuple[int, ...]]] = []
    real = narrow_gradients.launch

    def launch(kernel, grid, *given, **sizes):
        found.append((kernel.fn.__name__, grid))
        real(kernel, grid, *given, **sizes)

    monkeypatch.setattr(narrow_gradients, "launch", launch)
    return found


@pytest.mark.parametrize("rank", [8, 72])
@pytest.mark.parametrize(
    ("shapes", "spans"),
    [
        ([(4100, 24), (70, 136), (3000, 64), (1, 8)], 4),
        ([(2100, 200)], 2),
        ([(1100, 24)], 1),
        ([(4100, 24)] * 16, 3),
    ],
    ids=["of most tokens", "alone", "too few tokens", "many programs"],
)
def test_many_tokens_are_cut_into_spans(monkeypatch, shapes, spans, rank):
    monkeypatch.setattr(narrow_gradients, "_PROGRAMS", 48)
    started, gathered = launched(monkeypatch), NarrowGradients()
    given = [pair(*shape, rank, seed=place) for place, shape in enumerate(shapes)]
    found = [gathered.later(*one, turned=place % 2 == 1) for place, one in enumerate(given)]
    gathered.compute()
    (_, (tiles, cut)), *others = started
    assert cut == spans and others == ([("_add_up_spans", (tiles,))] if spans > 1 else [])
    for place, (answer, one) in enumerate(zip(found, given, strict=True)):
        assert_right(answer, *one, turned=place % 2 == 1)


def computed_at(monkeypatch) -> list[int]:
    counts: list[int] = []
    real = narrow_gradients._compute
    monkeypatch.setattr(
        narrow_gradients, "_compute", lambda products, table: counts.append(len(products)) or real(products, table)
    )
    return counts


def test_they_wait_for_each_other_until_there_are_enough(monkeypatch):
    counts, gathered = computed_at(monkeypatch), NarrowGradients()
    for _ in range(20):
        gathered.later(*pair(70, 24))
    assert counts == [16]
    gathered.compute()
    gathered.compute()
    assert counts == [16, 4]
    monkeypatch.setattr(narrow_gradients, "_MOST_BYTES", 3 * 70 * 24 * 2)
    for _ in range(4):
        gathered.later(*pair(70, 24))
    assert counts == [16, 4, 3], "they hold what would have been let go"
    wide, narrow = pair(70, 24)
    for _ in range(9):
        gathered.later(wide, narrow)
    assert counts == [16, 4, 3], "what reads the same holds it once"
    gathered.later(*pair(200, 136))
    assert counts == [16, 4, 3, 10] and len(gathered._waiting) == 1, "not more, though one alone may be"
    wide, narrow = pair(200, 136)
    for _ in range(3):
        gathered.later(wide, narrow)
    assert counts == [16, 4, 3, 10, 1] and len(gathered._waiting) == 3
    gathered.later(*pair(200, 136))
    assert counts == [16, 4, 3, 10, 1, 3], "what is counted once is counted"


def test_another_rank_does_not_wait_with_them(monkeypatch):
    counts, gathered = computed_at(monkeypatch), NarrowGradients()
    given = [pair(70, 24, rank) for rank in (8, 8, 16)]
    found = [gathered.later(*one) for one in given]
    assert counts == [2]
    gathered.compute()
    for answer, one in zip(found, given, strict=True):
        assert_right(answer, *one)


def test_what_is_forgotten_is_not_computed(monkeypatch):
    counts, gathered = computed_at(monkeypatch), NarrowGradients()
    gathered.later(*pair(70, 24))
    gathered.forget()
    gathered.compute()
    assert counts == []


def test_while_a_graph_is_recorded_nothing_is_brought_to_the_device(monkeypatch):
    """What was computed so before is again; what was not, by PyTorch."""
    counts, gathered = computed_at(monkeypatch), NarrowGradients()
    known, other = pair(70, 24), pair(70, 32)
    gathered.later(*known)
    gathered.compute()
    monkeypatch.setattr(NarrowGradients, "_can_bring", staticmethod(lambda device: False))
    found = []
    for one in (known, other):
        found.append(gathered.later(*one, turned=one is other))
        gathered.compute()
    place = torch.ones(8, 32)
    gathered.later(*other, turned=True, added_to=(place, 3.0))
    gathered.compute()
    assert counts == [1, 1]
    assert_right(found[0], *known)
    assert_right(found[1], *other, turned=True)
    wanted = 1 + 3 * expected(*other, turned=True)
    assert (place - wanted).norm() < 1e-3 * wanted.norm()


def test_where_memory_is_counted_nothing_waits():
    gathered = NarrowGradients()
    with FakeTensorMode():
        wide, narrow = torch.zeros(70, 24), torch.zeros(70, 8)
        assert gathered.fits(wide, narrow)
        assert gathered.later(wide, narrow).shape == (24, 8)
        assert gathered.later(wide, narrow, turned=True).shape == (8, 24)
    assert not gathered._waiting


@pytest.mark.parametrize(
    ("wide", "narrow", "does"),
    [
        (pair(70, 24)[0], pair(70, 24)[1], True),
        (torch.zeros(70, 28), torch.zeros(70, 8), False),
        (torch.zeros(70, 24), torch.zeros(70, 4), False),
        (torch.zeros(70, 24), torch.zeros(70, 136), False),
        (torch.zeros(70, 28)[:, :24], torch.zeros(70, 8), False),
        (torch.zeros(70, 32)[:, 4:28], torch.zeros(70, 8), False),
        (torch.zeros(24, 70).t(), torch.zeros(70, 8), False),
        (torch.zeros(70, 24), torch.zeros(8, 70).t(), False),
    ],
    ids=["it does", "width", "rank", "high rank", "rows apart", "first value", "turned", "narrow one turned"],
)
def test_only_what_16_bytes_can_be_read_of_at_a_time_fits(wide, narrow, does):
    assert NarrowGradients.fits(wide, narrow) == does


# ---------------------------------------------------------------------------------------------------------- in layers


def test_a_unet_learns_what_it_learns_with_each_for_itself(with_rooms, monkeypatch):  # noqa: F811
    counts, gathered = computed_at(monkeypatch), NarrowGradients()
    one_by_one = gradients_of("sd15", torch.half, bordered=True)
    assert counts == []
    # one is there before the second pass, so that others are left at its end
    monkeypatch.setattr(gathered, "forget", lambda: gathered.later(*pair(70, 24)))
    together = gradients_of("sd15", torch.half, bordered=True, gathered=gathered)
    assert {*counts[:-1]} == {16} and counts[-1] == 1
    assert (together - one_by_one).norm() < 2e-3 * one_by_one.norm()


def test_a_unet_adds_what_it_learns_to_where_it_is_wanted(with_rooms):  # noqa: F811
    come = gradients_of("sd15", torch.half, bordered=True, gathered=NarrowGradients())
    added = gradients_of("sd15", torch.half, bordered=True, gathered=NarrowGradients(), adds=True)
    assert 0 < (added - come).norm() < 2e-3 * come.norm(), "rounded once less"
    assert (gradients_of("sd15", torch.half, adds=True) - come).norm() < 2e-2 * come.norm(), "or it comes as before"


def test_a_pass_that_fails_leaves_none_for_the_next():
    (layer,) = loras(16)
    gathered = NarrowGradients()
    Borders([[layer]], gathered)
    adapters = type("Part", (), {"layers": [layer]})()
    with pytest.raises(KeyError), halves_at_hand([adapters], torch.bfloat16):
        gathered.later(*pair(70, 24))
        raise KeyError
    assert not gathered._waiting


def test_a_layer_whose_rows_do_not_fit_computes_for_itself(monkeypatch):
    (layer,) = loras(16)
    gathered = NarrowGradients()
    Borders([[layer]], gathered)
    placed([layer])
    monkeypatch.setattr(gathered, "fits", lambda *_: False)
    x = drawn(1, 5, 24)
    answer = layer(x)
    found = torch.autograd.grad(answer, layer.halves, drawn(*answer.shape, seed=2))
    assert not gathered._waiting
    inner, gradient = x[0] @ layer.halves[0].t(), drawn(*answer.shape, seed=2)[0]
    torch.testing.assert_close(found[1], gradient.t() @ inner)


# ------------------------------------------------------------------------------------------------------------ the trial


def test_they_are_tried_on_the_device_in_the_format_and_of_the_rank(monkeypatch):
    assert not can_gather("cuda", torch.bfloat16, 32), "no GPU is here"
    monkeypatch.setattr(trial, "_has_gpu", lambda device: True)
    can_gather.cache_clear()
    try:
        assert can_gather("cpu", torch.half, 32) and can_gather("cpu", torch.half, 8)
        assert not can_gather("cpu", torch.half, 12) and not can_gather("cpu", torch.half, 136)
        real = narrow_gradients._compute
        for wrong in (lambda products: products[-1].answer_CR.zero_(), lambda products: products[3].answer_CR.neg_()):
            can_gather.cache_clear()
            monkeypatch.setattr(
                narrow_gradients,
                "_compute",
                lambda products, table, spoil=wrong: real(products, table) or spoil(products),
            )
            assert not can_gather("cpu", torch.half, 32), "what is wrong is not used"
    finally:
        can_gather.cache_clear()
