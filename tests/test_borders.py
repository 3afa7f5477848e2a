"""Weights with their LoRAs around them: one multiplication that gives what several added up, where rows have room."""

from __future__ import annotations

import importlib.util
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from tests.test_gpu_layers import drawn, pictures_in_torch, summed, tiny, told_to
from trainer_core.families import beside as beside_module
from trainer_core.families.attention import use_attention
from trainer_core.families.beside import beside, ends_beside, meet
from trainer_core.families.quantised import quantise
from trainer_core.families.room import empty_rows, room_of, take_room, with_even_rows
from trainer_core.lora import border, joint
from trainer_core.lora.adapters import Adapters
from trainer_core.lora.border import Borders, put_borders
from trainer_core.lora.halves import halves_at_hand
from trainer_core.lora.joint import lora_linears
from trainer_core.lora.joint_attention import JointAttention
from trainer_core.lora.low_rank import DoraLayer, LoraLayer
from trainer_core.lora.names import targets_of
from trainer_core.training import device_layers
from trainer_core.training.plan.adapter import AdapterPlan

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is for Linux", allow_module_level=True)
from trainer_core.families.gpu import layers  # noqa: E402
from trainer_core.families.gpu.layers import FusedTransformerBlock, use_fused_layers  # noqa: E402

# --------------------------------------------------------------------------------------------------------------- room


def test_rows_are_taken_with_their_room_once():
    rows = empty_rows(torch.zeros(2, 5, 7), 7, 3)
    assert rows.shape == (2, 5, 7) and room_of(rows) == 3
    rows.copy_(drawn(2, 5, 7))
    whole = take_room(rows, 3)
    assert whole.shape == (10, 10) and torch.equal(whole[:, :7], drawn(2, 5, 7).flatten(0, 1))
    whole[:, 7:] = 1
    assert torch.equal(rows, drawn(2, 5, 7)), "what is written behind them is not theirs"
    assert take_room(rows, 3) is None, "somebody keeps something there"


@pytest.mark.parametrize("wanted", [0, 2, 4])
def test_rows_without_this_much_room_are_left(wanted):
    assert take_room(empty_rows(torch.zeros(2, 5), 5, 3), wanted) is None
    assert take_room(torch.zeros(2, 5), wanted) is None


def test_rows_that_are_even_are_not_copied():
    for x, apart in ((torch.zeros(2, 5, 7), 7), (torch.zeros(2, 5, 9)[..., :7], 9), (torch.zeros(3, 8)[:, 1:5], 8)):
        assert with_even_rows(x)[0] is x and with_even_rows(x)[1] == apart
    for x in (torch.zeros(5, 2, 7).transpose(0, 1), torch.zeros(7), drawn(2, 6, 7)[:, :4]):
        even, apart = with_even_rows(x)
        assert even.is_contiguous() and torch.equal(even, x) and apart == 7


# ------------------------------------------------------------------------------------------------------------- layers


def loras(*widths: int, rank: int = 8, bias: bool = False) -> list[LoraLayer]:
    found = [LoraLayer(nn.Linear(24, width, bias=bias), LoraLayer.shapes(nn.Linear(24, width), rank, 0), rank, rank)
             for width in widths]  # fmt: skip
    for place, layer in enumerate(found):
        layer.base.requires_grad_(False)
        for seed, weight in enumerate((layer.lora_down, layer.lora_up)):
            weight.data = drawn(*weight.shape, seed=9 * place + seed)
    return found


def placed(found: list[LoraLayer]) -> None:
    """Their weights where their border has them, as `halves_at_hand` does it in half precision."""
    for layer in found:
        layer.halves = tuple(place.copy_(one.data) for place, one in zip(layer.places, layer.factors(), strict=True))
        for half in layer.halves:
            half.requires_grad_()
    found[0].border.stack.spread()


def roomy(x: Tensor, room: int) -> Tensor:
    """x with room, in which nothing is that could be meant."""
    if not room:
        return x
    rows = functional.pad(x, (0, room), value=float("nan"))[..., : x.shape[-1]]
    rows.room = room
    return rows


