"""Everything taken from ComfyUI: folders, device and memory, progress and interrupt, pictures."""

from __future__ import annotations

import gc
import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.sd1_clip
import comfy.utils
import folder_paths
import numpy as np
import psutil
import torch
from comfy.cli_args import args
from comfy_api.latest import io
from comfy_execution.utils import get_executing_context
from PIL import Image
from server import PromptServer
from transformers import CLIPTokenizer

from ..trainer_core.crop.faces import FACE_MODEL_SUFFIXES, FaceFinder, load_face_finder
from ..trainer_core.demo import DEMO_BASE, DEMO_PICTURES
from ..trainer_core.errors import TrainingError
from ..trainer_core.families.tokenizers import CLIP_VOCABULARY, find_tokenizer
from ..trainer_core.tagging.captioning import CaptionerOptions
from ..trainer_core.tagging.finding import TaggerPlaces, find_taggers, standard_places, tagger_names
from .folders import WITH_THE_PACK, Roots

_DEMO_BASE = "demo base" + WITH_THE_PACK
NO_FACE_MODEL = "none"
_FACE_MODELS = "face_detection"
_TAGGERS = "taggers"
_WD_TAGGERS = "wd14_tagger"
_READABLE = (".safetensors", ".ckpt")
_SECONDS_BETWEEN_PICTURES = 3

Interrupted = comfy.model_management.InterruptProcessingException
"""What a node raises where the user pressed Stop."""

# --------------------------------------------------------------------------------------------------- folders


def register_folders() -> None:
    """Make <base>/datasets a folder of ComfyUI, as newer versions do, and those for face models and taggers; what the
    user added stays."""
    folder_paths.add_model_folder_path("datasets", os.path.join(folder_paths.base_path, "datasets"))
    folder_paths.add_model_folder_path(_FACE_MODELS, os.path.join(folder_paths.models_dir, _FACE_MODELS))
    folder_paths.add_model_folder_path(_TAGGERS, os.path.join(folder_paths.models_dir, _TAGGERS))


def picture_roots() -> Roots:
    """The only folders from which pictures are read. Others need a line in extra_model_paths.yaml."""
    return {
        "input": [Path(folder_paths.get_input_directory())],
        "datasets": [Path(path) for path in folder_paths.get_folder_paths("datasets")],
        "demo": [DEMO_PICTURES],
    }


def runs_folder() -> Path:
    """Where trainings live, finished and stopped ones."""
    return _work_folder() / "runs"


def lora_folder() -> Path:
    """Where finished LoRAs go: LoraLoader searches it, whatever the user's model folders are."""
    return Path(folder_paths.get_output_directory()) / "loras"


def scans_folder() -> Path:
    """What Load Dataset remembers of pictures that did not change."""
    return _work_folder() / "scans"


def masks_folder() -> Path:
    """Masks that other nodes made, by content."""
    return _work_folder() / "masks"


def pictures_folder() -> Path:
    """Pictures that other nodes made, by content."""
    return _work_folder() / "pictures"


def answers_folder() -> Path:
    """What taggers answered, by picture and model."""
    return _work_folder() / "tags"


def boards_folder() -> Path:
    """What the tag editor works on."""
    return _work_folder() / "tag_boards"


def crop_boards_folder() -> Path:
    """What the crop editor works on."""
    return _work_folder() / "crop_boards"


def health_boards_folder() -> Path:
    """What the health cards show."""
    return _work_folder() / "health_boards"


def _work_folder() -> Path:
    return Path(folder_paths.get_output_directory()) / "lora_atelier"


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


# ------------------------------------------------------------------------------------------------ face models


def list_face_models() -> list[str]:
    """Detectors that the user has put into models/face_detection."""
    names = folder_paths.get_filename_list(_FACE_MODELS)
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
    return load_face_finder(Path(folder_paths.get_full_path_or_raise(_FACE_MODELS, name)))


# ---------------------------------------------------------------------------------------------------- taggers


