"""What flows between the stages: pictures with their captions, crops and counts. Never pixels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ..errors import TrainingError
from ..fields import field_values
from ..files import digest
from .measures import Measures

WHITE = "#ffffff"
UNCUT = 0.9
"""A known subject of which at least this share is inside counts as uncut: masks and boxes are never exact."""
UNCUT_GUESS = 0.75


@dataclass(frozen=True, kw_only=True, slots=True)
class CropBox:
    """The part of a picture that is trained, in pixels of the upright source picture.

    It lies inside the picture, except where the picture is padded so that its subject fits.
    """

    left: int
    top: int
    right: int
    bottom: int
    method: str
    """What chose it: "mask", "boxes", "face", "focus" (saliency), "center", "whole" or "override"."""
    subject_kept: float = 1.0
    """Share of the subject that lies inside, 0 to 1, by the measure of `method`; 1 where no subject is known."""

    @property
    def cuts_subject(self) -> bool:
        """Whether so much of the subject is outside that it should be said. What is only guessed from the pixels has
        soft edges, so more of it must be lost than of a mask, a box or a face."""
        return self.subject_kept < (UNCUT_GUESS if self.method == "focus" else UNCUT)

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


@dataclass(frozen=True, kw_only=True, slots=True)
class Mask:
    """Which part of a picture is its subject: white inside, black outside."""

    path: Path
    """A picture of any size in the source picture's shape; the picture itself where its own transparency is meant."""
    fingerprint: str
    """BLAKE2 of the file's bytes."""
    is_transparency: bool = False
    """Read the alpha channel of `path` instead of its brightness."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetImage:
    """One picture of the training set."""

    path: Path
    width: int
    """Pixels, after the camera's rotation (EXIF) is applied."""
    height: int
    caption: str
    caption_source: str
    """Where the caption came from: a file's name, "folder name", "empty" (its file holds no words) or "none"."""
    repeats: int
    """How often the picture is seen in one epoch."""
    is_regularisation: bool
    fingerprint: str
    """BLAKE2 of the file's bytes."""
    crop: CropBox | None = None
    bucket: tuple[int, int] | None = None
    """(width, height) in pixels that the crop is resized to for training."""
    other_captions: tuple[str, ...] = ()
    """Further captions; each visit of the picture draws one of `captions`."""
    background: str = ""
    """"#rrggbb" that shows through a transparent picture; empty for an opaque one."""
    mask: Mask | None = None
    is_repaired: bool = False
    """Whether the file was damaged and is used all the same; `notes` say how."""
    notes: tuple[str, ...] = ()
    """What reading the picture and its caption found, a few words each."""
    measures: Measures | None = None
    caption_digest: str | None = None
    """Of the caption file's bytes as they were read; empty where there was none, None where nobody looked."""

    @property
    def captions(self) -> tuple[str, ...]:
        return self.caption, *self.other_captions


@dataclass(frozen=True, kw_only=True, slots=True)
class SkippedFile:
    """A file that is not trained, and why."""

    path: Path
    reason: str
    kind: Literal["picture", "caption", "folder"] = "picture"


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Dataset:
    """A set of pictures. Each stage returns a new one; files on disk are never changed."""

    images: tuple[DatasetImage, ...]
    skipped: tuple[SkippedFile, ...] = field(default=())
    trigger_words: tuple[str, ...] = field(default=())
    remarks: tuple[str, ...] = field(default=())
    """What was noticed about the folder as a whole, a line each: captions without a picture, hidden files."""

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
        return digest([_trained(image) for image in self.images])

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON-able values; `from_json` reads it back."""
        return {
            **field_values(self),
            "images": [_image_to_json(image) for image in self.images],
            "skipped": [{**field_values(entry), "path": str(entry.path)} for entry in self.skipped],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Dataset:
        """Read what `to_json` wrote.

        Raises:
            TrainingError: a field is missing or unknown.
        """
        try:
            images = tuple(_image_from_json(dict(entry)) for entry in value["images"])
            skipped = tuple(SkippedFile(**{**entry, "path": Path(entry["path"])}) for entry in value.get("skipped", ()))
            texts = {name: tuple(value.get(name, ())) for name in ("trigger_words", "remarks")}
            return cls(images=images, skipped=skipped, **texts)
        except (KeyError, TypeError, ValueError) as problem:
            raise TrainingError(f"the dataset in the job file is not complete: {problem}.") from problem

    def with_images(self, images: tuple[DatasetImage, ...]) -> Dataset:
        """The same set with other images (same skipped files and trigger words)."""
        return replace(self, images=images)


def _image_to_json(image: DatasetImage) -> dict[str, Any]:
    value = {**field_values(image), "path": str(image.path)}
    for name in ("crop", "mask", "measures"):
        value[name] = field_values(value[name]) if value[name] else None
    if image.mask:
        value["mask"]["path"] = str(image.mask.path)
    return value


def _trained(image: DatasetImage) -> list[Any]:
    """What changes training, in the order of the fields."""
    value = _image_to_json(image)
    for name in ("path", "caption_source", "is_repaired", "notes", "measures", "caption_digest"):
        del value[name]
    if image.crop:
        del value["crop"]["method"], value["crop"]["subject_kept"]
    if image.mask:
        del value["mask"]["path"]
    return list(value.values())


def _image_from_json(entry: dict[str, Any]) -> DatasetImage:
    entry["path"] = Path(entry["path"])
    entry["crop"] = CropBox(**entry["crop"]) if entry.get("crop") else None
    entry["bucket"] = tuple(entry["bucket"]) if entry.get("bucket") else None
    for name in ("other_captions", "notes"):
        entry[name] = tuple(entry.get(name, ()))
    if entry.get("mask"):
        entry["mask"] = Mask(**{**entry["mask"], "path": Path(entry["mask"]["path"])})
    entry["measures"] = Measures(**entry["measures"]) if entry.get("measures") else None
    return DatasetImage(**entry)
