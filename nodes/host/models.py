"""The models that ComfyUI has at hand: bases, LoRAs, tokenizers, taggers, face models."""

from __future__ import annotations

from pathlib import Path

import comfy.sd1_clip
import folder_paths
from transformers import CLIPTokenizer

from ...trainer_core.crop.faces import FACE_MODEL_SUFFIXES, FaceFinder, load_face_finder
from ...trainer_core.demo import DEMO_BASE
from ...trainer_core.errors import TrainingError
from ...trainer_core.families.tokenizers import CLIP_VOCABULARY, find_tokenizer
from ...trainer_core.tagging.captioning import CaptionerOptions
from ...trainer_core.tagging.finding import TaggerPlaces, find_taggers, standard_places, tagger_names
from ..folders import WITH_THE_PACK
from .folders import FACE_MODELS, TAGGERS

NO_FACE_MODEL = "none"
_DEMO_BASE = "demo base" + WITH_THE_PACK
_WD_TAGGERS = "wd14_tagger"
_READABLE = (".safetensors", ".ckpt")


def list_base_models() -> list[str]:
    """Checkpoints, then diffusers folders, then the demo base."""
    checkpoints = [n for n in folder_paths.get_filename_list("checkpoints") if n.lower().endswith(_READABLE)]
    return [*checkpoints, *_diffusers_folders(), _DEMO_BASE]


def find_base_model(name: str) -> Path:
    """The path of a name in `list_base_models`.

    Raises:
        TrainingError: it is not in the list.
    """
    if name not in list_base_models():
        raise TrainingError(f"there is no base model {name!r}. Put the checkpoint into models/checkpoints.")
    if name == _DEMO_BASE:
        return DEMO_BASE
    if name in (folders := _diffusers_folders()):
        return folders[name]
    return Path(folder_paths.get_full_path_or_raise("checkpoints", name))


def _diffusers_folders() -> dict[str, Path]:
    """Folders that hold a whole diffusers pipeline, as "diffusers/name"."""
    roots = [Path(path) for path in folder_paths.get_folder_paths("diffusers")]
    found = (index.parent for root in roots if root.is_dir() for index in root.glob("*/model_index.json"))
    return {f"diffusers/{folder.name}": folder for folder in sorted(found)}


def list_loras() -> list[str]:
    """LoRAs that can be read, as LoraLoader lists them."""
    return [name for name in folder_paths.get_filename_list("loras") if name.lower().endswith(".safetensors")]


def find_lora(name: str) -> Path:
    """The path of a name in `list_loras`.

    Raises:
        TrainingError: it is not in the list.
    """
    if name not in list_loras():
        raise TrainingError(
            f"there is no LoRA {name!r}. Put it into models/loras, and write its name as Load LoRA lists it."
        )
    return Path(folder_paths.get_full_path_or_raise("loras", name))


def loaded_by_lora_loader(name: str) -> Path | None:
    """The file that LoraLoader would take for `name`."""
    path = folder_paths.get_full_path("loras", name)
    return Path(path) if path else None


def tokenizer_folders() -> list[Path]:
    """CLIP's vocabulary, which ComfyUI ships."""
    return [Path(comfy.sd1_clip.__file__).parent / "sd1_tokenizer"]


def tokenizer() -> CLIPTokenizer | None:
    """CLIP's tokenizer, for counting tokens; None where this ComfyUI lacks its files."""
    try:
        return find_tokenizer(CLIP_VOCABULARY, tokenizer_folders())
    except TrainingError:
        return None


def tagger_places() -> TaggerPlaces:
    """Where taggers lie: models/taggers, what extra_model_paths.yaml adds to it, then where other packs put them."""
    return standard_places(
        Path(folder_paths.models_dir),
        _paths_of("custom_nodes"),
        home=Path.home(),
        configured=(*_paths_of(TAGGERS), *_paths_of(_WD_TAGGERS)),
    )


def list_taggers() -> list[str]:
    """Those that were found, then those that could be downloaded."""
    return tagger_names(find_taggers(tagger_places(), CaptionerOptions()))


def list_found_taggers() -> list[str]:
    """Those that can be used now."""
    return list(find_taggers(tagger_places(), CaptionerOptions()))


def _paths_of(name: str) -> tuple[Path, ...]:
    known = folder_paths.folder_names_and_paths
    return tuple(Path(path) for path in folder_paths.get_folder_paths(name)) if name in known else ()


def list_face_models() -> list[str]:
    """Detectors that the user has put into models/face_detection."""
    names = folder_paths.get_filename_list(FACE_MODELS)
    return [name for name in names if name.lower().endswith(FACE_MODEL_SUFFIXES)]


def face_finder(name: str) -> FaceFinder | None:
    """The detector of that name; None for NO_FACE_MODEL.

    Raises:
        TrainingError: it is not in the list, or cannot be used.
    """
    if name == NO_FACE_MODEL:
        return None
    if name not in list_face_models():
        raise TrainingError(f"there is no face model {name!r}. Put it into models/face_detection, or choose none.")
    return load_face_finder(Path(folder_paths.get_full_path_or_raise(FACE_MODELS, name)))
