"""The speed benchmark's limit is of what is trained, and its random base models are models."""

from __future__ import annotations

import pytest
import torch

from benchmarks import random_inputs
from benchmarks.limit import fastest_multiplication, flops_of_step, held_multiplication
from tests.full_size_models import REFERENCE_UNETS, full_size
from tests.tiny_models import tiny_sdxl
from tests.training_jobs import write_base
from trainer_core.demo.tokenizer import vocabulary_size
from trainer_core.families import configs
from trainer_core.families.architecture import outline_of
from trainer_core.families.identify import UNET, identify
from trainer_core.families.loading import load_base_model
from trainer_core.families.writing import original_tensors


def test_arithmetic_is_that_of_the_family_the_side_and_the_batch(tmp_path):
    assert flops_of_step(full_size("sd15"), 256, 1) == pytest.approx(0.360e12, rel=0.01)
    tiny = outline_of(write_base(tmp_path, "sdxl"))
    assert flops_of_step(tiny, 64, 3) == 3 * flops_of_step(tiny, 64, 1) > 0
    assert flops_of_step(tiny, 128, 1) > 2 * flops_of_step(tiny, 64, 1)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_ceiling_is_a_speed(monkeypatch, precision):
    monkeypatch.setattr("benchmarks.limit._SIDES_OF_MATRICES", {"cpu": (64,)})
    monkeypatch.setattr("benchmarks.limit._HELD", 0.05)
    best, held = fastest_multiplication("cpu", precision), held_multiplication("cpu", precision)
    assert best > 1e6 and held > 1e6


def test_a_held_ceiling_is_that_of_all_multiplications_together(monkeypatch):
    """By a clock that runs a second with each look at it."""
    monkeypatch.setattr("benchmarks.limit._SIDES_OF_MATRICES", {"cpu": (8, 64)})
    monkeypatch.setattr("benchmarks.limit._HELD", 3)
    monkeypatch.setattr("benchmarks.limit.time.perf_counter", map(float, range(9)).__next__)
    assert held_multiplication("cpu", "fp32") == 2 * 10 * 2 * 64**3 / 4


def test_a_random_sdxl_of_full_size_is_known_as_one():
    shapes = {name: tuple(t.shape) for name, t in original_tensors(full_size("sdxl"), torch.float16).items()}
    assert identify(shapes, "random-sdxl") == "sdxl"
    config = configs.unet_config({n.removeprefix(UNET): s for n, s in shapes.items() if n.startswith(UNET)})
    reference = REFERENCE_UNETS["sdxl"]
    assert config["block_out_channels"] == reference["block_out_channels"]
    assert config["cross_attention_dim"] == reference["cross_attention_dim"]
    assert config["projection_class_embeddings_input_dim"] == reference["projection_class_embeddings_input_dim"]


def test_a_random_base_is_written_once_and_loads_with_its_tokenizers(tmp_path, monkeypatch):
    monkeypatch.delenv("COMFYUI_DIR", raising=False)
    monkeypatch.setattr(random_inputs, "full_size", lambda family, vocabulary: tiny_sdxl(vocabulary=vocabulary))
    path = random_inputs.write_base(tmp_path, "sdxl", "cpu")
    written = path.stat().st_mtime_ns
    model = load_base_model(random_inputs.write_base(tmp_path, "sdxl", "cpu"), torch.float32)
    assert path.stat().st_mtime_ns == written and path.name == "random-sdxl.safetensors"
    assert [len(tokenizer) for tokenizer in model.tokenizers] == [vocabulary_size()] * 2
    for part in (model.unet, model.vae, *model.text_encoders):
        assert all(weight.isfinite().all() for weight in part.parameters())
    assert model.unet.conv_in.weight.std() > 0
