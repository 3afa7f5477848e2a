"""Base models load offline to the very weights their files hold."""

from __future__ import annotations

import functools
import json
import os
import socket
import threading
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils as reference
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from tests.full_size_models import REFERENCE_UNETS, full_size
from tests.refusals import assert_refused
from tests.tiny_models import tiny_sd15, tiny_sdxl, write_checkpoint
from trainer_core.demo.tokenizer import write_tokenizer
from trainer_core.families import configs
from trainer_core.families.architecture import architecture_of, outline_of
from trainer_core.families.base_model import BaseModel, Conditioning, PictureSize
from trainer_core.families.identify import SD1_TEXT, SDXL_TEXT_1, SDXL_TEXT_2, UNET, VAE, identify, identity_of
from trainer_core.families.loading import family_of, load_base_model, parts_of
from trainer_core.families.writing import original_tensors

BUILDERS = {"sd15": tiny_sd15, "sdxl": tiny_sdxl}
PROMPTS = ["a red cat, sky background", "", "ball! 'tis (weighted:1.2) naïve 猫"]


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


def test_a_folder_of_stable_diffusion_2_is_refused(tmp_path):
    folder = tmp_path / "folder"
    (folder / "text_encoder").mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    (folder / "text_encoder" / "config.json").write_text(json.dumps({"hidden_size": 1024}))
    assert_refused(folder, "is a Stable Diffusion 2 model")


@pytest.mark.parametrize("read", [load_base_model, lambda path, *_: architecture_of(path).outline()])
def test_models_that_other_threads_build_meanwhile_keep_their_weights(
    read, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page may ask for the arithmetic of a run while the host loads a model of its own."""
    elsewhere: list[nn.Module] = []
    begin = UNet2DConditionModel.__init__

    @functools.wraps(begin)  # diffusers reads its arguments
    def build_another(*args: object, **kwargs: object) -> None:
        thread = threading.Thread(target=lambda: elsewhere.append(nn.Linear(1, 1)))
        thread.start()
        thread.join()
        begin(*args, **kwargs)

    monkeypatch.setattr(UNet2DConditionModel, "__init__", build_another)
    read(path, torch.float32)
    assert [layer.weight.device.type for layer in elsewhere] == ["cpu"]


def test_an_outline_takes_no_memory_for_weights(path: Path) -> None:
    model, outline = load_base_model(path, torch.float32), outline_of(path)
    for part, empty in zip(parts_of(model), parts_of(outline), strict=True):
        assert {parameter.device.type for parameter in empty.parameters()} == {"meta"}
        assert layout(part) == layout(empty)
        for (name, buffer), (other, found) in zip(part.named_buffers(), empty.named_buffers(), strict=True):
            assert name == other and torch.equal(buffer, found)


def test_sdxl_is_told_sizes_that_half_precision_has_not(monkeypatch):
    model, told = tiny_sdxl(), {}
    model.unet.to(torch.bfloat16)
    pooled = torch.zeros(1, 64, dtype=torch.bfloat16)
    size = PictureSize((1365, 2047), (301, 7), (512, 768))
    added = model.added_conditions(Conditioning(torch.zeros(1, 77, 128), pooled), [size])
    forward = model.unet.add_time_proj.forward
    monkeypatch.setattr(model.unet.add_time_proj, "forward", lambda sizes: told.update(sizes=sizes) or forward(sizes))
    answer = model.answer(torch.zeros(1, 4, 8, 8), torch.tensor([5]), torch.zeros(1, 77, 128), added)
    assert told["sizes"].tolist() == [1365, 2047, 301, 7, 512, 768] and answer.dtype == torch.bfloat16
