"""LoRA files: kohya's names and sizes, the same bytes every time, the same effect in another loader."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from tests.test_families import full_size
from tests.tiny_models import tiny_sd15, tiny_sdxl, write_checkpoint
from trainer_core.dataset.types import Dataset, DatasetImage
from trainer_core.errors import TrainingError
from trainer_core.families.base_model import BaseModel, PictureSize
from trainer_core.families.loading import load_base_model
from trainer_core.families.sdxl import SDXL
from trainer_core.lora.adapters import Adapters
from trainer_core.lora.file import PLAN_KEY, inspect_lora, lora_bytes, publish, read_lora
from trainer_core.lora.names import targets_of, unet_targets
from trainer_core.sampling import apply_lora
from trainer_core.training.metadata import lora_metadata
from trainer_core.training.plan import NetworkPlan, TrainingPlan

RANK, ALPHA = 8, 3.0
BUILDERS = {"sd15": tiny_sd15, "sdxl": tiny_sdxl}


@pytest.fixture(scope="module", params=BUILDERS)
def checkpoint(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    return write_checkpoint(folder / "tiny.safetensors", BUILDERS[request.param](seed=1))


def with_random_lora(model: BaseModel, dtype: torch.dtype = torch.float32) -> tuple[list[Adapters], bytes]:
    """Adapters on every part, `up` away from zero as after training, and their file."""
    parts = [Adapters(module, targets, RANK, ALPHA) for module, targets in targets_of(model)]
    generator = torch.Generator().manual_seed(11)
    for number, part in enumerate(parts):
        part.initialise(number)
        for parameter in part.parameters()[1::2]:
            parameter.data.normal_(0, 0.3, generator=generator)
    tensors = {name: tensor for part in parts for name, tensor in part.tensors().items()}
    return parts, lora_bytes(tensors, {"ss_output_name": "mochi"}, dtype)


@torch.no_grad()
def outputs(model: BaseModel) -> list[torch.Tensor]:
    """The noise prediction for a fixed text, and each text encoder's last layer."""
    ids = torch.arange(2 * 77).reshape(2, 77) * 7 % model.text_encoders[0].config.vocab_size
    hidden = [encoder(ids, output_hidden_states=True) for encoder in model.text_encoders]
    fixed = model.encode_text(["a red cat", "ball"], 1)
    fixed.states_BLD.normal_(generator=torch.Generator().manual_seed(4))
    x_BCHW = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(5))
    noise = model.predict(x_BCHW, torch.tensor([20, 900]), fixed, [PictureSize((64, 64), (0, 0), (64, 64))] * 2)
    pooled = [out.text_embeds for out in hidden if hasattr(out, "text_embeds")]
    return [noise, *(out.last_hidden_state for out in hidden), *pooled]


def relative_errors(found: list[torch.Tensor], expected: list[torch.Tensor]) -> list[float]:
    return [((a - b).norm() / b.norm()).item() for a, b in zip(found, expected, strict=True)]


# -------------------------------------------------------------------------------------------------- names and sizes


@pytest.mark.parametrize(
    ("family", "counts", "mebibytes", "of_unet"),
    [
        ("sd15", [192, 72], {32: 36.1, 64: 72.1, 128: 144.1}, {}),
        ("sdxl", [722, 72, 192], {8: 54.8, 16: 109.1, 32: 217.9}, {8: 40.9, 16: 81.5, 32: 162.7}),
    ],
)
def test_full_size_targets_and_file_sizes_are_kohyas(family, counts, mebibytes, of_unet):
    found = targets_of(full_size(family))
    assert [len(targets) for _, targets in found] == counts
    names = [target.name for _, targets in found for target in targets]
    assert len(set(names)) == len(names)
    values, headers = [], []
    for module, targets in found:
        for target in targets:
            layer = module.get_submodule(target.module)
            is_pointwise = isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)
            assert isinstance(layer, nn.Linear) or is_pointwise, target
        values.append(sum(p.numel() for p in Adapters(module, targets, 1, 1.0).parameters()))
        ends = ("lora_down.weight", "lora_up.weight", "alpha")
        empty = {f"{target.name}.{end}": torch.zeros(()) for target in targets for end in ends}
        headers.append(len(lora_bytes(empty, {}, torch.float16)))
    for rank, size in mebibytes.items():
        assert (2 * rank * sum(values) + sum(headers)) / 2**20 == pytest.approx(size, abs=0.2)
    for rank, size in of_unet.items():
        assert (2 * rank * values[0] + headers[0]) / 2**20 == pytest.approx(size, abs=0.2)


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("sd15", ["lora_unet_down_blocks_0_attentions_0_proj_in",
                  "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_out_0",
                  "lora_unet_up_blocks_3_attentions_2_transformer_blocks_0_ff_net_0_proj",
                  "lora_te_text_model_encoder_layers_11_self_attn_out_proj"]),
        ("sdxl", ["lora_unet_input_blocks_4_1_proj_in",
                  "lora_unet_middle_block_1_transformer_blocks_9_attn2_to_k",
                  "lora_unet_output_blocks_5_1_transformer_blocks_1_ff_net_2",
                  "lora_te1_text_model_encoder_layers_0_mlp_fc1",
                  "lora_te2_text_model_encoder_layers_31_self_attn_q_proj"]),
    ],
)  # fmt: skip
def test_names_as_kohya_writes_them_are_among_the_targets(family, names):
    assert set(names) <= {target.name for _, targets in targets_of(full_size(family)) for target in targets}


