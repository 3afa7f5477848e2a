"""LoRA files: the same bytes every time, readable, inspectable, never overwritten."""

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
from safetensors import safe_open
from safetensors.torch import save_file

from tests.random_loras import ALPHA, BUILDERS, RANK, with_random_lora
from tests.tiny_models import write_checkpoint
from trainer_core.dataset.types import Dataset, DatasetImage
from trainer_core.errors import TrainingError
from trainer_core.families.loading import load_base_model
from trainer_core.families.sdxl import SDXL
from trainer_core.lora.file import PLAN_KEY, clip_skip_of, inspect_lora, lora_bytes, publish, read_lora
from trainer_core.training.metadata import lora_metadata
from trainer_core.training.plan import NetworkPlan, TrainingPlan


@pytest.fixture(scope="module", params=BUILDERS)
def checkpoint(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    return write_checkpoint(folder / "tiny.safetensors", BUILDERS[request.param](seed=1))


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
        "sshs_legacy_hash": hashlib.sha256(b"").hexdigest()[:8],
    }  # fmt: skip


def test_the_model_hash_depends_on_the_weights_alone(tmp_path):
    hashes = []
    for number, (value, metadata) in enumerate([(1.0, {}), (1.0, {"a": "b"}), (2.0, {})]):
        path = tmp_path / f"{number}.safetensors"
        tensors = {"m.lora_down.weight": torch.full((2, 3), value), "m.lora_up.weight": torch.ones(3, 2)}
        path.write_bytes(lora_bytes(tensors, metadata, torch.float16))
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
    assert set(told["metadata"]) == {"ss_epoch", "sshs_model_hash", "sshs_legacy_hash"}


def test_a_lora_that_was_read_stays_as_it_was_when_its_file_is_overwritten(tmp_path):
    path = tmp_path / "lora.safetensors"

    def write(value: float) -> None:
        tensors = {"m.lora_down.weight": torch.full((64, 64), value), "m.lora_up.weight": torch.full((64, 64), value)}
        path.write_bytes(lora_bytes(tensors, {}, torch.float32))

    write(1.0)
    lora = read_lora(path)
    write(2.0)
    assert all((tensor == 1).all() for tensor in (*lora.tensors.values(), *lora.parts[0].tensors.values()))


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


def test_a_lora_that_is_gone_is_told(tmp_path):
    with pytest.raises(TrainingError, match="gone.safetensors is no longer in its run's folder"):
        publish(tmp_path / "gone.safetensors", tmp_path, "mochi")


@pytest.mark.parametrize(
    ("metadata", "skip"),
    [
        ({PLAN_KEY: json.dumps({"text": {"clip_skip": 2}})}, 2),
        ({"ss_clip_skip": "2"}, 2),
        ({"ss_clip_skip": "None"}, 1),
        ({"ss_clip_skip": "0"}, 1),
        ({PLAN_KEY: "[1]"}, 1),
        ({PLAN_KEY: json.dumps({"text": None})}, 1),
        ({}, 1),
    ],
)
def test_a_file_tells_its_clip_skip(tmp_path, metadata, skip):
    save_file({"lora_unet_x.alpha": torch.tensor(1.0)}, tmp_path / "a.safetensors", metadata or None)
    assert clip_skip_of(tmp_path / "a.safetensors") == skip


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
    assert published(b"six", "Mochi") == "Mochi_5.safetensors", "where names that differ in case are one"
    assert sorted(path.name for path in folder.iterdir()) == [
        "Mochi_5.safetensors", "mochi.safetensors", "mochi[1].safetensors", "mochi_3.safetensors",
        "mochi_4.safetensors",
    ]  # fmt: skip
