"""Base models load offline to the very weights their files hold; what cannot be trained is refused by name."""

from __future__ import annotations

import json
import os
import socket
import struct
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils as reference
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from tests.tiny_models import tiny_sd15, tiny_sdxl, write_checkpoint
from trainer_core.demo.tokenizer import vocabulary_size, write_tokenizer
from trainer_core.errors import TrainingError
from trainer_core.families import configs
from trainer_core.families.base_model import BaseModel, PictureSize
from trainer_core.families.identify import SD1_TEXT, SDXL_TEXT_1, SDXL_TEXT_2, UNET, VAE, identify
from trainer_core.families.loading import family_of, identity_of, load_base_model, parts_of
from trainer_core.families.sd15 import SD15
from trainer_core.families.sdxl import SDXL
from trainer_core.families.writing import original_tensors

BUILDERS = {"sd15": tiny_sd15, "sdxl": tiny_sdxl}
PROMPTS = ["a red cat, sky background", "", "ball! 'tis (weighted:1.2) naïve 猫"]

DOWN, CROSS_DOWN, UP, CROSS_UP = "DownBlock2D", "CrossAttnDownBlock2D", "UpBlock2D", "CrossAttnUpBlock2D"
REFERENCE_UNETS = {
    "sd15": {
        "block_out_channels": (320, 640, 1280, 1280),
        "down_block_types": (CROSS_DOWN, CROSS_DOWN, CROSS_DOWN, DOWN),
        "up_block_types": (UP, CROSS_UP, CROSS_UP, CROSS_UP),
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    },
    "sdxl": {
        "block_out_channels": (320, 640, 1280),
        "down_block_types": (DOWN, CROSS_DOWN, CROSS_DOWN),
        "up_block_types": (CROSS_UP, CROSS_UP, UP),
        "transformer_layers_per_block": (1, 2, 10),
        "cross_attention_dim": 2048,
        "attention_head_dim": (5, 10, 20),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
"""unet/config.json of stable-diffusion-v1-5 and stable-diffusion-xl-base-1.0, where it differs from the defaults."""
CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
CLIP_G = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20}


def full_size(family: str) -> BaseModel:
    """The real model's layout at its real size, without storage."""
    marks = {"bos_token_id": 49406, "eos_token_id": 49407}
    with torch.device("meta"):
        encoders = [CLIPTextModel(CLIPTextConfig(**CLIP_L, **marks, hidden_act="quick_gelu", projection_dim=768))]
        if family == "sdxl":
            clip_g = CLIPTextConfig(**CLIP_G, **marks, hidden_act="gelu", projection_dim=1280)
            encoders.append(CLIPTextModelWithProjection(clip_g))
        return {"sd15": SD15, "sdxl": SDXL}[family](
            unet=UNet2DConditionModel(**REFERENCE_UNETS[family]),
            vae=AutoencoderKL(
                block_out_channels=(128, 256, 512, 512),
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                layers_per_block=2,
                latent_channels=4,
            ),
            text_encoders=encoders,
            tokenizers=[],
        )


def layout(module: nn.Module) -> tuple:
    """What decides a module's arithmetic besides its weights: layers, sizes, activations, epsilons, heads."""
    heads = {
        name: (part.heads, part.scale) if hasattr(part, "heads") else part.num_heads
        for name, part in module.named_modules()
        if hasattr(part, "heads") or hasattr(part, "num_heads")
    }
    return repr(module), heads


def size_of(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def outputs(model: BaseModel) -> list[torch.Tensor]:
    """What a model makes of fixed inputs: text, noise prediction, decoded picture."""
    generator = torch.Generator().manual_seed(5)
    x_BCHW = torch.randn((len(PROMPTS), 4, 8, 8), generator=generator)
    sizes = [PictureSize((64, 48), (0, 8), (64, 64))] * len(PROMPTS)
    with torch.no_grad():
        text = model.encode_text(PROMPTS, clip_skip=1)
        noise = model.predict(x_BCHW, torch.tensor([1, 500, 999]), text, sizes)
        found = [text.states_BLD, noise, model.decode(x_BCHW)]
    return found if text.pooled_BP is None else [*found, text.pooled_BP]


def assert_same_outputs(a: BaseModel, b: BaseModel) -> None:
    for ours, theirs in zip(outputs(a), outputs(b), strict=True):
        assert ours.std() > 0
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.fixture(scope="module", params=BUILDERS)
def family(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def built(family) -> BaseModel:
    return BUILDERS[family](seed=3)


@pytest.fixture(scope="module")
def path(built, family, tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp(family) / "tiny.safetensors", built)


@pytest.fixture(scope="module")
def loaded(path) -> BaseModel:
    return load_base_model(path, torch.float32)


@pytest.fixture(scope="module")
def sd15_tensors() -> dict[str, torch.Tensor]:
    return original_tensors(tiny_sd15(), torch.float32)


# ------------------------------------------------------------------------------------------------------- weights


def test_loaded_weights_are_those_that_diffusers_converters_read(path, built, loaded, family):
    file = load_file(path)
    expected = [
        reference.convert_ldm_unet_checkpoint(dict(file), dict(built.unet.config)),
        reference.convert_ldm_vae_checkpoint(dict(file), dict(built.vae.config)),
        reference.convert_ldm_clip_checkpoint(dict(file)),
    ]
    if family == "sdxl":
        expected.append(reference.convert_open_clip_checkpoint(built.text_encoders[1], dict(file), SDXL_TEXT_2))
    for part, tensors in zip(parts_of(loaded), expected, strict=True):
        tensors = {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
        found = {name.removeprefix("text_model."): tensor for name, tensor in part.state_dict().items()}
        assert set(found) == set(tensors)
        assert not [name for name in found if not torch.equal(found[name], tensors[name])]


def test_configs_read_off_the_shapes_are_those_the_model_was_built_with(built, loaded):
    for ours, theirs in zip(parts_of(loaded), parts_of(built), strict=True):
        assert layout(ours) == layout(theirs)
    assert loaded.vae.config.scaling_factor == loaded.latent_scale
    built.tokenizers = loaded.tokenizers
    assert_same_outputs(built, loaded)


def test_parts_are_frozen_in_the_asked_format_and_the_vae_stays_fp32(path):
    model = load_base_model(path, torch.bfloat16)
    for part in parts_of(model):
        wanted = torch.float32 if part is model.vae else torch.bfloat16
        assert {tensor.dtype for tensor in part.parameters()} == {wanted}
        assert not part.training and not any(tensor.requires_grad for tensor in part.parameters())


ORIGINAL_NAMES = {
    "sd15": [
        UNET + "input_blocks.3.0.op.weight",
        UNET + "output_blocks.2.1.conv.weight",
        UNET + "output_blocks.5.2.conv.weight",
        UNET + "output_blocks.11.1.transformer_blocks.0.attn2.to_k.weight",
        VAE + "decoder.up.3.block.2.conv1.weight",
        SD1_TEXT + "text_model.encoder.layers.11.self_attn.q_proj.bias",
    ],
    "sdxl": [
        UNET + "input_blocks.8.1.transformer_blocks.9.ff.net.0.proj.weight",
        UNET + "output_blocks.2.2.conv.weight",
        UNET + "output_blocks.5.2.conv.weight",
        UNET + "label_emb.0.2.bias",
        SDXL_TEXT_1 + "text_model.final_layer_norm.weight",
        SDXL_TEXT_2 + "transformer.resblocks.31.attn.in_proj_weight",
        SDXL_TEXT_2 + "text_projection",
    ],
}
"""Some names as the released checkpoints have them; diffusers' converter takes more than one for an upsampler."""


@pytest.mark.parametrize(
    ("name", "unet_size", "text_sizes", "unet_names"),
    [
        ("sd15", 859_520_964, [123_060_480], 686),
        ("sdxl", 2_567_463_684, [123_060_480, 694_659_840], 1680),
    ],
)
def test_full_size_configs_come_back_from_shapes(name, unet_size, text_sizes, unet_names):
    model = full_size(name)
    tensors = original_tensors(model, torch.float16)
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    under = {p: {n.removeprefix(p): s for n, s in shapes.items() if n.startswith(p)} for p in (UNET, VAE, SDXL_TEXT_2)}
    assert len(under[UNET]) == unet_names and identify(shapes, "full") == name
    assert set(ORIGINAL_NAMES[name]) <= set(shapes)

    found = configs.unet_config(under[UNET])
    for field, value in REFERENCE_UNETS[name].items():
        assert found[field] == value, field
    with torch.device("meta"):
        parts = [UNet2DConditionModel(**found), AutoencoderKL(**configs.vae_config(under[VAE], 0.18215))]
        first = SDXL_TEXT_1 if name == "sdxl" else SD1_TEXT
        clip_l = {n.removeprefix(first): s for n, s in shapes.items() if n.startswith(first)}
        parts.append(CLIPTextModel(configs.clip_l_config(clip_l)))
        if name == "sdxl":
            parts.append(CLIPTextModelWithProjection(configs.clip_g_config(under[SDXL_TEXT_2])))
    assert [size_of(part) for part in parts] == [unet_size, 83_653_863, *text_sizes]
    for ours, theirs in zip(parts, parts_of(model), strict=True):
        assert layout(ours) == layout(theirs)
    converted = reference.convert_ldm_unet_checkpoint(tensors, dict(model.unet.config))
    assert {n: t.shape for n, t in converted.items()} == {n: t.shape for n, t in model.unet.state_dict().items()}


def test_v_prediction_is_read_off_sdxls_marks_and_ignored_in_sd15_as_comfyui_does(sd15_tensors, tmp_path):
    v = write_checkpoint(tmp_path / "v.safetensors", tiny_sdxl(prediction_type="v_prediction"))
    save_file(sd15_tensors | {"v_pred": torch.zeros(0)}, tmp_path / "sd15.safetensors")
    models = [load_base_model(path, torch.float32) for path in (v, tmp_path / "sd15.safetensors")]
    assert [(m.prediction_type, m.zero_terminal_snr) for m in models] == [("v_prediction", True), ("epsilon", False)]


def test_what_real_files_hold_besides_and_their_older_names_are_no_obstacle(sd15_tensors, tmp_path):
    plain = write_checkpoint(tmp_path / "plain.safetensors", tiny_sd15())
    flat = {name.replace(SD1_TEXT + "text_model.", SD1_TEXT): tensor.clone() for name, tensor in sd15_tensors.items()}
    flat |= {
        SD1_TEXT + "embeddings.position_ids": torch.arange(77)[None],
        "model_ema.decay": torch.tensor(0.9999),
        "alphas_cumprod": torch.ones(1000),
        VAE + "loss.discriminator.weight": torch.ones(3),
    }
    save_file(flat, tmp_path / "flat.safetensors")
    first, second = (load_base_model(path, torch.float32) for path in (tmp_path / "flat.safetensors", plain))
    assert_same_outputs(first, second)


def test_a_load_tries_no_network(path, monkeypatch):
    attempts = []

    def refuse(*arguments, **_):
        attempts.append(arguments)
        raise OSError("no network in this test")

    for place, name in ((socket.socket, "connect"), (socket, "getaddrinfo"), (socket, "create_connection")):
        monkeypatch.setattr(place, name, refuse)
    load_base_model(path, torch.float32)
    assert attempts == []


# ------------------------------------------------------------------------------------------------- ckpt and folder


class Canary:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


def test_a_ckpt_of_tensors_loads_like_the_safetensors(path, loaded, family, tmp_path):
    tensors = load_file(path)
    is_wrapped = family == "sd15"
    torch.save({"state_dict": tensors, "global_step": 7} if is_wrapped else tensors, tmp_path / "old.ckpt")
    write_tokenizer(tmp_path / "tokenizer")
    assert_same_outputs(load_base_model(tmp_path / "old.ckpt", torch.float32), loaded)


def test_a_ckpt_with_code_is_refused_and_the_code_never_runs(path, tmp_path):
    canary = tmp_path / "ran"
    torch.save({"state_dict": load_file(path), "extra": Canary(canary)}, tmp_path / "evil.ckpt")
    assert_refused(tmp_path / "evil.ckpt", "cannot be read safely")
    assert not canary.exists()


def test_a_diffusers_folder_loads_to_the_same_outputs_as_the_file(built, loaded, family, tmp_path):
    folder = tmp_path / "folder"
    for name, part in zip(("unet", "vae", "text_encoder", "text_encoder_2"), parts_of(built), strict=False):
        part.save_pretrained(folder / name)
    write_tokenizer(folder / "tokenizer")
    pipeline = {"sd15": "StableDiffusionPipeline", "sdxl": "StableDiffusionXLPipeline"}[family]
    (folder / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    (folder / "scheduler").mkdir()
    settings = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(settings))

    model = load_base_model(folder, torch.float32)
    assert family_of(folder) is type(loaded)
    assert (model.prediction_type, model.zero_terminal_snr) == ("v_prediction", True)
    assert_same_outputs(model, loaded)
    before = identity_of(folder)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"other")
    assert identity_of(folder) != before
    assert_refused(folder, "folder", only_load=True)


# -------------------------------------------------------------------------------------------------------- refusals


def assert_refused(path: Path, *words: str, only_load: bool = False) -> None:
    """Both entrances refuse in one line that names the file and says `words`."""
    for read in [load_base_model] if only_load else [load_base_model, lambda path, _: family_of(path)]:
        with pytest.raises(TrainingError) as refusal:
            read(path, torch.float32)
        text = str(refusal.value)
        assert "\n" not in text and path.name in text and text.endswith(".") and len(text) < 400, text
        assert all(word in text for word in words), text


_STEM = UNET + "input_blocks.0.0.weight"
_SD15_PARTS = {_STEM: (2, 4, 3, 3), VAE + "a": (1,), SD1_TEXT + "a": (1,)}
_SDXL_PARTS = {_STEM: (2, 4, 3, 3), UNET + "label_emb.0.0.weight": (1, 1), VAE + "a": (1,), SDXL_TEXT_1 + "a": (1,)}
REFUSED = {
    "FLUX": {"double_blocks.0.img_attn.qkv.weight": (1,)},
    "FLUX all-in-one": {UNET + "double_blocks.0.img_attn.qkv.weight": (1,), VAE + "a": (1,)},
    "Stable Diffusion 3": {UNET + "joint_blocks.0.x_block.mlp.fc1.weight": (1,), VAE + "a": (1,)},
    "Stable Diffusion 2": {_STEM: (2, 4, 3, 3), "cond_stage_model.model.ln_final.weight": (1,), VAE + "a": (1,)},
    "inpainting": _SD15_PARTS | {_STEM: (2, 9, 3, 3)},
    "edit checkpoint (8": _SD15_PARTS | {_STEM: (2, 8, 3, 3)},
    "refiner": {_STEM: (2, 4, 3, 3), "conditioner.embedders.0.model.ln_final.weight": (1,), VAE + "a": (1,)},
    "a LoRA": {"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": (1, 1)},
    "is a LoRA": {"unet.mid_block.attentions.0.proj_in.lora_A.weight": (1, 1)},
    "a VAE": {"encoder.conv_in.weight": (1,), "decoder.conv_in.weight": (1,)},
    "is a VAE": {VAE + "encoder.conv_in.weight": (1,)},
    "is a text encoder": {"text_model.encoder.layers.0.mlp.fc1.weight": (1,)},
    "bare diffusers UNet": {"down_blocks.0.resnets.0.conv1.weight": (1,)},
    "lacks a VAE and a text encoder": {_STEM: (2, 4, 3, 3)},
    "lacks a text encoder": {_STEM: (2, 4, 3, 3), VAE + "a": (1,)},
    "lacks a second text encoder": _SDXL_PARTS,
    "not a checkpoint of a family known here": {"weight": (1,)},
}


@pytest.mark.parametrize("words", REFUSED)
def test_other_models_are_refused_by_name(words, tmp_path):
    save_file({name: torch.zeros(shape) for name, shape in REFUSED[words].items()}, tmp_path / "other.safetensors")
    assert_refused(tmp_path / "other.safetensors", words.removesuffix(" all-in-one"), "hoose")


def test_a_file_cut_anywhere_is_refused_and_told_how_much_is_there(path, tmp_path):
    whole = path.read_bytes()
    (header,) = struct.unpack("<Q", whole[:8])
    for offset in (0, 4, 8, 100, 8 + header // 2, 8 + header, 8 + header + 1000, len(whole) // 2, len(whole) - 1):
        cut = tmp_path / "cut.safetensors"
        cut.write_bytes(whole[:offset])
        words = ["cut short", f"{offset:,} of {len(whole):,} bytes"] if offset >= 8 + header else ["damaged"]
        assert_refused(cut, *words, "Download or copy it again")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("junk.safetensors", bytes(range(256)) * 20, "damaged or not a safetensors file"),
        ("page.safetensors", b"<!DOCTYPE html><html>log in to download</html>", "damaged or not a safetensors file"),
        ("list.safetensors", struct.pack("<Q", 2) + b"[]", "damaged or not a safetensors file"),
        ("junk.ckpt", bytes(range(256)) * 20, "cannot be read safely"),
        ("notes.txt", b"hello", "Choose a .safetensors or .ckpt file"),
        ("missing.safetensors", None, "there is no checkpoint file"),
    ],
)
def test_garbage_and_missing_files_are_refused(name, content, words, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert_refused(tmp_path / name, words)


@pytest.mark.parametrize(
    ("prefix", "part"), [(UNET + "middle_block.0", "UNet"), (VAE + "decoder.mid", "VAE"), (SD1_TEXT, "text encoder")]
)
@pytest.mark.parametrize("how", ["missing", "misshapen"])
def test_a_missing_or_misshapen_tensor_is_named(sd15_tensors, prefix, part, how, tmp_path):
    tensors = dict(sd15_tensors)
    name = next(n for n in tensors if n.startswith(prefix) and n.endswith("bias"))
    if how == "missing":
        del tensors[name]
    else:
        tensors[name] = torch.zeros(3)
    save_file(tensors, tmp_path / "holed.safetensors")
    assert_refused(tmp_path / "holed.safetensors", f"1 of the {part}'s", only_load=True)


# ------------------------------------------------------------------------------------------------------ text


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
