"""A checkpoint file or diffusers folder -> BaseModel, without a network and without a single downloaded config."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from ..errors import TrainingError
from ..files import read_json
from . import configs, ldm_layout
from .base_model import BaseModel
from .checkpoint import Checkpoint
from .identify import SD1_TEXT, SDXL_TEXT_1, SDXL_TEXT_2, UNET, VAE, identify
from .sd15 import SD15
from .sdxl import SDXL
from .tokenizers import find_tokenizer
from .without_storage import WithoutStorage

FAMILIES: dict[str, type[BaseModel]] = {"sd15": SD15, "sdxl": SDXL}
TEXT_ENCODERS = (CLIPTextModel, CLIPTextModelWithProjection)
_SD2_WIDTH = 1024
"""Of its text encoder; its folders call themselves what SD1.5's do."""
_FOLDER_FAMILIES = {"StableDiffusionPipeline": SD15, "StableDiffusionXLPipeline": SDXL}


def family_of(path: Path) -> type[BaseModel]:
    """The family of a base model, from names and shapes alone: cheap, and refuses what cannot be trained.

    Raises:
        TrainingError: unreadable, cut short, or of another family.
    """
    if path.is_dir():
        return _folder_family(path)
    return FAMILIES[identify(Checkpoint(path).shapes, path.name)]


def load_base_model(path: Path, dtype: torch.dtype, tokenizer_folders: Sequence[Path] = ()) -> BaseModel:
    """Load a base model onto the CPU, frozen and in eval mode. The VAE is fp32: in fp16 SDXL's turns pictures black.

    Raises:
        TrainingError: as `family_of`, or tensors are missing, or no tokenizer is found.
    """
    model = (
        _from_folder(path, dtype, tokenizer_folders) if path.is_dir() else _from_file(path, dtype, tokenizer_folders)
    )
    for part in parts_of(model):
        part.requires_grad_(False).eval()
    return model


# -------------------------------------------------------------------------------------------- one file, any shape


def _from_file(path: Path, dtype: torch.dtype, tokenizer_folders: Sequence[Path]) -> BaseModel:
    file = Checkpoint(path)
    family = FAMILIES[identify(file.shapes, path.name)]
    is_sdxl = family is SDXL
    encoders = [_load_clip_l(file, SDXL_TEXT_1 if is_sdxl else SD1_TEXT, dtype)]
    if is_sdxl:
        encoders.append(_load_clip_g(file, dtype))
    beside = (path.with_name(f"{path.stem}.tokenizer"), path.with_name("tokenizer"))
    return family(
        unet=_load_unet(file, dtype),
        vae=_load_vae(file, family.latent_scale),
        text_encoders=encoders,
        tokenizers=[find_tokenizer(e.config.vocab_size, beside, tokenizer_folders) for e in encoders],
        # NoobAI and others mark v-prediction, and training at zero terminal SNR, by an empty tensor.
        prediction_type="v_prediction" if is_sdxl and "v_pred" in file.shapes else "epsilon",
        zero_terminal_snr=is_sdxl and "ztsnr" in file.shapes,
    )


def _load_unet(file: Checkpoint, dtype: torch.dtype) -> UNet2DConditionModel:
    shapes = file.under(UNET)
    with WithoutStorage():
        unet = UNet2DConditionModel(**configs.unet_config(shapes))
    prefixes = ldm_layout.unet_prefixes(unet.config.up_block_types, unet.config.layers_per_block)
    tensors = ldm_layout.translate(file.tensors(UNET, dtype), prefixes, unet.state_dict())
    return _fill(unet, tensors, "UNet", file)


def _load_vae(file: Checkpoint, scale: float) -> AutoencoderKL:
    with WithoutStorage():
        vae = AutoencoderKL(**configs.vae_config(file.under(VAE), scale))
    prefixes = ldm_layout.vae_prefixes(len(vae.config.block_out_channels), vae.config.layers_per_block)
    wanted = vae.state_dict()
    tensors = ldm_layout.translate(file.tensors(VAE, torch.float32), prefixes, wanted)
    # The original keeps the attention's linear layers as 1x1 convolutions: (out, in, 1, 1) -> (out, in).
    tensors = {
        name: t.reshape(wanted[name].shape) if t.numel() == wanted[name].numel() else t for name, t in tensors.items()
    }
    return _fill(vae, tensors, "VAE", file)