@pytest.mark.parametrize(("widths", "bias"), [((16,), True), ((16,), False), ((16, 8, 40), False)])
@pytest.mark.parametrize("has_room", [True, False])
@pytest.mark.parametrize("tokens", [3, 70])
def test_answers_and_gradients_are_those_of_each_layer(widths, bias, has_room, tokens):
    found = loras(*widths, bias=bias)
    weights = [layer.base.weight.clone() for layer in found]
    Borders([found])
    placed(found)
    x = drawn(2, tokens, 24, seed=3).requires_grad_()
    given = roomy(x, found[0].room if has_room else 0)
    answers = lora_linears(given, [one.base for one in found], [one.factors_at_hand for one in found], found[0].border)
    factors = [half for layer in found for half in layer.halves]
    expected = [
        functional.linear(x, weight, layer.base.bias) + x @ layer.halves[0].t() @ layer.halves[1].t()
        for weight, layer in zip(weights, found, strict=True)
    ]
    towards = [drawn(*answer.shape, seed=11) for answer in answers]
    with_room = [roomy(one, found[0].room if has_room else 0) for one in towards]
    for one, other in zip(
        (*answers, *torch.autograd.grad(answers, [x, *factors], with_room)),
        (*expected, *torch.autograd.grad(expected, [x, *factors], towards)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)


def test_a_layer_of_a_set_that_is_asked_alone_answers_for_itself():
    found = loras(16, 8)
    Borders([found])
    placed(found)
    x = roomy(drawn(1, 5, 24), found[0].room)
    expected = x @ found[1].base.weight.t() + x @ found[1].halves[0].t() @ found[1].halves[1].t()
    torch.testing.assert_close(found[1](x), expected)
    assert room_of(x) == found[0].room, "it is not for one of them"


def test_weights_are_the_same_behind_their_border():
    sets = [loras(16, 8), loras(16, 8)]
    before = [layer.base.weight.clone() for layers in sets for layer in layers]
    borders = Borders(sets)
    after = [layer.base.weight for layers in sets for layer in layers]
    assert all(torch.equal(one, other) and not one.requires_grad for one, other in zip(before, after, strict=True))
    stored = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in (*after, *borders._ups)}
    stored[0] = borders._downs_NRI.untyped_storage().nbytes()
    assert borders.nbytes == sum(stored.values()) - sum(weight.nbytes for weight in before)
    assert len({layer.border for layers in sets for layer in layers}) == 2


def test_only_plain_loras_on_whole_layers_in_half_precision_have_borders():
    def has(*found, dtype=torch.bfloat16) -> bool:
        for layer in found:
            layer.base.to(dtype)
        put_borders([found])
        return all(getattr(layer, "border", None) for layer in found)

    assert has(*loras(16)) and has(*loras(16, bias=True)) and has(*loras(16, 8)) and has(*loras(16), dtype=torch.half)
    assert not has(*loras(16), dtype=torch.float32)
    assert not has(*loras(16, rank=4)), "rows would begin anywhere"
    assert has(*loras(16, rank=136)) and not has(*loras(16, 16, rank=136)), "each would read what the other makes"
    assert not has(*loras(16, 8, bias=True)), "each has its own"
    dora = DoraLayer(nn.Linear(24, 16), DoraLayer.shapes(nn.Linear(24, 16), 8, 0), 8, 8)
    assert not has(dora) and not has(*loras(16), dora)


def test_many_layers_are_moved_a_few_at_a_time(monkeypatch):
    """For both lie there for a moment."""
    monkeypatch.setattr(border, "_SETS", 2)
    sets = [loras(16) for _ in range(5)]
    for (layer,) in sets:
        layer.base.to(torch.bfloat16)
    put_borders(sets)
    stacks = [layer.border.stack for (layer,) in sets]
    assert [stacks.index(one) for one in stacks] == [0, 0, 2, 2, 4]


