"""Adapters on a model: the same effect in another loader, off without a trace, seeded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline

from tests.random_loras import ALPHA, BUILDERS, RANK, outputs, relative_errors, with_random_lora
from tests.tiny_models import tiny_sd15, tiny_sdxl, write_checkpoint
from trainer_core.errors import TrainingError
from trainer_core.families.loading import load_base_model
from trainer_core.families.sdxl import SDXL
from trainer_core.lora.adapters import Adapters
from trainer_core.lora.file import read_lora
from trainer_core.lora.names import targets_of, unet_targets
from trainer_core.sampling import apply_lora


@pytest.fixture(scope="module", params=BUILDERS)
def checkpoint(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    return write_checkpoint(folder / "tiny.safetensors", BUILDERS[request.param](seed=1))


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
