"""The workflows that come with the pack, one by one, for tests that look at each."""

from __future__ import annotations

import pytest

from tests.host.templates.__main__ import WORKFLOWS

EDITOR = sorted(WORKFLOWS.glob("*.json"))
API = sorted((WORKFLOWS / "api").glob("*.json"))

TRAINING = {
    "train_a_person_sd15": ("person", "SD1.5"),
    "train_an_anime_character_sd15": ("anime character", "SD1.5"),
    "train_a_character_sdxl": ("anime character", "SDXL"),
    "train_a_style": ("style", "SD1.5"),
    "train_with_regularisation": ("anime character", "SD1.5"),
    "compare_epochs": ("anime character", "SD1.5"),
    "train_and_use": ("anime character", "SD1.5"),
}
"""What each template trains, and the family of its base model."""

by_editor_form = pytest.mark.parametrize("path", EDITOR, ids=lambda path: path.stem)
by_api_form = pytest.mark.parametrize("path", API, ids=lambda path: path.stem)
