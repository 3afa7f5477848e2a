"""Tokenizers are found offline, and prompts are read at the layer that ComfyUI reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.tiny_models import tiny_sd15, tiny_sdxl, write_checkpoint
from trainer_core.demo.tokenizer import vocabulary_size, write_tokenizer
from trainer_core.errors import TrainingError
from trainer_core.families.loading import load_base_model

PROMPTS = ["a red cat, sky background", "", "ball! 'tis (weighted:1.2) naïve 猫"]


def test_the_tokenizer_is_found_beside_the_model_then_in_given_folders_then_in_comfyui(tmp_path, monkeypatch):
    monkeypatch.delenv("COMFYUI_DIR", raising=False)
    model, given, comfy = tmp_path / "models" / "m.safetensors", tmp_path / "given", tmp_path / "comfy dir"
    write_checkpoint(model, tiny_sd15())
    (model.parent / "tokenizer").rename(tmp_path / "kept")
    with pytest.raises(TrainingError) as refusal:
        load_base_model(model, torch.float32)
    text = str(refusal.value)
    assert "\n" not in text and f"{vocabulary_size():,}" in text
    assert str(model.with_name("m.tokenizer")) in text and "COMFYUI_DIR" in text

    monkeypatch.setenv("COMFYUI_DIR", str(comfy))
    for place in (comfy / "comfy" / "sd1_tokenizer", given, model.parent / "tokenizer", model.with_name("m.tokenizer")):
        write_tokenizer(place)
        (found,) = load_base_model(model, torch.float32, [given]).tokenizers
        assert Path(found.name_or_path) == place


def test_a_tokenizer_of_another_vocabulary_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.delenv("COMFYUI_DIR", raising=False)
    path = write_checkpoint(tmp_path / "m.safetensors", tiny_sd15(vocabulary=700))
    with pytest.raises(TrainingError, match="no CLIP tokenizer with 700 entries"):
        load_base_model(path, torch.float32)


@pytest.mark.parametrize("clip_skip", [1, 2, 3])
def test_sd15_clip_skip_drops_whole_layers_from_the_end(tmp_path, clip_skip):
    model = load_base_model(write_checkpoint(tmp_path / "m.safetensors", tiny_sd15()), torch.float32)
    states = model.encode_text(PROMPTS, clip_skip).states_BLD
    (encoder,) = model.text_encoders
    inner = getattr(encoder, "text_model", encoder)
    inner.encoder.layers = inner.encoder.layers[: len(inner.encoder.layers) + 1 - clip_skip]
    ids = [model.tokenizers[0](text, padding="max_length", max_length=77).input_ids for text in PROMPTS]
    torch.testing.assert_close(states, encoder(torch.tensor(ids)).last_hidden_state, rtol=0, atol=1e-6)


def test_sdxl_reads_the_last_but_one_layer_without_norm_whatever_clip_skip_says(tmp_path):
    model = load_base_model(write_checkpoint(tmp_path / "m.safetensors", tiny_sdxl()), torch.float32)
    texts = [model.encode_text(PROMPTS, clip_skip) for clip_skip in (1, 2)]
    assert torch.equal(texts[0].states_BLD, texts[1].states_BLD)
    assert texts[0].states_BLD.shape == (3, 77, 128) and texts[0].pooled_BP.shape == (3, 64)
    for encoder, states in zip(model.text_encoders, texts[0].states_BLD.chunk(2, dim=-1), strict=True):
        seen = []
        last = getattr(encoder, "text_model", encoder).encoder.layers[-1]
        last.register_forward_pre_hook(lambda _, arguments, seen=seen: seen.append(arguments[0]))
        model.encode_text(PROMPTS, 1)
        torch.testing.assert_close(states, seen[0], rtol=0, atol=0)