# -------------------------------------------------------------------------------------------------------- the bytes

_WRITE = """
import hashlib, torch
from trainer_core.lora.file import lora_bytes
values = torch.arange(12.).reshape(3, 4)
ends = ("lora_up.weight", "lora_down.weight", "alpha")
tensors = {f"lora_unet_{i}.{end}": values * i for i in (2, 0, 1) for end in ends}
metadata = {f"ss_{name}": name for name in ("zeta", "alpha", "näme", "seed")}
print(hashlib.sha256(lora_bytes(tensors, metadata, torch.float16)).hexdigest())
"""


def test_the_same_lora_gives_the_same_bytes_in_every_process():
    hashes = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        repository = Path(__file__).parents[1]
        hashes.add(subprocess.check_output([sys.executable, "-c", _WRITE], env=environment, cwd=repository))
    assert len(hashes) == 1 and len(hashes.pop().strip()) == 64


def test_safetensors_opens_the_bytes_and_gives_back_tensors_and_metadata(tmp_path):
    shapes = {"m.lora_down.weight": (4, 6), "m.lora_up.weight": (6, 4), "m.alpha": ()}
    tensors = {name: torch.randn(shape, generator=torch.Generator().manual_seed(2)) for name, shape in shapes.items()}
    path = tmp_path / "lora.safetensors"
    path.write_bytes(lora_bytes(tensors, {"ss_output_name": "もち", "ss_epoch": "3"}, torch.float32))
    with safe_open(path, framework="pt") as file:
        assert set(file.keys()) == set(tensors)
        assert all(torch.equal(file.get_tensor(name), tensor) for name, tensor in tensors.items())
        metadata = file.metadata()
    length = int.from_bytes(path.read_bytes()[:8], "little")
    data = path.read_bytes()[8 + length :]
    assert (8 + length) % 8 == 0
    assert metadata == {
        "ss_output_name": "もち", "ss_epoch": "3", "sshs_model_hash": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip


def test_the_model_hash_depends_on_the_weights_alone(tmp_path):
    hashes = []
    for number, (value, metadata) in enumerate([(1.0, {}), (1.0, {"a": "b"}), (2.0, {})]):
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(lora_bytes({"m.lora_down.weight": torch.full((2, 3), value)}, metadata, torch.float16))
        hashes.append(read_lora(path).metadata["sshs_model_hash"])
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(("value", "dtype"), [(float("nan"), "float32"), (float("inf"), "bfloat16"), (1e5, "float16")])
def test_weights_that_are_not_finite_are_never_saved(value, dtype):
    tensors = {"fine.alpha": torch.tensor(1.0), "broken.lora_up.weight": torch.tensor([[0.0, value]])}
    with pytest.raises(TrainingError, match="broken.lora_up.weight") as refusal:
        lora_bytes(tensors, {}, getattr(torch, dtype))
    assert "\n" not in str(refusal.value)


def test_metadata_tells_the_plan_and_nothing_of_where_it_was_made(tmp_path):
    image = DatasetImage(
        path=Path("/home/alice/secret/10_mochi/a.png"), width=64, height=64, caption="mochi, red cat",
        caption_source="a.txt", repeats=10, is_regularisation=False, fingerprint="f", bucket=(64, 96),
    )  # fmt: skip
    plan = replace(TrainingPlan(epochs=3, seed=5), network=NetworkPlan(rank=RANK, alpha=ALPHA))
    metadata = lora_metadata(
        name="mochi", family=SDXL, prediction_type="v_prediction", plan=plan,
        dataset=Dataset(images=(image,), trigger_words=("mochi",)),
        base_model=Path("/home/alice/models/base.safetensors"), base_identity="ab" * 32,
        epoch=2, step=20, total_steps=30, batches_per_epoch=10,
    )  # fmt: skip
    assert all(isinstance(value, str) for value in metadata.values())
    assert not re.search(r"alice|secret|/home|[\\/]models", json.dumps(metadata))
    assert TrainingPlan.from_json(json.loads(metadata[PLAN_KEY])) == plan
    expected = {
        "ss_base_model_version": "sdxl_base_v1-0", "ss_network_dim": "8", "ss_network_alpha": "3.0", "ss_epoch": "2",
        "ss_sd_model_name": "base.safetensors", "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
        "modelspec.prediction_type": "v", "modelspec.resolution": "64x96", "modelspec.trigger_phrase": "mochi",
        "ss_tag_frequency": '{"10_mochi": {"mochi": 1, "red cat": 1}}',
    }  # fmt: skip
    assert {key: metadata[key] for key in expected} == expected


# --------------------------------------------------------------------------------------------------- another loader


def test_diffusers_loads_the_file_to_the_same_outputs(checkpoint, tmp_path):
    ours = load_base_model(checkpoint, torch.float32)
    base = outputs(ours)
    _, data = with_random_lora(ours)
    (tmp_path / "lora.safetensors").write_bytes(data)
    expected = outputs(ours)
    assert min(relative_errors(expected, base)) > 0.02

    theirs = load_base_model(checkpoint, torch.float32)
    parts = {"vae": theirs.vae, "unet": theirs.unet, "scheduler": DDIMScheduler()}
    for end, encoder, tokenizer in zip(("", "_2"), theirs.text_encoders, theirs.tokenizers, strict=False):
        parts |= {f"text_encoder{end}": encoder, f"tokenizer{end}": tokenizer}
    if isinstance(theirs, SDXL):
        pipeline = StableDiffusionXLPipeline(**parts)
    else:
        unused = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        pipeline = StableDiffusionPipeline(**parts, **unused)
    pipeline.load_lora_weights(tmp_path, weight_name="lora.safetensors")
    assert max(relative_errors(outputs(theirs), expected)) <= 1e-4


def test_apply_lora_gives_the_trained_outputs_at_the_asked_strength(checkpoint, tmp_path):
    ours = load_base_model(checkpoint, torch.float32)
    base = outputs(ours)
    parts, data = with_random_lora(ours)
    (tmp_path / "lora.safetensors").write_bytes(data)
    again = load_base_model(checkpoint, torch.float32)
    put_on = apply_lora(again, read_lora(tmp_path / "lora.safetensors"))
    assert max(relative_errors(outputs(again), outputs(ours))) < 1e-6
    for part, same in zip(parts, put_on, strict=True):
        for adapters in (part, same):
            adapters.scale(0.5)
    assert max(relative_errors(outputs(again), outputs(ours))) < 1e-6
    for adapters in put_on:
        adapters.scale(0)
    assert max(relative_errors(outputs(again), base)) == 0


def test_a_lora_of_another_family_is_refused(checkpoint, tmp_path):
    ours = load_base_model(checkpoint, torch.float32)
    _, data = with_random_lora(ours)
    (tmp_path / "lora.safetensors").write_bytes(data)
    other = tiny_sd15() if isinstance(ours, SDXL) else tiny_sdxl()
    with pytest.raises(TrainingError, match="Choose the (base model )?family it was trained on"):
        apply_lora(other, read_lora(tmp_path / "lora.safetensors"))


# --------------------------------------------------------------------------------------------------------- adapters


def test_adapters_switched_off_give_the_base_exactly_and_come_back(checkpoint):
    model = load_base_model(checkpoint, torch.float32)
    base = outputs(model)
    parts, _ = with_random_lora(model)
    trained = outputs(model)
    with parts[0].switched_off(), parts[1].switched_off(), parts[-1].switched_off():
        assert all(torch.equal(a, b) for a, b in zip(outputs(model), base, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(outputs(model), trained, strict=True))


def test_fresh_adapters_change_nothing_and_all_of_them_train_in_fp32_on_a_bf16_base():
    unet = tiny_sd15().unet.to(torch.bfloat16)
    x_BCHW, text_BLD = (torch.linspace(-1, 1, n).sin().bfloat16() for n in (4 * 64, 77 * 64))
    inputs = x_BCHW.view(1, 4, 8, 8), torch.tensor([5]), text_BLD.view(1, 77, 64)
    base = unet(*inputs).sample
    adapters = Adapters(unet, unet_targets(unet, original_names=False), RANK, ALPHA)
    adapters.initialise(0)
    assert {p.dtype for p in adapters.parameters()} == {torch.float32}
    assert {p.dtype for name, p in unet.named_parameters() if "lora_" not in name} == {torch.bfloat16}
    with torch.autocast("cpu", torch.bfloat16):
        unet(*inputs).sample.float().square().mean().backward()
    assert all(up.grad is not None and up.grad.abs().sum() > 0 for up in adapters.parameters()[1::2])
    assert [n for n, p in unet.named_parameters() if p.requires_grad and "lora_" not in n] == []
    assert torch.equal(unet(*inputs).sample, base)


def test_start_weights_depend_on_the_seed_alone_and_leave_the_global_generator_as_it_was():
    found = []
    for global_seed, seed in ((0, 4), (99, 4), (0, 5)):
        model = tiny_sd15()
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        adapters = Adapters(model.unet, targets_of(model)[0][1], RANK, ALPHA)
        adapters.initialise(seed)
        assert torch.equal(torch.get_rng_state(), before)
        found.append(adapters.tensors())
    first, again, other = (torch.cat([tensor.flatten() for tensor in part.values()]) for part in found)
    assert torch.equal(first, again) and not torch.equal(first, other)
    for name, tensor in found[0].items():
        if name.endswith("lora_down.weight"):
            bound = tensor[0].numel() ** -0.5
            assert 0.5 * bound < tensor.abs().max() <= bound and abs(tensor.mean()) < 0.2 * bound
        else:
            assert (tensor == (ALPHA if name.endswith("alpha") else 0)).all()


# ------------------------------------------------------------------------------------------------- files on the disk


def test_inspect_tells_rank_alpha_parts_and_plan(checkpoint, tmp_path):
    path = tmp_path / "mochi.safetensors"
    model = load_base_model(checkpoint, torch.float32)
    parts, _ = with_random_lora(model)
    tensors = {name: tensor for part in parts for name, tensor in part.tensors().items()}
    path.write_bytes(lora_bytes(tensors, {PLAN_KEY: json.dumps({"epochs": 3}), "ss_epoch": "1"}, torch.bfloat16))
    told = inspect_lora(path)
    json.dumps(told)
    names = ["UNet", "text encoder 1", "text encoder 2"] if isinstance(model, SDXL) else ["UNet", "text encoder"]
    assert told["modules"] == {name: len(part.targets) for name, part in zip(names, parts, strict=True)}
    assert (told["rank"], told["alpha"], told["scale"]) == (RANK, ALPHA, ALPHA / RANK)
    assert told["format"] == ["bfloat16"] and told["plan"] == {"epochs": 3} and told["bytes"] == path.stat().st_size
    assert told["parameters"] == sum(p.numel() for part in parts for p in part.parameters())
    assert set(told["metadata"]) == {"ss_epoch", "sshs_model_hash"}


@pytest.mark.parametrize("kind", ["missing", "garbage", "peft names"])
def test_files_that_are_no_lora_are_refused(kind, tmp_path):
    path = tmp_path / "lora.safetensors"
    if kind == "garbage":
        path.write_bytes(b"not a LoRA at all")
    elif kind == "peft names":
        save_file({"unet.to_q.lora_A.weight": torch.ones(2, 2)}, path)
    for read in (read_lora, inspect_lora):
        with pytest.raises(TrainingError, match="lora.safetensors") as refusal:
            read(path)
        assert "\n" not in str(refusal.value) and "Choose" in str(refusal.value)


def test_publishing_counts_up_never_overwrites_and_knows_its_own_copy(tmp_path):
    source, folder = tmp_path / "epoch.safetensors", tmp_path / "loras"

    def published(content: bytes, name: str = "mochi") -> str:
        source.write_bytes(content)
        path = publish(source, folder, name)
        assert path.read_bytes() == content and path.parent == folder
        return path.name

    assert [published(b"one"), published(b"one"), published(b"two"), published(b"two"), published(b"three")] == [
        "mochi.safetensors", "mochi.safetensors", "mochi_2.safetensors", "mochi_2.safetensors", "mochi_3.safetensors",
    ]  # fmt: skip
    assert (folder / "mochi.safetensors").read_bytes() == b"one"
    (folder / "mochi_2.safetensors").unlink()
    assert published(b"four", "mochi.safetensors") == "mochi_4.safetensors"
    assert published(b"five", "mochi[1]") == "mochi[1].safetensors"
    assert sorted(path.name for path in folder.iterdir()) == [
        "mochi.safetensors", "mochi[1].safetensors", "mochi_3.safetensors", "mochi_4.safetensors",
    ]  # fmt: skip