def _load_clip_l(file: Checkpoint, prefix: str, dtype: torch.dtype) -> CLIPTextModel:
    config = configs.clip_l_config(file.under(prefix))
    return _fill_clip(CLIPTextModel, config, file.tensors(prefix, dtype), file)


def _load_clip_g(file: Checkpoint, dtype: torch.dtype) -> CLIPTextModelWithProjection:
    config = configs.clip_g_config(file.under(SDXL_TEXT_2))
    tensors = ldm_layout.clip_g_from_open_clip(file.tensors(SDXL_TEXT_2, dtype), config.num_hidden_layers)
    return _fill_clip(CLIPTextModelWithProjection, config, tensors, file)


def _fill_clip(
    kind: type[nn.Module], config: CLIPTextConfig, tensors: dict[str, Tensor], file: Checkpoint
) -> nn.Module:
    """Build a CLIP text model. transformers 5 dropped the `text_model.` level of some of them, so both are tried."""
    with WithoutStorage():
        encoder = kind(config)
    bare = {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
    wanted = {name: bare.get(name.removeprefix("text_model.")) for name in encoder.state_dict()}
    return _fill(encoder, {n: t for n, t in wanted.items() if t is not None}, "text encoder", file)


def _fill(module: nn.Module, tensors: dict[str, Tensor], part: str, file: Checkpoint) -> nn.Module:
    """Give a module without storage its weights; every one must be there with the right shape."""
    wanted = module.state_dict()
    wrong = [name for name, tensor in wanted.items() if name not in tensors or tensors[name].shape != tensor.shape]
    if wrong:
        raise TrainingError(
            f"{file.path.name}: {len(wrong)} of the {part}'s {len(wanted)} tensors are missing or of another shape "
            f"({wrong[0]}). The file is incomplete or not a plain SD1.5 or SDXL model; choose another one."
        )
    module.load_state_dict(tensors, assign=True)
    return module


# ------------------------------------------------------------------------------------------------ diffusers folder


def _folder_family(path: Path) -> type[BaseModel]:
    if not (path / "model_index.json").is_file():
        raise TrainingError(f"{path.name} is not a diffusers model: it has no model_index.json. Choose its top folder.")
    name = read_json(path / "model_index.json").get("_class_name")
    if name not in _FOLDER_FAMILIES:
        raise TrainingError(
            f"{path.name} is a {name} model. LoRA Atelier trains on SD1.5 and SDXL: choose one of those."
        )
    encoder = path / "text_encoder" / "config.json"
    if name == "StableDiffusionPipeline" and encoder.is_file() and read_json(encoder).get("hidden_size") == _SD2_WIDTH:
        raise TrainingError(
            f"{path.name} is a Stable Diffusion 2 model. LoRA Atelier trains on SD1.5 and SDXL: choose one of those."
        )
    return _FOLDER_FAMILIES[name]


def _from_folder(path: Path, dtype: torch.dtype, tokenizer_folders: Sequence[Path]) -> BaseModel:
    family = _folder_family(path)
    kinds = TEXT_ENCODERS[: len(family.text_encoder_prefixes)]
    places = [("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2")]
    try:
        unet = UNet2DConditionModel.from_pretrained(path / "unet", torch_dtype=dtype, **_LOCAL)
        vae = AutoencoderKL.from_pretrained(path / "vae", torch_dtype=torch.float32, **_LOCAL)
        encoders = [
            kind.from_pretrained(path / place, dtype=dtype, **_LOCAL)
            for kind, (place, _) in zip(kinds, places, strict=False)
        ]
    except (OSError, ValueError) as problem:
        first_line = str(problem).strip().splitlines()[0]
        raise TrainingError(
            f"{path.name} cannot be loaded: {first_line} Only .safetensors weights are read."
        ) from problem
    scheduler = path / "scheduler" / "scheduler_config.json"
    settings = read_json(scheduler) if scheduler.is_file() else {}
    return family(
        unet=unet,
        vae=vae,
        text_encoders=encoders,
        tokenizers=[
            find_tokenizer(encoder.config.vocab_size, (path / place, path / "tokenizer"), tokenizer_folders)
            for encoder, (_, place) in zip(encoders, places, strict=False)
        ],
        prediction_type=settings.get("prediction_type", "epsilon"),
        zero_terminal_snr=settings.get("rescale_betas_zero_snr", False),
    )


_LOCAL = {"local_files_only": True, "use_safetensors": True}


def parts_of(model: BaseModel) -> Iterable[nn.Module]:
    """The modules that a model still holds."""
    return (part for part in (model.unet, model.vae, *model.text_encoders) if part is not None)