def tagger_places() -> TaggerPlaces:
    """Where taggers lie: models/taggers, what extra_model_paths.yaml adds to it, then where other packs put them."""
    return standard_places(
        Path(folder_paths.models_dir),
        _paths_of("custom_nodes"),
        home=Path.home(),
        configured=(*_paths_of(_TAGGERS), *_paths_of(_WD_TAGGERS)),
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


# ------------------------------------------------------------------------------------------------ base models


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


# ------------------------------------------------------------------------------------------ device and memory


def device() -> str:
    """The device ComfyUI computes on, as torch names it."""
    return str(comfy.model_management.get_torch_device())


def memory_in_use() -> int:
    """MiB: what torch holds of the device's memory, or on a CPU what this process holds."""
    found = comfy.model_management.get_torch_device()
    used = torch.cuda.memory_reserved(found) if found.type == "cuda" else psutil.Process().memory_info().rss
    return used // 2**20


@dataclass
class Work:
    """What is being done right now, for the message if memory runs out."""

    stage: str


@contextmanager
def machine_to_ourselves(work: Work, remedy: str) -> Iterator[None]:
    """Free ComfyUI's models, allow gradients, and leave nothing behind.

    ComfyUI runs nodes in inference mode, where a weight that is loaded trains nothing and says nothing; so
    all loading must happen in here too, in a function of its own whose locals are gone when this ends.

    Raises:
        TrainingError: out of memory; names the stage and advises `remedy`.
        RuntimeError: a library tried to end the process, which would hang ComfyUI's queue.
    """
    comfy.model_management.unload_all_models()
    _release_memory()
    is_out_of_memory = False
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    except SystemExit as stop:
        raise RuntimeError(f"a library gave up while {work.stage} (exit code {stop.code}).") from None
    except Exception as problem:
        if not _is_out_of_memory(problem):
            raise
        is_out_of_memory = True
        traceback.clear_frames(problem.__traceback__)  # they hold the tensors that filled the memory
    finally:
        _release_memory()
    if is_out_of_memory:
        raise TrainingError(f"out of memory while {work.stage}. {remedy}") from None


def _is_out_of_memory(problem: Exception) -> bool:
    on_cpu = isinstance(problem, MemoryError) or "can't allocate memory" in str(problem)
    return on_cpu or comfy.model_management.is_oom(problem)


def _release_memory() -> None:
    gc.collect()
    comfy.model_management.soft_empty_cache()


# ------------------------------------------------------------------------------ progress, interrupt, pictures


class Progress:
    """A node's progress bar, which is also where a press on Stop takes effect."""

    def __init__(self) -> None:
        self._bar = comfy.utils.ProgressBar(1)
        self._total = 1
        self._drawn_at = 0.0

    def reached(self, done: int, total: int, draw: Callable[[], Image.Image] | None = None) -> None:
        """Show how far the work is; every few seconds with the picture that `draw` gives.

        Raises:
            Interrupted: the user pressed Stop.
        """
        is_time = draw is not None and time.monotonic() > self._drawn_at + _SECONDS_BETWEEN_PICTURES
        picture = draw() if is_time else None
        if picture:
            self._drawn_at = time.monotonic()
        self._total = total
        self._bar.update_absolute(done, total, ("JPEG", picture, None) if picture else None)
        comfy.model_management.throw_exception_if_processing_interrupted()

    def finish(self, picture: Image.Image) -> None:
        """Leave `picture` on the node: the page goes on showing the last one sent, also once the node is done."""
        self._bar.update_absolute(self._total, self._total, ("JPEG", picture, None))


def show_lines(node: type[io.ComfyNode], lines: Sequence[str]) -> None:
    """Show a few lines under a node that is being run. ComfyUI's newer renderer runs them together, so each is marked
    where there are several."""
    mark = "• " if len(lines) > 1 else ""
    PromptServer.instance.send_progress_text("\n".join(mark + line for line in lines), node.hidden.unique_id)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Which node of which graph is being run, as the page knows it."""

    workflow: str | None
    """The workflow's id; None where a program sent the graph."""
    node: str
    """In a subgraph with the numbers of the nodes around it, as in "3:1"."""
    prompt: str | None


def place_of(node: type[io.ComfyNode]) -> Place:
    """Where a node that is being run stands. The node must ask for the hidden unique_id and extra_pnginfo."""
    workflow, context = workflow_of(node), get_executing_context()
    return Place(
        workflow=workflow.get("id") if workflow else None,
        node=str(node.hidden.unique_id),
        prompt=context.prompt_id if context else None,
    )


def workflow_of(node: type[io.ComfyNode]) -> dict[str, Any] | None:
    """The graph as the page had it when it was queued; None where a program sent it."""
    return (node.hidden.extra_pnginfo or {}).get("workflow")


def send_to_page(event: str, values: dict[str, Any]) -> None:
    """To every page that is open; where several people share this ComfyUI, to the one that queued only."""
    PromptServer.instance.send_sync(event, values, PromptServer.instance.client_id if args.multi_user else None)


def route_table():
    """ComfyUI's own, to which packs add before it starts to listen."""
    return PromptServer.instance.routes


def to_image(pictures: list[Image.Image]) -> torch.Tensor:
    """PIL pictures of one size as ComfyUI's IMAGE: (B, H, W, 3), 0..1."""
    pixels = np.stack([np.asarray(picture.convert("RGB"), dtype=np.float32) for picture in pictures])
    return torch.from_numpy(pixels / 255)