def test_a_layer_wants_room_within_a_pass_only_and_where_nothing_is_left_out():
    (layer,) = loras(16)
    Borders([[layer]])
    assert layer.room == 0
    placed([layer])
    assert layer.room == 8
    layer.is_on = False
    assert layer.room == 0


# ----------------------------------------------------------------------------------------------------------- the UNet


@pytest.fixture
def with_rooms(monkeypatch):
    """What the kernels of families/gpu do, by PyTorch, with the rooms that they leave. Counts what is taken."""
    taken = []

    def wants(x: Tensor, room: int) -> None:
        if x.requires_grad:
            x.register_hook(lambda gradient: roomy(gradient, room))

    def gate(x, bias, *, room, gradient_room):
        wants(x, gradient_room)
        value, opened = summed(x, None, bias).chunk(2, dim=-1)
        return roomy(value * functional.gelu(opened), room)

    def sum_and_norm(x, y, layer, bias, *, room, gradient_room):
        wants(x if y is None else y, gradient_room)
        total = summed(x, y, bias)
        return total, roomy(layer(total), room)

    def take(rows: Tensor, room: int) -> Tensor | None:
        found = take_room(rows, room)
        taken.append(found is not None)
        return found

    pictures_in_torch(monkeypatch)
    monkeypatch.setattr(layers, "gate", gate)
    monkeypatch.setattr(layers, "add_and_normalise", sum_and_norm)
    monkeypatch.setattr(joint, "take_room", take)
    return taken


def gradients_of(
    family: str,
    dtype: torch.dtype,
    *,
    bordered: bool = False,
    packed: bool = False,
    gathered: Any = None,
    adds: bool = False,
) -> Tensor:
    """`adds`: what may be added within the pass is, to 1."""
    model = tiny(family)
    unet = model.unet.to(dtype)
    use_fused_layers(unet)
    use_attention(unet, JointAttention())
    if packed:
        quantise(unet, "nf4")
    (_, found), *_ = targets_of(model, "attention and mlp", AdapterPlan().blocks)
    adapters = Adapters(unet, found, 8, 8)
    for place, parameter in enumerate(adapters.parameters()):
        parameter.data = drawn(*parameter.shape, seed=place) / 10
    if bordered:
        blocks = [block for block in unet.modules() if isinstance(block, FusedTransformerBlock)]
        put_borders((found for block in blocks for found in block.layers_by_input()), lambda rank: gathered)
    for _ in range(2):  # the second pass writes over what the first one had
        for parameter in adapters.parameters():
            parameter.grad = None
        sums = {parameter: torch.ones_like(parameter) for parameter in adapters.parameters()} if adds else {}
        with halves_at_hand([adapters], dtype, sums):
            x_BCHW = drawn(2, unet.config.in_channels, 8, 8)
            model.answer(x_BCHW, *told_to(unet.train(), 2)).float().square().mean().backward()
    found = [
        parameter.grad if parameter.grad is not None else sums[parameter] - 1 for parameter in adapters.parameters()
    ]
    assert not sums or all((sums[one] == 1).all() for one in sums if one.grad is not None), "either or"
    return torch.cat([one.flatten() for one in found])


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_unet_with_borders_learns_as_exactly_as_one_without(family, with_rooms):
    exact, plain = gradients_of(family, torch.float32), gradients_of(family, torch.bfloat16)
    assert not any(with_rooms)
    bordered = gradients_of(family, torch.bfloat16, bordered=True)
    blocks = sum(isinstance(one, FusedTransformerBlock) for one in fused(family).modules())
    in_each = 4 + 4  # forwards: queries of both, into the gate and out of it; backwards: those answers that are added
    assert sum(with_rooms) >= 2 * (in_each - 1) * blocks, "the last block of some has no room behind its gradient"
    assert 0 < (bordered - plain).norm(), "it rounds otherwise"
    assert (bordered - exact).norm() < 1.2 * (plain - exact).norm() < 0.1 * exact.norm()


def fused(family: str) -> nn.Module:
    unet = tiny(family).unet
    use_fused_layers(unet)
    return unet


