"""Taggers found where people already have them: in ComfyUI's folders, in other packs and programs, in Hugging Face's
cache. Finding reads names and small settings, never weights, never deeper than the layouts it knows; it asks no server.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import TrainingError
from .blip import BlipModel
from .captioning import CaptionerOptions
from .catalogue import CATALOGUE, DEEPDANBOORU_FILE, WD_TAGS, Family, KnownTagger, recognise
from .deepdanbooru import DeepDanbooruModel
from .florence2 import Florence2Model
from .tagger import TaggerModel
from .wd import WdModel
from .wd_timm import WdTimmModel

_LARGEST_CONFIG = 1_000_000
"""Bytes. A config.json of a model has a few thousand."""
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
    packs = [pack for nodes in custom_nodes for pack in _subfolders(nodes) if pack.name.casefold() == _WD_PACK]
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


# -------------------------------------------------------------------------------------------------- by family


def _wd(places: TaggerPlaces) -> list[TaggerModel]:
    """Under one name both forms may be there; first comes the one whose package is installed."""
    folders = [*_named_folders("wd", places.wd), *_cached("wd", places)]
    onnx = [
        WdModel(name=name, model=models[0], tags=tags[0])
        for name, folder in folders
        if len(models := _files(folder, ".onnx")) == 1 and len(tags := _files(folder, ".csv")) == 1
    ]
    onnx += [
        WdModel(name=_name("wd", model.stem), model=model, tags=tags)
        for root in places.wd
        for model in _files(root, ".onnx")
        if os.path.isfile(tags := model.with_suffix(".csv"))
    ]
    timm = [
        WdTimmModel(name=name, folder=folder)
        for name, folder in folders
        if _holds(folder, WD_TAGS, "config.json", "model.safetensors")
    ]
    return [*onnx, *timm] if find_spec("onnxruntime") or not find_spec("timm") else [*timm, *onnx]


def _deepdanbooru(places: TaggerPlaces) -> list[TaggerModel]:
    files = (root / sub / DEEPDANBOORU_FILE for root in places.deepdanbooru for sub in ("", "deepdanbooru"))
    return [DeepDanbooruModel(file=file, name="deepdanbooru") for file in files if os.path.isfile(file)]


def _blip(places: TaggerPlaces, options: CaptionerOptions) -> list[TaggerModel]:
    folders = (*_named_folders("blip", places.blip), *_cached("blip", places))
    return [
        BlipModel(name=name, folder=folder, options=options)
        for name, folder in folders
        if _config(folder).get("model_type") == "blip" and _has_weights(folder)
    ]


def _florence2(places: TaggerPlaces, options: CaptionerOptions) -> list[TaggerModel]:
    """Without the folders that bring code of their own (auto_map), which most packs fetch: that code is never run."""
    folders = (*_named_folders("florence-2", places.florence2), *_cached("florence-2", places))
    return [
        Florence2Model(name=name, folder=folder, options=options)
        for name, folder in folders
        if (config := _config(folder)).get("model_type") == "florence2"
        and "auto_map" not in config
        and _has_weights(folder)
    ]


# ---------------------------------------------------------------------------------------------------- on disk


def _named_folders(family: Family, roots: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """The folders in `roots` with the names of the models they would hold."""
    for root in roots:
        for folder in _subfolders(root):
            yield _name(family, folder.name), folder


def _cached(family: Family, places: TaggerPlaces) -> Iterator[tuple[str, Path]]:
    """What Hugging Face's cache has of the catalogue: the revision `main` stands for, then others, the newest first."""
    repositories = [known for known in CATALOGUE if known.family == family and known.repository]
    for cache in places.hub_caches:
        for known in repositories:
            folder = cache / f"models--{known.repository.replace('/', '--')}"
            snapshots = _subfolders(folder / "snapshots")
            main = _first_line(folder / "refs" / "main")
            snapshots.sort(key=lambda snapshot: (snapshot.name == main, os.path.getmtime(snapshot)), reverse=True)
            yield from ((known.name, snapshot) for snapshot in snapshots)


def _hub_caches(home: Path) -> list[Path]:
    """By the same variables that Hugging Face's own library asks."""
    given = [os.environ.get(key) for key in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "huggingface"
    caches = [*(Path(path) for path in given if path), Path(os.environ.get("HF_HOME") or cache) / "hub"]
    return [path.expanduser() for path in caches]


def _name(family: Family, folder_name: str) -> str:
    known = recognise(family, folder_name)
    return known.name if known else folder_name


def _config(folder: Path) -> dict:
    file = folder / "config.json"
    try:
        is_readable = os.path.isfile(file) and os.path.getsize(file) <= _LARGEST_CONFIG
        config = json.loads(file.read_bytes()) if is_readable else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def _first_line(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def _has_weights(folder: Path) -> bool:
    return _holds(folder, "model.safetensors") or _holds(folder, "pytorch_model.bin")


def _holds(folder: Path, *names: str) -> bool:
    return all(os.path.isfile(folder / name) for name in names)


def _files(folder: Path, suffix: str) -> list[Path]:
    return [path for path in _entries(folder) if path.suffix.lower() == suffix and os.path.isfile(path)]


def _subfolders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if os.path.isdir(path)]


def _entries(folder: Path) -> list[Path]:
    """Sorted; none where the folder is missing or may not be read. Links count as what they lead to."""
    try:
        return sorted(folder / name for name in os.listdir(folder))
    except OSError:
        return []
