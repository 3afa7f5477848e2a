"""Taggers found where people already have them: in ComfyUI's folders, in other packs and programs, in Hugging Face's
cache. Finding reads names and small settings, never weights, never deeper than the layouts it knows; it asks no server.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import TrainingError
from .blip import BlipModel
from .captioning import CaptionerOptions
from .catalogue import CATALOGUE, DEEPDANBOORU_FILE, WD_TAGS, KnownTagger
from .deepdanbooru import DeepDanbooruModel
from .florence2 import Florence2Model
from .model_folders import (
    cached_folders,
    config_of,
    files_in,
    has_weights,
    holds,
    model_name,
    named_folders,
    subfolders,
)
from .tagger import TaggerModel
from .wd import WdModel
from .wd_timm import WdTimmModel

_WD_PACK = "comfyui-wd14-tagger"
_KOHYA_FOLDERS = ("", "sd-scripts", "kohya_ss", "kohya_ss/sd-scripts")
_A1111_FOLDERS = ("stable-diffusion-webui", "stable-diffusion-webui-forge")


@dataclass(frozen=True, kw_only=True, slots=True)
class TaggerPlaces:
    """Folders to look into, by family; what lies in an earlier one wins. They need not exist."""

    ours: Path
    """Where downloads go."""
    wd: tuple[Path, ...]
    deepdanbooru: tuple[Path, ...]
    blip: tuple[Path, ...]
    florence2: tuple[Path, ...]
    hub_caches: tuple[Path, ...]
    """Folders in the layout of Hugging Face's cache, looked into for the catalogue's repositories."""


def standard_places(
    models_dir: Path, custom_nodes: Sequence[Path] = (), *, home: Path, configured: Sequence[Path] = ()
) -> TaggerPlaces:
    """Where people have taggers: first ComfyUI's models/taggers and the `configured` folders, then those of the packs
    and programs that brought them. `home` is the user's; Hugging Face's environment variables are obeyed."""
    ours = models_dir / "taggers"
    own = (ours, *configured)
    beside = (models_dir.parent, models_dir.parent.parent, home)
    packs = [pack for nodes in custom_nodes for pack in subfolders(nodes) if pack.name.casefold() == _WD_PACK]
    kohya = [base / folder / "wd14_tagger_model" for base in beside for folder in _KOHYA_FOLDERS]
    a1111 = [base / folder / "models" / "torch_deepdanbooru" for base in beside for folder in _A1111_FOLDERS]
    return TaggerPlaces(
        ours=ours,
        wd=(*own, *(pack / "models" for pack in packs), *kohya),
        deepdanbooru=(*own, models_dir / "blip", models_dir / "torch_deepdanbooru", *a1111),
        blip=(*own, models_dir / "blip"),
        florence2=(*own, models_dir / "LLM", models_dir / "florence2"),
        hub_caches=(models_dir / "blip", *_hub_caches(home)),
    )


def places_from_environment(models_dir: Path | None = None) -> TaggerPlaces:
    """Where the ComfyUI in COMFYUI_DIR (default ~/ComfyUI) has them, or a models folder that is named."""
    comfyui = Path(os.environ.get("COMFYUI_DIR") or "~/ComfyUI").expanduser()
    models = models_dir or comfyui / "models"
    return standard_places(models, [models.parent / "custom_nodes"], home=Path.home())


def _hub_caches(home: Path) -> list[Path]:
    """By the same variables that Hugging Face's own library asks."""
    given = [os.environ.get(key) for key in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "huggingface"
    caches = [*(Path(path) for path in given if path), Path(os.environ.get("HF_HOME") or cache) / "hub"]
    return [path.expanduser() for path in caches]


def find_taggers(places: TaggerPlaces, options: CaptionerOptions) -> dict[str, TaggerModel]:
    """Every tagger that is there, by name: the catalogue's where it is recognised, else that of its folder or file."""
    found: dict[str, TaggerModel] = {}
    for model in (*_wd(places), *_deepdanbooru(places), *_blip(places, options), *_florence2(places, options)):
        found.setdefault(model.name, model)
    return found


def tagger_names(found: Mapping[str, TaggerModel]) -> list[str]:
    """The names to choose from: what was found, then the rest of the catalogue, since a workflow may come from someone
    who has it."""
    return [*found, *(known.name for known in CATALOGUE if known.name not in found)]


def find_tagger(name: str, places: TaggerPlaces, options: CaptionerOptions) -> TaggerModel:
    """The tagger of a name.

    Raises:
        TrainingError: it is not there; says which files it takes, where they go, and how to get them.
    """
    found = find_taggers(places, options)
    if name in found:
        return found[name]
    for known in CATALOGUE:
        if known.name == name:
            raise TrainingError(_how_to_get(known, places.ours))
    raise TrainingError(
        f"there is no tagger {name!r}. Put its .onnx and .csv into a folder in {places.ours}, or choose another tagger."
    )


def _how_to_get(known: KnownTagger, ours: Path) -> str:
    files = ", ".join(file.name for file in known.files)
    size = f" ({known.megabytes:,} MB)" if known.megabytes else ""
    return (
        f"the tagger {known.name} was not found. Press Download on Auto Tag{size}, run "
        f"`python -m trainer_core taggers --download {known.name}`, or put {files} into {ours / known.name}."
    )


def _wd(places: TaggerPlaces) -> list[TaggerModel]:
    """Under one name both forms may be there; first comes the one whose package is installed."""
    folders = [*named_folders("wd", places.wd), *cached_folders("wd", places.hub_caches)]
    onnx = [
        WdModel(name=name, model=models[0], tags=tags[0])
        for name, folder in folders
        if len(models := files_in(folder, ".onnx")) == 1 and len(tags := files_in(folder, ".csv")) == 1
    ]
    onnx += [
        WdModel(name=model_name("wd", model.stem), model=model, tags=tags)
        for root in places.wd
        for model in files_in(root, ".onnx")
        if os.path.isfile(tags := model.with_suffix(".csv"))
    ]
    timm = [
        WdTimmModel(name=name, folder=folder)
        for name, folder in folders
        if holds(folder, WD_TAGS, "config.json", "model.safetensors")
    ]
    return [*onnx, *timm] if find_spec("onnxruntime") or not find_spec("timm") else [*timm, *onnx]


def _deepdanbooru(places: TaggerPlaces) -> list[TaggerModel]:
    files = (root / sub / DEEPDANBOORU_FILE for root in places.deepdanbooru for sub in ("", "deepdanbooru"))
    return [DeepDanbooruModel(file=file, name="deepdanbooru") for file in files if os.path.isfile(file)]


def _blip(places: TaggerPlaces, options: CaptionerOptions) -> list[TaggerModel]:
    folders = (*named_folders("blip", places.blip), *cached_folders("blip", places.hub_caches))
    return [
        BlipModel(name=name, folder=folder, options=options)
        for name, folder in folders
        if config_of(folder).get("model_type") == "blip" and has_weights(folder)
    ]


def _florence2(places: TaggerPlaces, options: CaptionerOptions) -> list[TaggerModel]:
    """Without the folders that bring code of their own (auto_map), which most packs fetch: that code is never run."""
    folders = (*named_folders("florence-2", places.florence2), *cached_folders("florence-2", places.hub_caches))
    return [
        Florence2Model(name=name, folder=folder, options=options)
        for name, folder in folders
        if (config := config_of(folder)).get("model_type") == "florence2"
        and "auto_map" not in config
        and has_weights(folder)
    ]