def test_packed_weights_have_none(with_rooms):
    gradients_of("sd15", torch.bfloat16, bordered=True, packed=True)
    small = [layer for layer in with_rooms if layer]
    plain = gradients_of("sd15", torch.bfloat16, packed=True)
    assert plain.isfinite().all() and len(small) < len(with_rooms)


@pytest.mark.parametrize(("plan", "has"), [(AdapterPlan(), True), (AdapterPlan(rank_dropout=0.1), False)])
def test_where_dropout_stands_between_layers_and_loras_there_are_none(monkeypatch, plan, has):
    monkeypatch.setattr(device_layers, "can_fuse", lambda *_: True)
    model = tiny("sd15")
    unet = model.unet.to(torch.bfloat16)
    use_fused_layers(unet)
    (_, found), *_ = targets_of(model, plan.targets, plan.blocks)
    layers = Adapters(unet, found, 8, 8, plan).layers
    before = sum(layer.base.weight.untyped_storage().nbytes() for layer in layers)
    grown = device_layers.put_borders_for_gpu(unet, "cuda", torch.bfloat16, plan)
    assert (grown > 0) == has == any(layer.border for layer in layers if isinstance(layer, LoraLayer))
    assert grown < before


# ------------------------------------------------------------------------------------------------------------- beside


class Stream:
    """One that says what it waits for, and is recorded once it waits for one that is, as CUDA has it."""

    def __init__(self, name: str, log: list, *, is_recorded: bool) -> None:
        self.name, self._log, self.is_recorded = name, log, is_recorded

    def wait_stream(self, other: Stream) -> None:
        assert other.is_recorded, "a graph must not wait for what is none of its own"
        self.is_recorded = True
        self._log.append(f"{self.name} waits for {other.name}")


class OnGpu:
    is_cuda, device = True, torch.device("cuda", 0)


@pytest.fixture
def streams(monkeypatch):
    """What streams do, and the main one, which is recorded."""
    log = []
    main, aside = Stream("main", log, is_recorded=True), Stream("aside", log, is_recorded=False)
    current = [main]

    @contextmanager
    def on(stream):
        current.append(stream)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: current[-1].is_recorded)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: current[-1])
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: aside)
    beside_module._lane.cache_clear()
    yield log, current
    beside_module._lane.cache_clear()


def test_what_is_recorded_beside_waits_for_what_it_reads_and_is_waited_for(streams):
    log, current = streams
    first, second = OnGpu(), OnGpu()
    meet(first)
    assert not log, "nothing is there yet"
    with beside(first, second):
        log.append(f"work on {current[-1].name}")
    lane = beside_module._lane(first.device)
    assert lane.held == (first, second), "else their memory is another's meanwhile"
    with beside(second):
        log.append("more work")
    assert lane.held == (second,)
    meet(first)
    waits, is_waited_for = "aside waits for main", "main waits for aside"
    assert log == [waits, "work on aside", is_waited_for, waits, "more work", is_waited_for] and not lane.held


def test_a_recording_that_fails_ends_with_what_was_asked_for_beside(streams, monkeypatch):
    """Else CUDA does not end it, and what failed is not known."""
    log, _ = streams
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    with pytest.raises(torch.OutOfMemoryError), ends_beside():
        with beside(OnGpu()):
            pass
        raise torch.OutOfMemoryError
    assert log[-1] == "main waits for aside" and not beside_module._lane(OnGpu.device).held
    with ends_beside():
        pass
    with pytest.raises(KeyError), ends_beside():
        monkeypatch.setattr(Stream, "wait_stream", raises)
        raise KeyError


def raises(*_) -> None:
    raise RuntimeError("operation failed due to a previous error during capture")


def test_without_a_graph_and_on_a_cpu_nothing_is_beside(streams):
    log, current = streams
    current[0].is_recorded = False
    for given in (OnGpu(), torch.zeros(1)):
        with beside(given):
            pass
        meet(given)
    current[0].is_recorded = True
    with FakeTensorMode(), beside(torch.zeros(1)):
        pass
    assert not log
