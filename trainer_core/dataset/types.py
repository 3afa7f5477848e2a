"""What flows between the stages: pictures with their captions, crops and counts. Never pixels."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import TrainingError
from ..files import digest


@dataclass(frozen=True, kw_only=True, slots=True)
class CropBox:
    """The part of a picture that is trained, in pixels of the upright source picture."""

    left: int
    top: int
    right: int
    bottom: int
    method: str
    """What chose it: "focus", "center" or "whole"."""

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetImage:
    """One picture of the training set."""

    path: Path
    width: int
    """Pixels, after the camera's rotation (EXIF) is applied."""
    height: int
    caption: str
    caption_source: str
    """Where the caption came from: a sidecar's name, "folder name" or "none"."""
    repeats: int
    """How often the picture is seen in one epoch."""
    is_regularisation: bool
    fingerprint: str
    """BLAKE2 of the file's bytes."""
    crop: CropBox | None = None
    bucket: tuple[int, int] | None = None
    """(width, height) in pixels that the crop is resized to for training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SkippedFile:
    """A file that looked like a picture but is not trained, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Dataset:
    """A set of pictures. Each stage returns a new one; files on disk are never changed."""

    images: tuple[DatasetImage, ...]
    skipped: tuple[SkippedFile, ...] = field(default=())
    trigger_words: tuple[str, ...] = field(default=())

    @property
    def training_images(self) -> tuple[DatasetImage, ...]:
        return tuple(image for image in self.images if not image.is_regularisation)

    @property
    def regularisation_images(self) -> tuple[DatasetImage, ...]:
        return tuple(image for image in self.images if image.is_regularisation)

    def __repr__(self) -> str:
        """Short, and without paths: hosts put it into error reports that people share."""
        return f"Dataset({len(self.training_images)} + {len(self.regularisation_images)} regularisation pictures)"

    def fingerprint(self) -> str:
        """Changes with anything that changes training: pixels, captions, crops, repeats, their order."""
        return digest([[*_trained(image).values()] for image in self.images])

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON-able values; `from_json` reads it back."""
        value = asdict(self)
        for entry in (*value["images"], *value["skipped"]):
            entry["path"] = str(entry["path"])
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Dataset:
        """Read what `to_json` wrote.

        Raises:
            TrainingError: a field is missing or unknown.
        """
        try:
            images = tuple(_image_from_json(dict(entry)) for entry in value["images"])
            skipped = tuple(SkippedFile(path=Path(e["path"]), reason=e["reason"]) for e in value.get("skipped", ()))
            return cls(images=images, skipped=skipped, trigger_words=tuple(value.get("trigger_words", ())))
        except (KeyError, TypeError) as problem:
            raise TrainingError(f"the dataset in the job file is not complete: {problem}.") from problem

    def with_images(self, images: tuple[DatasetImage, ...]) -> Dataset:
        """The same set with other images (same skipped files and trigger words)."""
        return replace(self, images=images)


def _trained(image: DatasetImage) -> dict[str, Any]:
    value = asdict(image)
    del value["path"], value["caption_source"]
    if value["crop"]:
        del value["crop"]["method"]
    return value


def _image_from_json(entry: dict[str, Any]) -> DatasetImage:
    entry["path"] = Path(entry["path"])
    entry["crop"] = CropBox(**entry["crop"]) if entry.get("crop") else None
    entry["bucket"] = tuple(entry["bucket"]) if entry.get("bucket") else None
    return DatasetImage(**entry)
