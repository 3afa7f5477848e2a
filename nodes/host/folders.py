"""ComfyUI's folders, and this pack's own in its output folder."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths

from ...trainer_core.demo import DEMO_PICTURES
from ..folders import Roots

FACE_MODELS = "face_detection"
TAGGERS = "taggers"


def register_folders() -> None:
    """Make <base>/datasets a folder of ComfyUI, as newer versions do, and those for face models and taggers; what the
    user added stays."""
    folder_paths.add_model_folder_path("datasets", os.path.join(folder_paths.base_path, "datasets"))
    folder_paths.add_model_folder_path(FACE_MODELS, os.path.join(folder_paths.models_dir, FACE_MODELS))
    folder_paths.add_model_folder_path(TAGGERS, os.path.join(folder_paths.models_dir, TAGGERS))


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
