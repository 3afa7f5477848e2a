"""Every kind of adapter: its formula, its dropout, its limits, and that it comes back from a file as it was."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.full_size_models import full_size
from tests.random_loras import randomise
from tests.tiny_models import tiny_sd15, tiny_sdxl
from trainer_core.errors import TrainingError
from trainer_core.lora.adapters import Adapters
from trainer_core.lora.file import lora_bytes
from trainer_core.lora.module import read_module
from trainer_core.lora.names import Target, targets_of
from trainer_core.lora.networks import KINDS, fresh_layer, layer_from_file
from trainer_core.training.arithmetic import lora_size
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.plan.adapter import AdapterPlan

RANK, ALPHA = 4, 3.0
BASES = {
    "linear": lambda: nn.Linear(24, 12),
    "linear without bias": lambda: nn.Linear(12, 24, bias=False),
    "1x1 convolution": lambda: nn.Conv2d(12, 24, 1),
    "3x3 convolution": lambda: nn.Conv2d(24, 12, 3, padding=1),
    "3x3 convolution that halves": lambda: nn.Conv2d(12, 12, 3, stride=2),
}


class Holder(nn.Module):
    """A model of one layer."""

    def __init__(self, base: str) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(7)
            self.layer = BASES[base]().requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def inputs(base: str) -> torch.Tensor:
    weight = Holder(base).layer.weight
    shape = (3, weight.shape[1], 9, 7) if weight.dim() == 4 else (3, 5, weight.shape[1])
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def adapted(base: str, plan: AdapterPlan, *, seed: int = 2, rank: int = RANK) -> tuple[Holder, Adapters]:
    """A model with random adapters, as after training."""
    model = Holder(base)
    adapters = Adapters(model, [Target("layer", "lora_unet_layer")], rank, ALPHA, plan)
    randomise(adapters, seed)
    return model, adapters


def plan_of(kind: str, **fields) -> AdapterPlan:
    return AdapterPlan(kind=kind, conv_rank=3, conv_alpha=2.0, **fields)


def expected_weight(weight: torch.Tensor, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    """The changed weight by the formulas that LoRA files stand for, in float64."""
    w, t = weight.double(), {name.partition(".")[2]: tensor.double() for name, tensor in tensors.items()}
    if "oft_blocks" in t:
        skew = t["oft_blocks"] - t["oft_blocks"].transpose(1, 2)
        identity = torch.eye(skew.shape[1], dtype=torch.float64)
        turn = (identity + skew) @ torch.linalg.inv(identity - skew)
        return torch.block_diag(*turn).T.matmul(w.flatten(1)).reshape(w.shape)
    if "hada_w1_a" in t:
        change = (t["hada_w1_a"] @ t["hada_w1_b"]) * (t["hada_w2_a"] @ t["hada_w2_b"])
        return w + change.reshape(w.shape) * t["alpha"] / len(t["hada_w1_b"])
    if "lokr_w1" in t:
        is_split = "lokr_w2" not in t
        second = t["lokr_w2_a"] @ t["lokr_w2_b"] if is_split else t["lokr_w2"].flatten(1)
        change = torch.kron(t["lokr_w1"], second).reshape(w.shape)
        return w + change * (t["alpha"] / len(t["lokr_w2_b"]) if is_split else 1)
    down, up = t["lora_down.weight"], t["lora_up.weight"]
    changed = w + torch.einsum("or,r...->o...", up.flatten(1), down) * t["alpha"] / len(down)
    if "dora_scale" in t:
        columns = changed.transpose(0, 1).flatten(1).norm(dim=1)
        changed = changed * t["dora_scale"] / columns.reshape(t["dora_scale"].shape)
    return changed


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    def test_a_fresh_adapter_changes_nothing_at_all(self, kind, base):
        x, model = inputs(base), Holder(base)
        before = model(x)
        adapters = Adapters(model, [Target("layer", "lora_unet_layer")], RANK, ALPHA, plan_of(kind))
        adapters.initialise(3)
        assert torch.equal(model(x), before)

    @pytest.mark.parametrize("strength", [1.0, 0.4])
    def test_answers_are_those_of_the_changed_weight(self, kind, base, strength):
        x, plain = inputs(base), Holder(base).double()
        model, adapters = adapted(base, plan_of(kind))
        changed = expected_weight(Holder(base).layer.weight, adapters.tensors())
        with torch.no_grad():
            effect = (plain.layer.weight - changed).norm() / changed.norm()
            plain.layer.weight.lerp_(changed, strength)
        adapters.scale(strength)
        assert effect > 0.05
        torch.testing.assert_close(model(x).double(), plain(x.double()), rtol=1e-4, atol=1e-4)

    def test_the_change_of_the_weight_is_the_formulas(self, kind, base):
        model, adapters = adapted(base, plan_of(kind))
        weight = Holder(base).layer.weight
        expected = expected_weight(weight, adapters.tensors()) - weight.double()
        torch.testing.assert_close(model.layer.change_weight(weight).double(), expected, rtol=1e-4, atol=1e-5)

    def test_every_tensor_learns_and_the_frozen_weight_does_not(self, kind, base):
        model, adapters = adapted(base, plan_of(kind))
        model(inputs(base)).square().mean().backward()
        assert all(parameter.grad.abs().sum() > 0 for parameter in adapters.parameters())
        assert model.layer.base.weight.grad is None

    def test_tensors_fill_another_adapter_bit_for_bit(self, kind, base):
        model, adapters = adapted(base, plan_of(kind))
        other, others = adapted(base, plan_of(kind), seed=5)
        assert not torch.equal(other(inputs(base)), model(inputs(base)))
        others.load(adapters.tensors())
        assert torch.equal(other(inputs(base)), model(inputs(base)))

    def test_a_files_tensors_say_what_kind_and_rank_they_are(self, kind, base):
        model, adapters = adapted(base, plan_of(kind))
        own = {name.partition(".")[2]: tensor for name, tensor in adapters.tensors().items()}
        module = read_module("lora_unet_layer", own)
        assert module.kind == kind
        again = Holder(base)
        again.layer = layer_from_file(again.layer, module)
        assert torch.equal(again(inputs(base)), model(inputs(base)))


# ---------------------------------------------------------------------------------------------------- the formulas


@pytest.mark.parametrize("rank", [4, 6])
def test_rank_stabilised_adapters_have_scale_alpha_by_root_of_rank_in_the_file_too(rank):
    _, adapters = adapted("linear", AdapterPlan(rank_stabilised=True), rank=rank)
    assert float(adapters.tensors()["lora_unet_layer.alpha"]) / rank == pytest.approx(ALPHA / math.sqrt(rank), rel=1e-6)
    assert adapters.layers[0].scale == pytest.approx(ALPHA / math.sqrt(rank))


def test_only_wide_convolutions_have_the_convolutions_rank():
    plan = AdapterPlan(conv_rank=2, conv_alpha=0.5)
    ranks = {base: fresh_layer(make(), RANK, ALPHA, plan) for base, make in BASES.items()}
    found = {base: (layer.rank, layer.alpha) for base, layer in ranks.items()}
    wide = {"3x3 convolution", "3x3 convolution that halves"}
    assert found == {base: (2, 0.5) if base in wide else (RANK, ALPHA) for base in BASES}


def test_oft_turns_and_stretches_nothing():
    model, _ = adapted("linear", AdapterPlan(kind="oft"))
    weight = Holder("linear").layer.weight
    turned = weight + model.layer.change_weight(weight)
    blocks = [matrix.reshape(3, 4, -1) for matrix in (weight, turned)]
    before, after = (block.transpose(1, 2) @ block for block in blocks)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    assert (turned - weight).norm() > 0.1 * weight.norm()


@pytest.mark.parametrize(("rank", "block"), [(4, 4), (5, 4), (100, 12), (1, 1)])
def test_oft_blocks_are_the_largest_that_divide_the_outputs(rank, block):
    _, adapters = adapted("linear", AdapterPlan(kind="oft"), rank=rank)
    assert adapters.tensors()["lora_unet_layer.oft_blocks"].shape == (12 // block, block, block)


@pytest.mark.parametrize(
    ("factor", "first", "second"), [(0, (3, 4), (4, 6)), (2, (2, 2), (6, 12)), (5, (3, 4), (4, 6))]
)
def test_lokrs_factor_is_the_size_of_its_first_matrix(factor, first, second):
    _, adapters = adapted("linear", AdapterPlan(kind="lokr", lokr_factor=factor), rank=100)
    tensors = adapters.tensors()
    assert tensors["lora_unet_layer.lokr_w1"].shape == first and tensors["lora_unet_layer.lokr_w2"].shape == second


def test_no_gradient_of_dora_goes_through_the_norm():
    model, adapters = adapted("linear", AdapterPlan(kind="dora"))
    x, layer = inputs("linear"), model.layer
    model(x).sum().backward()
    changed = layer.base.weight + layer.lora_up @ layer.lora_down * layer.scale
    fixed = changed.detach().norm(dim=0, keepdim=True)
    expected = torch.autograd.grad((x @ (changed * layer.dora_scale / fixed).T).sum(), adapters.parameters())
    for parameter, gradient in zip(adapters.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("base", ["3x3 convolution", "3x3 convolution that halves"])
@pytest.mark.parametrize("kind", ["lora", "loha", "lokr"])
def test_tucker_decomposed_convolutions_are_read_as_what_they_amount_to(kind, base):
    generator = torch.Generator().manual_seed(4)
    weight = Holder(base).layer.weight
    outputs, columns = weight.shape[:2]

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    if kind == "lora":
        tensors = {"lora_down.weight": random(3, columns, 1, 1), "lora_mid.weight": random(3, 3, 3, 3),
                   "lora_up.weight": random(outputs, 3, 1, 1)}  # fmt: skip
        up, mid, down = (tensors[f"lora_{end}.weight"].double() for end in ("up", "mid", "down"))
        expected = torch.einsum("opyx,pqhw,qiyx->oihw", up, mid, down)
    elif kind == "loha":
        sizes = {"a": outputs, "b": columns}
        tensors = {f"hada_w{i}_{end}": random(3, size) for i in (1, 2) for end, size in sizes.items()}
        tensors |= {f"hada_t{i}": random(3, 3, 3, 3) for i in (1, 2)}
        t = {name: tensor.double() for name, tensor in tensors.items()}
        first, second = (
            torch.einsum("pqhw,po,qi->oihw", t[f"hada_t{i}"], t[f"hada_w{i}_a"], t[f"hada_w{i}_b"]) for i in (1, 2)
        )
        expected = first * second
    else:
        tensors = {"lokr_w1": random(2, 2), "lokr_t2": random(3, 3, 3, 3), "lokr_w2_a": random(3, outputs // 2),
                   "lokr_w2_b": random(3, columns // 2)}  # fmt: skip
        t = {name: tensor.double() for name, tensor in tensors.items()}
        second = torch.einsum("pqhw,po,qi->oihw", t["lokr_t2"], t["lokr_w2_a"], t["lokr_w2_b"])
        expected = torch.kron(t["lokr_w1"][:, :, None, None], second.contiguous())
    module = read_module("m", tensors | {"alpha": torch.tensor(1.5)})
    layer = layer_from_file(Holder(base).layer, module)
    torch.testing.assert_close(layer.change_weight(weight).double(), expected * 0.5, rtol=1e-4, atol=1e-4)


def test_an_oft_file_with_a_limit_is_shortened_to_it():
    blocks = torch.randn((3, 4, 4), generator=torch.Generator().manual_seed(0))
    base = Holder("linear").layer
    layer = layer_from_file(base, read_module("m", {"oft_blocks": blocks, "alpha": torch.tensor(0.5)}))
    skew = layer.oft_blocks - layer.oft_blocks.transpose(1, 2)
    assert skew.norm().item() == pytest.approx(0.5)


def test_tensors_of_no_known_kind_are_no_module():
    whole = {"lora_down.weight": torch.ones(2, 4), "lora_up.weight": torch.ones(4, 2)}
    assert read_module("m", whole).alpha is None
    assert read_module("m", {"lora_down.weight": torch.ones(2, 4)}) is None
    assert read_module("m", whole | {"diff_b": torch.ones(4)}) is None
    assert read_module("m", whole | {"dora_scale": torch.ones(4, 1)}) is None


# --------------------------------------------------------------------------------------------------------- dropout


@pytest.mark.parametrize("base", ["linear", "3x3 convolution"])
@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_dropout_and_rank_dropout_work_between_down_and_up_as_kohyas(kind, base, monkeypatch):
    plan = plan_of(kind, dropout=0.25, rank_dropout=0.5)
    model, adapters = adapted(base, plan)
    layer, downs, inner = model.layer, [], []
    down, up = type(layer).apply_base, type(layer)._up
    monkeypatch.setattr(type(layer), "apply_base", lambda *a: downs.append(down(*a)) or downs[-1])
    monkeypatch.setattr(type(layer), "_up", lambda *a: inner.append(a[1]) or up(*a))
    adapters.set_dropout_seed(11)
    model(inputs(base))
    before = next(tensor for tensor in downs if tensor.shape == inner[-1].shape)
    ratio = inner[-1] / before / layer.scale
    kept = {0.0, 1 / (0.75 * 0.5)}
    assert {round(value, 4) for value in ratio.flatten().tolist()} == {round(value, 4) for value in kept}
    ranks = ratio.movedim(1 if base != "linear" else -1, 1).flatten(2).amax(-1)
    assert ranks.shape == (3, layer.rank) and 0 < (ranks == 0).sum() < ranks.numel()
    assert len({tuple(picture) for picture in (ranks == 0).tolist()}) > 1
    assert 0.1 < (ratio[ranks.nonzero()[0][0]] == 0).float().mean() < 0.9


@pytest.mark.parametrize("kind", ["loha", "lokr"])
def test_rank_dropout_of_products_leaves_out_output_channels(kind):
    model, adapters = adapted("linear", AdapterPlan(kind=kind, rank_dropout=0.5))
    x = inputs("linear")
    whole = (model(x) - model.layer.base(x)).detach()
    adapters.set_dropout_seed(1)
    ratio = (model(x) - model.layer.base(x)).detach() / whole
    channels = ratio.mean(1)
    assert torch.allclose(ratio, channels[:, None].expand_as(ratio), atol=1e-2)
    assert {round(value) for value in channels.flatten().tolist()} == {0, 2}
    assert len({tuple(picture) for picture in channels.round().tolist()}) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_module_dropout_leaves_out_whole_adapters_at_its_rate(kind):
    model, adapters = adapted("linear", AdapterPlan(kind=kind, module_dropout=0.3))
    x = inputs("linear")
    plain, whole = model.layer.base(x), model(x)
    absent = 0
    for seed in range(400):
        adapters.set_dropout_seed(seed)
        answer = model(x)
        absent += torch.equal(answer, plain)
        assert torch.equal(answer, plain) or torch.equal(answer, whole)
    assert 0.22 < absent / 400 < 0.38


DROPOUTS = [{"dropout": 0.3}, {"rank_dropout": 0.3}, {"module_dropout": 0.5}]


@pytest.mark.parametrize("chances", DROPOUTS)
def test_dropout_follows_its_seed_alone_and_none_switches_it_off(chances):
    model, adapters = adapted("linear", AdapterPlan(**chances))
    x = inputs("linear")
    whole = model(x)
    torch.manual_seed(0)
    state = torch.get_rng_state()

    def answers(seeds) -> list[torch.Tensor]:
        return [(adapters.set_dropout_seed(seed), model(x))[1] for seed in seeds]

    first = answers(range(8))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    assert all(torch.equal(a, b) for a, b in zip(first, answers(range(8)), strict=True))
    assert len({tuple(answer.flatten().tolist()) for answer in first}) >= 2
    assert torch.equal(answers([None])[0], whole)


@pytest.mark.parametrize("chances", DROPOUTS)
def test_dropout_keeps_an_adapters_effect_on_average(chances):
    model, adapters = adapted("linear", AdapterPlan(**chances))
    x = inputs("linear")
    whole, total = model(x) - model.layer.base(x), 0
    for seed in range(600):
        adapters.set_dropout_seed(seed)
        total = total + (model(x) - model.layer.base(x)).detach()
    kept = 0.5 if "module_dropout" in chances else 1.0
    assert ((total / 600 - kept * whole).norm() / whole.norm()).item() < 0.12


def test_adapters_of_one_step_leave_out_different_things():
    model = tiny_sd15()
    module, targets = targets_of(model)[0]
    adapters = Adapters(module, targets, RANK, ALPHA, AdapterPlan(rank_dropout=0.5))
    adapters.initialise(0)
    adapters.set_dropout_seed(4)
    masks = {tuple(layer.dropout.drop_ranks(torch.ones(2, 8), 1).flatten().tolist()) for layer in adapters.layers}
    assert len(masks) > 0.8 * len(targets)


@pytest.mark.parametrize("chances", DROPOUTS)
def test_checkpointed_gradients_are_those_of_the_same_dropout(chances):
    gradients = []
    for run in (lambda model, x: model(x), lambda model, x: checkpoint(model, x, use_reentrant=False)):
        model, adapters = adapted("linear", AdapterPlan(**chances))
        adapters.set_dropout_seed(2)
        run(model, inputs("linear").requires_grad_(True)).square().mean().backward()
        gradients.append([parameter.grad for parameter in adapters.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True) if a is not None)


def test_a_plan_without_dropout_costs_nothing():
    _, adapters = adapted("linear", AdapterPlan())
    adapters.set_dropout_seed(5)
    assert adapters.layers[0].dropout is None


# ---------------------------------------------------------------------------------------------------- what is trained


@pytest.mark.parametrize("kind", ["lora", "dora", "loha", "lokr"])
def test_weight_changes_that_are_too_long_are_scaled_down_and_others_left_alone(kind):
    model = nn.ModuleList([nn.Linear(12, 24), nn.Linear(12, 24)]).requires_grad_(False)
    targets = [Target("0", "lora_unet_a"), Target("1", "lora_unet_b")]
    adapters = Adapters(model, targets, RANK, ALPHA, AdapterPlan(kind=kind, max_norm=1.0))
    randomise(adapters, 3)
    with torch.no_grad():
        adapters.layers[0].factors()[0].mul_(3)
        for tensor in adapters.layers[1].factors():
            tensor.mul_(0.1)
    long, short = (layer.product().norm().item() for layer in adapters.layers)
    assert long > 1.5 and short < 1
    before = adapters.tensors()
    direction = adapters.layers[0].product() / long
    adapters.limit_norms(torch.tensor(False))
    assert all(torch.equal(tensor, before[name]) for name, tensor in adapters.tensors().items())
    adapters.limit_norms(torch.tensor(True))
    torch.testing.assert_close(adapters.layers[0].product(), direction, rtol=1e-4, atol=1e-5)
    after = adapters.tensors()
    assert all(torch.equal(after[name], before[name]) for name in after if "lora_unet_b" in name)
    if kind == "dora":
        assert torch.equal(after["lora_unet_a.dora_scale"], before["lora_unet_a.dora_scale"])


def test_no_limit_leaves_long_changes():
    _, adapters = adapted("linear", AdapterPlan())
    before = adapters.tensors()
    adapters.limit_norms(torch.tensor(True))
    assert all(torch.equal(tensor, before[name]) for name, tensor in adapters.tensors().items())


@pytest.mark.parametrize("kind", KINDS)
def test_groups_hold_every_parameter_once_by_block_and_by_what_starts_at_zero(kind):
    module, targets = targets_of(tiny_sd15())[0]
    targets = [replace(target, rate_factor=0.5 if target.block == "MID" else 1.0) for target in targets]
    adapters = Adapters(module, targets, RANK, ALPHA, AdapterPlan(kind=kind))
    adapters.initialise(0)
    groups = adapters.parameter_groups()
    assert sorted(map(id, adapters.parameters())) == sorted(id(p) for group in groups for p in group.parameters)
    assert {(group.is_up, group.rate_factor) for group in groups} == {
        (is_up, factor) for is_up in ((False,) if kind == "oft" else (False, True)) for factor in (0.5, 1.0)
    }
    middle = {id(p) for t, x in zip(targets, adapters.layers, strict=True) if t.block == "MID" for _, p in x.trained()}
    for group in groups:
        assert all((id(parameter) in middle) == (group.rate_factor == 0.5) for parameter in group.parameters)
        if kind != "oft":
            assert all((parameter.abs().sum() == 0) == group.is_up for parameter in group.parameters)


@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_on_from_saved_tensors_bit_for_bit(kind):
    plan = plan_of(kind, module_dropout=0.2) if kind == "oft" else plan_of(kind, rank_dropout=0.2, max_norm=2.0)

    def train(steps: range, tensors=None, state=None):
        model, adapters = adapted("3x3 convolution", plan)
        optimizer = torch.optim.AdamW(adapters.parameters(), lr=1e-2)
        if tensors:
            adapters.load(tensors)
            optimizer.load_state_dict(state)
        for step in steps:
            adapters.set_dropout_seed(step)
            x = torch.randn((2, 24, 5, 5), generator=torch.Generator().manual_seed(step))
            loss = (model(x) - x[:, :12]).square().mean()
            if loss.requires_grad:  # dropout may have left out the only adapter
                loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            adapters.limit_norms(torch.tensor(True))
        return adapters.tensors(), optimizer.state_dict()

    through = train(range(6))[0]
    resumed = train(range(3, 6), *train(range(3)))[0]
    assert all(torch.equal(through[name], resumed[name]) for name in through)
    start = adapted("3x3 convolution", plan)[1].tensors()
    moved = [name for name in through if not torch.equal(through[name], start[name])]
    assert len(moved) == len(through) - 1  # all but alpha


# ------------------------------------------------------------------------------------------------------------ sizes


@pytest.mark.parametrize("saving", ["fp16", "fp32"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_promised_size_is_that_of_the_file(kind, saving):
    adapter = plan_of(kind, targets="with convolutions", block_weights="MID=0")
    plan = TrainingPlan.from_json({"network": {"rank": RANK, "alpha": ALPHA}, "precision": {"saving": saving}})
    model = tiny_sdxl()
    promised = lora_size(model, replace(plan, adapter=adapter))
    tensors = {}
    for module, targets in targets_of(model, adapter.targets, adapter.blocks):
        part = Adapters(module, targets, RANK, ALPHA, adapter)
        randomise(part, 0)
        tensors |= part.tensors()
    size = len(lora_bytes(tensors, {}, {"fp16": torch.float16, "fp32": torch.float32}[saving]))
    assert size == pytest.approx(promised, rel=0.03)  # at this size, the shapes in the header count


@pytest.mark.parametrize(
    ("family", "rank", "conv_rank", "fields", "mebibytes"),
    [
        ("sd15", 32, 32, {}, 74.4),
        ("sd15", 32, 8, {}, 49.5),
        ("sdxl", 32, 32, {"text_encoder_rate": 0.0}, 188),
    ],
)
def test_loras_with_convolutions_have_the_size_of_kohyas(family, rank, conv_rank, fields, mebibytes):
    plan = TrainingPlan.from_json({"network": {"rank": rank, "alpha": 1}, "optimizer": fields})
    adapter = AdapterPlan(targets="with convolutions", conv_rank=conv_rank)
    assert lora_size(full_size(family), replace(plan, adapter=adapter)) / 2**20 == pytest.approx(mebibytes, abs=0.5)


# --------------------------------------------------------------------------------------------------------- the plan


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"conv_rank": 0}, "conv rank"),
        ({"conv_alpha": 0.0}, "conv alpha"),
        ({"dropout": 1.0}, "dropout"),
        ({"rank_dropout": -0.1}, "rank dropout"),
        ({"module_dropout": float("nan")}, "module dropout"),
        ({"max_norm": -1.0}, "max norm"),
        ({"lokr_factor": -1}, "lokr factor"),
        ({"lokr_factor": 8}, "lora has no lokr factor"),
        ({"kind": "loha", "dropout": 0.1}, "loha has no dropout"),
        ({"kind": "oft", "rank_dropout": 0.1}, "oft has no rank dropout"),
        ({"kind": "oft", "max_norm": 1.0}, "oft has no max norm"),
        ({"kind": "oft", "rank_stabilised": True}, "oft has no rank stabilisation"),
        ({"block_weights": "IN4"}, "IN4"),
        ({"merge_first": "style.safetensors:99"}, "style.safetensors"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_in_one_line(fields, words):
    with pytest.raises(TrainingError, match=words) as refusal:
        AdapterPlan(**fields)
    assert "\n" not in str(refusal.value)


def test_loras_to_merge_are_one_a_line_or_by_semicolons_with_strength_1_if_none_is_given():
    text = "a.safetensors:0.5\n b c.safetensors ;C:\\loras\\d.safetensors;/e/f.safetensors:-1;\n"
    found = [(str(path), strength) for path, strength in AdapterPlan(merge_first=text).merges]
    assert found == [
        ("a.safetensors", 0.5), ("b c.safetensors", 1.0), ("C:\\loras\\d.safetensors", 1.0), ("/e/f.safetensors", -1.0),
    ]  # fmt: skip
    assert AdapterPlan().merges == ()
