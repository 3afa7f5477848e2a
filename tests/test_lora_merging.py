"""LoRA files on base models: merged, put on, or taken as a start, whatever their kind and whoever named them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.random_loras import ALPHA, BUILDERS, RANK, outputs, randomise, relative_errors
from trainer_core.errors import TrainingError
from trainer_core.families import ldm_layout
from trainer_core.families.base_model import BaseModel
from trainer_core.lora.adapters import Adapters
from trainer_core.lora.file import LoraFile, inspect_lora, lora_bytes, read_lora
from trainer_core.lora.merging import merge_loras, put_on
from trainer_core.lora.names import targets_of
from trainer_core.lora.networks import KINDS
from trainer_core.lora.start import start_from
from trainer_core.training.plan.adapter import AdapterPlan

WIDE = {"targets": "with convolutions", "conv_rank": 4, "conv_alpha": 2.0}


def with_adapters(model: BaseModel, plan: AdapterPlan, *, rank: int = RANK, alpha: float = ALPHA) -> list[Adapters]:
    parts = targets_of(model, plan.targets, plan.blocks)
    return [Adapters(module, targets, rank, alpha, plan) for module, targets in parts]


def write(path: Path, parts: list[Adapters]) -> LoraFile:
    tensors = {name: tensor for part in parts for name, tensor in part.tensors().items()}
    path.write_bytes(lora_bytes(tensors, {}, torch.float32))
    return read_lora(path)


def random_file(path: Path, build, plan: AdapterPlan, *, seed: int = 0, **size) -> tuple[LoraFile, BaseModel]:
    """A LoRA as after training, and the model that still has it on."""
    model = build(seed=1)
    parts = with_adapters(model, plan, **size)
    for number, part in enumerate(parts):
        randomise(part, seed + number)
    return write(path, parts), model


def scaled(model: BaseModel, lora: LoraFile, strength: float) -> BaseModel:
    put_on(model, lora, strength)
    return model


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "style.safetensors"


@pytest.mark.parametrize("family", BUILDERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_merged_lora_gives_the_outputs_of_the_same_lora_as_adapters(kind, family, path):
    lora, trained = random_file(path, BUILDERS[family], AdapterPlan(kind=kind, **WIDE))
    base, expected = outputs(BUILDERS[family](seed=1)), outputs(trained)
    assert min(relative_errors(expected, base)) > 0.1
    for strength in (1.0, 0.5):
        wanted = expected if strength == 1 else outputs(scaled(BUILDERS[family](seed=1), lora, strength))
        merged = BUILDERS[family](seed=1)
        merge_loras(merged, [(lora, strength)])
        assert max(relative_errors(outputs(merged), wanted)) < 1e-4
    put = BUILDERS[family](seed=1)
    put_on(put, lora, 1.0)
    assert max(relative_errors(outputs(put), expected)) < 1e-6


def test_loras_are_merged_one_after_another(path):
    plans = AdapterPlan(), AdapterPlan(kind="oft")
    loras = [random_file(path, BUILDERS["sd15"], plan, seed=seed)[0] for seed, plan in enumerate(plans)]
    merged, twice, reverse = (BUILDERS["sd15"](seed=1) for _ in range(3))
    merge_loras(merged, [(loras[0], 1.0), (loras[1], 0.5)])
    merge_loras(twice, [(loras[0], 1.0)])
    merge_loras(twice, [(loras[1], 0.5)])
    merge_loras(reverse, [(loras[1], 0.5), (loras[0], 1.0)])
    assert max(relative_errors(outputs(merged), outputs(twice))) < 1e-5
    assert min(relative_errors(outputs(merged), outputs(reverse))) > 0.01


def test_a_negative_strength_takes_a_lora_out_again(path):
    lora, _ = random_file(path, BUILDERS["sd15"], AdapterPlan())
    model = BUILDERS["sd15"](seed=1)
    before = outputs(model)
    merge_loras(model, [(lora, 1.0)])
    assert min(relative_errors(outputs(model), before)) > 0.01
    merge_loras(model, [(lora, -1.0)])
    assert max(relative_errors(outputs(model), before)) < 1e-4


def test_merging_keeps_the_format_of_the_weights_and_leaves_them_frozen(path):
    lora, _ = random_file(path, BUILDERS["sd15"], AdapterPlan())
    model = BUILDERS["sd15"](seed=1)
    model.unet.to(torch.bfloat16)
    merge_loras(model, [(lora, 1.0)])
    assert {parameter.dtype for parameter in model.unet.parameters()} == {torch.bfloat16}
    assert not any(parameter.requires_grad for parameter in model.unet.parameters())


def test_names_as_other_programs_write_them_are_known(path):
    for family in BUILDERS:
        lora, _ = random_file(path, BUILDERS[family], AdapterPlan(**WIDE))
        model = BUILDERS[family](seed=1)
        config = model.unet.config
        prefixes = ldm_layout.unet_prefixes(config.up_block_types, config.layers_per_block)
        renamed = {part.name: part.name.replace("lora_te_", "lora_te1_") for part in lora.parts}
        for target in targets_of(model, "with convolutions")[0][1]:
            other = ldm_layout.original_name(target.module, prefixes) if family == "sd15" else target.module
            renamed[target.name] = f"lora_unet_{other.replace('.', '_')}"
        assert sum(old != new for old, new in renamed.items()) > 90
        other = replace(lora, parts=tuple(replace(part, name=renamed[part.name]) for part in lora.parts))
        expected = BUILDERS[family](seed=1)
        merge_loras(expected, [(lora, 1.0)])
        merge_loras(model, [(other, 1.0)])
        assert max(relative_errors(outputs(model), outputs(expected))) == 0


@pytest.mark.parametrize("use", [lambda model, lora: merge_loras(model, [(lora, 1.0)]), lambda m, x: put_on(m, x, 1.0)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_lora_of_another_base_is_refused_in_one_line_and_changes_nothing(kind, use, path):
    lora, _ = random_file(path, BUILDERS["sdxl"], AdapterPlan(kind=kind))
    model = BUILDERS["sd15"](seed=1)
    before = outputs(model)
    with pytest.raises(TrainingError, match="the LoRA does not fit this base model") as refusal:
        use(model, lora)
    assert "\n" not in str(refusal.value)
    assert max(relative_errors(outputs(model), before)) == 0
    own, _ = random_file(path, BUILDERS["sd15"], AdapterPlan(kind=kind))
    first = own.parts[0]
    narrow = {name: tensor[..., : max(1, tensor.shape[-1] // 2)] for name, tensor in first.tensors.items()}
    with pytest.raises(TrainingError, match=f"the LoRA does not fit this base model: {first.name}"):
        use(model, replace(own, parts=(replace(first, tensors=narrow), *own.parts[1:])))


@pytest.mark.parametrize("kind", KINDS)
def test_inspect_tells_the_kind_and_its_rank_and_scale(kind, path):
    lora, _ = random_file(path, BUILDERS["sd15"], AdapterPlan(kind=kind))
    told = inspect_lora(path)
    assert told["kind"] == kind and told["rank"] == RANK
    assert told["scale"] == (1 if kind == "oft" else ALPHA / RANK)
    assert lora.kinds == [kind] and len(lora.modules) == 66


def test_only_what_half_precision_would_spoil_is_kept_in_full(path):
    model = BUILDERS["sd15"](seed=1)
    plan = AdapterPlan(kind="dora", rank_stabilised=True)
    parts = with_adapters(model, plan)
    for part in parts:
        randomise(part, 0)
    tensors = {name: tensor for part in parts for name, tensor in part.tensors().items()}
    path.write_bytes(lora_bytes(tensors, {}, torch.bfloat16))
    read = read_lora(path).tensors
    formats = {name.partition(".")[2]: tensor.dtype for name, tensor in read.items()}
    assert formats == {
        "lora_down.weight": torch.bfloat16, "lora_up.weight": torch.bfloat16,
        "dora_scale": torch.float32, "alpha": torch.float32,
    }  # fmt: skip
    assert all(torch.equal(read[name], tensors[name]) for name in read if name.endswith(("alpha", "dora_scale")))


def test_a_file_with_modules_of_an_unknown_kind_is_refused_by_name(path):
    lora, _ = random_file(path, BUILDERS["sd15"], AdapterPlan())
    tensors = lora.tensors | {"lora_unet_conv_in.diff": torch.ones(4)}
    path.write_bytes(lora_bytes(tensors, {}, torch.float32))
    with pytest.raises(TrainingError, match="style.safetensors holds 1 modules .* lora_unet_conv_in with diff"):
        read_lora(path)


# --------------------------------------------------------------------------------------------------------- as a start


def started(lora: LoraFile, plan: AdapterPlan, *, family: str = "sd15", **size) -> tuple[BaseModel, str]:
    """A fresh model whose training starts from `lora`, and the remark."""
    model = BUILDERS[family](seed=1)
    parts = with_adapters(model, plan, **size)
    for part in parts:
        part.initialise(7)
    return model, start_from(model, parts, lora)


@pytest.mark.parametrize("family", BUILDERS)
@pytest.mark.parametrize("kind", KINDS)
def test_training_starts_with_the_effect_of_the_file_whatever_the_plans_alpha(kind, family, path):
    plan = AdapterPlan(kind=kind, **WIDE)
    lora, trained = random_file(path, BUILDERS[family], plan)
    for alpha in (ALPHA, 2 * ALPHA):
        model, remark = started(lora, replace(plan, conv_alpha=alpha), family=family, alpha=alpha)
        assert max(relative_errors(outputs(model), outputs(trained))) < 1e-5
        assert remark == ""


def test_the_same_scale_takes_the_file_over_bit_for_bit(path):
    lora, _ = random_file(path, BUILDERS["sd15"], AdapterPlan())
    model = BUILDERS["sd15"](seed=1)
    parts = with_adapters(model, AdapterPlan())
    for part in parts:
        part.initialise(7)
    start_from(model, parts, lora)
    assert all(torch.equal(lora.tensors[name], t) for part in parts for name, t in part.tensors().items())
    assert all(parameter.requires_grad for part in parts for parameter in part.parameters())


def test_parts_that_the_file_lacks_start_anew_and_are_remarked(path):
    model = BUILDERS["sd15"](seed=1)
    unet_only = with_adapters(model, AdapterPlan())[:1]
    randomise(unet_only[0], 0)
    lora = write(path, unet_only)
    model = BUILDERS["sd15"](seed=1)
    parts = with_adapters(model, AdapterPlan())
    for part in parts:
        part.initialise(7)
    fresh = parts[1].tensors()
    remark = start_from(model, parts, lora)
    assert remark == "The LoRA to start from: it has nothing for 18 adapters, which start anew."
    assert all(torch.equal(fresh[name], tensor) for name, tensor in parts[1].tensors().items())
    assert all(torch.equal(lora.tensors[name], tensor) for name, tensor in parts[0].tensors().items())


def test_layers_that_the_plan_does_not_train_are_remarked(path):
    lora, _ = random_file(path, BUILDERS["sd15"], AdapterPlan(**WIDE))
    _, remark = started(lora, AdapterPlan())
    assert remark == "The LoRA to start from: 31 modules of it are not trained by this plan and are left out."


@pytest.mark.parametrize(
    ("kind", "file", "plan", "words"),
    [
        ("another kind", AdapterPlan(kind="loha"), AdapterPlan(), "of kind loha, and the plan of kind lora"),
        ("dora as lora", AdapterPlan(kind="dora"), AdapterPlan(), "of kind dora"),
        ("another conv rank", AdapterPlan(**WIDE), AdapterPlan(**(WIDE | {"conv_rank": 2})), "rank 4 where .* has 2"),
        ("another factor", AdapterPlan(kind="lokr"), AdapterPlan(kind="lokr", lokr_factor=2), "Set rank, conv rank"),
    ],
)
def test_a_start_of_another_kind_or_rank_is_refused_in_one_line(kind, file, plan, words, path):
    lora, _ = random_file(path, BUILDERS["sd15"], file)
    with pytest.raises(TrainingError, match=words) as refusal:
        started(lora, plan)
    assert "\n" not in str(refusal.value)


def test_a_start_of_another_rank_or_base_is_refused(path):
    lora, _ = random_file(path, BUILDERS["sd15"], AdapterPlan())
    with pytest.raises(TrainingError, match="rank 8 where the plan has 16"):
        started(lora, AdapterPlan(), rank=16)
    with pytest.raises(TrainingError, match="nothing for the layers that are trained|does not fit"):
        started(lora, AdapterPlan(), family="sdxl")
