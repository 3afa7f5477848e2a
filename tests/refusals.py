"""What every refusal of a base model has in common."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from trainer_core.errors import TrainingError
from trainer_core.families.loading import family_of, load_base_model


def assert_refused(path: Path, *words: str, only_load: bool = False) -> None:
    """Both entrances refuse in one line that names the file and says `words`."""
    for read in [load_base_model] if only_load else [load_base_model, lambda path, _: family_of(path)]:
        with pytest.raises(TrainingError) as refusal:
            read(path, torch.float32)
        text = str(refusal.value)
        assert "\n" not in text and path.name in text and text.endswith(".") and len(text) < 400, text
        assert all(word in text for word in words), text
