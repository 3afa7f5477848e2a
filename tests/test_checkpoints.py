"""What cannot be trained is refused by name, in one line; damaged files too."""

from __future__ import annotations

import struct

import pytest
import torch
from safetensors.torch import save_file

from tests.refusals import assert_refused
from tests.tiny_models import tiny_sd15, write_checkpoint
from trainer_core.families.identify import SD1_TEXT, SDXL_TEXT_1, UNET, VAE
from trainer_core.families.writing import original_tensors


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("sd15") / "tiny.safetensors", tiny_sd15())


@pytest.fixture(scope="module")
def sd15_tensors() -> dict[str, torch.Tensor]:
    return original_tensors(tiny_sd15(), torch.float32)


_STEM = UNET + "input_blocks.0.0.weight"
_SD15_PARTS = {_STEM: (2, 4, 3, 3), VAE + "a": (1,), SD1_TEXT + "a": (1,)}
_SSD_1B_PARTS = {_STEM: (2, 4, 3, 3), UNET + "label_emb.0.0.weight": (1, 1), VAE + "a": (1,), SDXL_TEXT_1 + "a": (1,)}
_SDXL_PARTS = _SSD_1B_PARTS | {UNET + "middle_block.1.proj_in.weight": (1, 1)}
REFUSED = {
    "FLUX": {"double_blocks.0.img_attn.qkv.weight": (1,)},
    "FLUX all-in-one": {UNET + "double_blocks.0.img_attn.qkv.weight": (1,), VAE + "a": (1,)},
    "Stable Diffusion 3": {UNET + "joint_blocks.0.x_block.mlp.fc1.weight": (1,), VAE + "a": (1,)},
    "Stable Diffusion 2": {_STEM: (2, 4, 3, 3), "cond_stage_model.model.ln_final.weight": (1,), VAE + "a": (1,)},
    "inpainting": _SD15_PARTS | {_STEM: (2, 9, 3, 3)},
    "edit checkpoint (8": _SD15_PARTS | {_STEM: (2, 8, 3, 3)},
    "refiner": {_STEM: (2, 4, 3, 3), "conditioner.embedders.0.model.ln_final.weight": (1,), VAE + "a": (1,)},
    "a smaller kin of SDXL": _SSD_1B_PARTS,
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
