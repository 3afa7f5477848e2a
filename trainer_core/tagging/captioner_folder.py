"""The folder of a captioner in the layout of Hugging Face's Hub: told apart and loaded. No code in it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from ..devices import half_on_gpu
from ..errors import TrainingError
from ..families.checkpoint import Checkpoint
from ..files import read_json
from .captioning import PictureInput
from .model_files import identity_of

_LAYOUT = "config.json, preprocessor_config.json, tokenizer files, and model.safetensors or pytorch_model.bin"
_TOKENIZER_ADVICE = "Download tokenizer.json and tokenizer_config.json again."
_LARGEST_SIDE = 1600
"""Pixels. Florence-2 has 50 rows of positions, 32 pixels apart."""
_READ = (".json", ".txt", ".safetensors", ".bin")
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def read_config(folder: Path, kind: str, example: str) -> dict[str, Any]:
    """The config.json of a folder with a model of transformers' class `kind`; `example` names one on the Hub.

    Raises:
        TrainingError: not the folder of a model, or of another one.
    """
    if not (folder / "config.json").is_file():
        what = "has no config.json" if folder.is_dir() else "is not a folder" if folder.exists() else "does not exist"
        raise TrainingError(f"{folder} {what}. Give a folder like {example}, with {_LAYOUT}.")
    config = read_json(folder / "config.json")
    names = config.get("architectures") if isinstance(config, dict) else None
    if not isinstance(names, list) or kind not in names:
        found = f"a {names[0]}" if isinstance(names, list) and names else "no known model"
        raise TrainingError(f"{folder / 'config.json'} is of {found}, not of a {kind}. Give a folder like {example}.")
    return config


def identity_of_folder(version: str, folder: Path) -> str:
    """Changes with the files that a model is read from, and with `version`.

    Raises:
        TrainingError: the folder cannot be read.
    """
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix in _READ)
    except OSError as problem:
        raise TrainingError(f"cannot read {folder}: {problem.strerror}. Choose another captioner.") from problem
    return identity_of(version, *files)


def read_picture_input(folder: Path) -> PictureInput:
    """Read preprocessor_config.json, or processor_config.json where transformers 5 put everything into that.

    Raises:
        TrainingError: missing, or it asks for more or less than one size and normalised channels.
    """
    file, whole = folder / "preprocessor_config.json", folder / "processor_config.json"
    is_nested = whole.is_file() and not file.is_file()
    file = whole if is_nested else file
    settings = read_json(file)
    try:
        return _picture_input(settings["image_processor"] if is_nested else settings)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise TrainingError(
            f"{file} does not say to which size pictures are scaled and how they are normalised. Download it again."
        ) from problem


def _picture_input(settings: Any) -> PictureInput:
    size = settings["size"]
    height, width = (size["height"], size["width"]) if isinstance(size, dict) else (size, size)
    if not 0 < min(height, width) <= max(height, width) <= _LARGEST_SIDE:
        raise ValueError("no size that a captioner was trained for")
    if settings.get("do_center_crop") and settings["crop_size"] != size:
        raise ValueError("a crop is not made")
    if not all(settings.get(step, True) for step in ("do_resize", "do_rescale", "do_normalize")):
        raise ValueError("no step is left out")
    return PictureInput(
        height=height,
        width=width,
        # BLIP's file on the Hub leaves these two out; they are what its image processor falls back on.
        resample=Image.Resampling(settings.get("resample", Image.Resampling.BICUBIC)),
        scale=float(settings.get("rescale_factor", 1 / 255)),
        mean=_of_channels(settings["image_mean"]),
        deviation=_of_channels(settings["image_std"]),
    )


def _of_channels(values: Any) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue


def load_model(kind: type[Any], folder: Path, device: str) -> Any:
    """A model of transformers' class `kind`, ready to use: fp16 on CUDA, fp32 elsewhere.

    Raises:
        TrainingError: weights are missing, incomplete, damaged, or a .bin that holds more than tensors.
    """
    weights = next((file for name in _WEIGHTS if (file := folder / name).is_file()), None)
    if weights is None:
        raise TrainingError(f"{folder} has no weights. Put model.safetensors or pytorch_model.bin into it.")
    if weights.suffix == ".safetensors":
        Checkpoint(weights)  # says more of a file that is cut short
    try:
        model, report = kind.from_pretrained(folder, local_files_only=True, weights_only=True, output_loading_info=True)
    except Exception as problem:  # of many kinds, with texts that advise to run what a .bin holds
        advice = " or take model.safetensors (a .bin needs torch 2.6 or newer)" if ".bin" in weights.name else ""
        raise TrainingError(
            f"{weights} does not hold just the tensors that config.json describes. Download both again{advice}."
        ) from problem
    if missing := sorted(report["missing_keys"]):
        raise TrainingError(f"{weights} lacks {len(missing)} tensors, such as {missing[0]}. Download it again.")
    return model.eval().to(device=device, dtype=half_on_gpu(device))


def load_tokenizer(folder: Path, *, token: str, number: int) -> Any:
    """The folder's tokenizer, which has to give `token` the number that the model knows it by.

    Raises:
        TrainingError: missing, damaged, or of another model.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        found = tokenizer.convert_tokens_to_ids(token)
    except Exception as problem:  # of many kinds
        raise TrainingError(f"the tokenizer of {folder} cannot be read. {_TOKENIZER_ADVICE}") from problem
    if found != number:  # transformers 5 makes up a vocabulary of five entries where there is no file
        raise TrainingError(f"the tokenizer of {folder} is missing or of another model. {_TOKENIZER_ADVICE}")
    return tokenizer
