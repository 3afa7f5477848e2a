"""Tokenizers are found offline, and prompts are read at the layer that ComfyUI reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.tiny_models import tiny_sd15, tiny_sdxl, write_checkpoint
from trainer_core.demo.tokenizer import vocabulary_size, write_tokenizer
from trainer_core.errors import TrainingError
from trainer_core.families.base_model import BaseModel, PictureSize
from trainer_core.families.loading import load_base_model
from trainer_core.families.prompts import AS_PROMPT, PromptReading

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


# -------------------------------------------------------------------------------------------- long and weighted prompts

LONG = "a red cat, blue sky, " * 20
FOUR_CHUNKS = LONG * 2


@pytest.fixture(scope="module", params=[tiny_sd15, tiny_sdxl])
def model(request, tmp_path_factory) -> BaseModel:
    path = write_checkpoint(tmp_path_factory.mktemp("base") / "m.safetensors", request.param())
    return load_base_model(path, torch.float32)


def tokens(model: BaseModel, prompt: str) -> int:
    return len(model.tokenizers[0](prompt, add_special_tokens=False).input_ids)


def cut(model: BaseModel, prompt: str, start: int, end: int) -> str:
    """The text of some tokens of a prompt."""
    tokenizer = model.tokenizers[0]
    return tokenizer.decode(tokenizer(prompt, add_special_tokens=False).input_ids[start:end])


def close(found, expected) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_a_long_prompt_is_its_chunks_in_a_row_and_pooled_is_the_first_ones(model):
    count = tokens(model, LONG)
    chunks = [cut(model, LONG, start, start + 75) for start in range(0, count, 75)]
    assert len(chunks) == 2
    whole, apart = model.encode_text([LONG], 1, AS_PROMPT), model.encode_text(chunks, 1)
    assert whole.states_BLD.shape[1] == 154
    close(whole.states_BLD[0], apart.states_BLD.flatten(0, 1))
    if whole.pooled_BP is not None:
        close(whole.pooled_BP, apart.pooled_BP[:1])
    limited = model.encode_text([FOUR_CHUNKS], 1, PromptReading(longest=150, weights=False))
    assert limited.states_BLD.shape[1] == 154
    assert torch.equal(model.encode_text([FOUR_CHUNKS], 1).states_BLD, limited.states_BLD[:, :77])


def test_a_weight_moves_its_tokens_states_away_from_the_empty_prompts(model):
    """(z - empty) * weight + empty, in float64; pooled text and all other tokens stay as they are."""
    weighed = model.encode_text(["a (red:1.7) cat", "a red cat"], 1, AS_PROMPT)
    plain = model.encode_text(["a red cat", ""], 1)
    expected, empty = plain.states_BLD.double()
    place = 1 + tokens(model, "a")
    reach = slice(place, place + tokens(model, "red"))
    expected = expected.clone()
    expected[reach] = empty[reach] + 1.7 * (expected[reach] - empty[reach])
    close(weighed.states_BLD[0].double(), expected)
    assert (weighed.states_BLD[0] - plain.states_BLD[0])[reach].abs().min() > 0
    close(weighed.states_BLD[1], plain.states_BLD[0])
    if plain.pooled_BP is not None:
        close(weighed.pooled_BP, plain.pooled_BP[[0, 0]])


def test_a_weight_of_0_makes_a_token_nothing_and_1_changes_nothing(model):
    nothing, one, plain, empty = model.encode_text(["(cat:0)", "(cat:1)", "cat", ""], 1, AS_PROMPT).states_BLD
    place = 1 + tokens(model, "cat")
    close(nothing[1:place], empty[1:place])
    assert torch.equal(one, plain)


def test_prompts_of_one_batch_are_repeated_to_a_common_length_which_the_unet_does_not_notice(model):
    """Each answers as it does alone, whatever its neighbours' lengths: 1, 2 and 3 chunks."""
    prompts = ["a red cat", LONG, LONG + "a cat, " * 10]
    assert [-(-tokens(model, prompt) // 75) for prompt in prompts] == [1, 2, 3]
    together = model.encode_text(prompts, 1, AS_PROMPT)
    assert together.states_BLD.shape[1] == 6 * 77
    x_BCHW = torch.randn((3, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    size = PictureSize((64, 64), (0, 0), (64, 64))
    with torch.no_grad():
        answers = model.predict(x_BCHW, torch.tensor([500] * 3), together, [size] * 3)
        for place, prompt in enumerate(prompts):
            alone = model.encode_text([prompt], 1, AS_PROMPT)
            here = slice(place, place + 1)
            close(answers[here], model.predict(x_BCHW[here], torch.tensor([500]), alone, [size]))


def test_gradients_reach_the_encoder_through_chunks_and_weights(model):
    embedding = model.text_encoders[0].get_input_embeddings().weight
    embedding.requires_grad_(True)
    prompt = f"(cat:1.5) {LONG}"
    states_BLD = model.encode_text([prompt], 1, AS_PROMPT).states_BLD
    gradients = []
    for chunk in states_BLD.chunk(2, dim=1):
        (gradient,) = torch.autograd.grad(chunk[..., :64].square().sum(), embedding, retain_graph=True)
        gradients.append(gradient)
    embedding.requires_grad_(False)
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_half_precision_stays_half(tmp_path):
    half = load_base_model(write_checkpoint(tmp_path / "m.safetensors", tiny_sdxl()), torch.bfloat16)
    text = half.encode_text(["(cat:1.3)", LONG], 1, AS_PROMPT)
    assert text.states_BLD.dtype == text.pooled_BP.dtype == torch.bfloat16
