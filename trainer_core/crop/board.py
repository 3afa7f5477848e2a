"""What the crop editor works on: the windows that Smart Crop chose by itself, and the rules that windows follow."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..dataset.naming import file_keys
from ..dataset.types import Dataset
from ..dataset.wording import FileNames
from ..errors import TrainingError
from .crop import training_shapes
from .rules import CropRules

_PATH_PARTS = 5
"""Of a path, from its end: keys of overrides are no longer, and the page need not know the rest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CropBoard:
    """One run of Smart Crop, before the overrides: these are the workflow's, and the page knows them better."""

    dataset: Dataset
    """Cropped."""
    rules: CropRules

    def content(self) -> dict[str, Any]:
        """For the page: the rules, and each picture with its window (left, top, right, bottom in pixels)."""
        keys, names = file_keys([image.path for image in self.dataset.images]), FileNames(self.dataset)
        return {
            "shapes": training_shapes(self.rules),
            "step": self.rules.step,
            "enlarge": self.rules.enlarge,
            "pictures": [
                {
                    "id": str(number),
                    "key": keys[number],
                    "path": "/".join(image.path.parts[1:][-_PATH_PARTS:]),
                    "name": names.of(image.path),
                    "width": image.width,
                    "height": image.height,
                    "window": (image.crop.left, image.crop.top, image.crop.right, image.crop.bottom),
                    "shape": image.bucket,
                    "method": image.crop.method,
                    "subject_kept": image.crop.subject_kept,
                    "cuts_subject": image.crop.cuts_subject,
                }
                for number, image in enumerate(self.dataset.images)
            ],
        }

    def to_json(self) -> dict[str, Any]:
        return {"dataset": self.dataset.to_json(), "rules": asdict(self.rules)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> CropBoard:
        """Read what `to_json` wrote.

        Raises:
            TrainingError: a part is missing or is something else.
        """
        try:
            return cls(dataset=Dataset.from_json(value["dataset"]), rules=CropRules(**value["rules"]))
        except (KeyError, TypeError, ValueError) as problem:
            raise TrainingError(f"this crop board is not complete: {problem}. Queue the graph once more.") from problem
