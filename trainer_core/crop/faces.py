"""Faces, where a person has a detector: YuNet (.onnx) or a cascade such as lbpcascade_animeface (.xml), run by OpenCV.

OpenCV is optional and its parts differ by version: 5 has no cascades outside opencv-contrib. No detector comes with
this pack, and none is fetched.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np
from PIL import Image

from ..errors import TrainingError
from .window import Box

FACE_MODEL_SUFFIXES = (".onnx", ".xml")
_LONG_SIDE = 640
"""Pixels at which faces are looked for: detectors miss faces that fill a large picture, and slow down on it."""
_YUNET_SCORE = 0.7
_CASCADE_NEIGHBOURS = 5
_LEAST_FACE = 0.04
"""Of the long side. Smaller hits are mostly patterns."""


class FaceFinder(Protocol):
    """Something that sees faces."""

    def find(self, picture: Image.Image) -> list[Box]:
        """Boxes of the faces in an RGB picture, in its pixels, the largest first."""
        ...


def load_face_finder(file: Path) -> FaceFinder:
    """The detector in a file.

    Raises:
        TrainingError: no such file, OpenCV is missing or lacks this kind of detector, or it cannot read the file.
    """
    if not os.path.isfile(file):
        raise TrainingError(f"there is no face model {file}. Choose a YuNet .onnx or a cascade .xml, or none.")
    cv2 = _opencv(file)
    kinds = {".onnx": ("FaceDetectorYN", _YuNet), ".xml": ("CascadeClassifier", _Cascade)}
    if file.suffix.lower() not in kinds:
        raise TrainingError(f"{file.name} is not a face model. Choose a YuNet .onnx or a cascade .xml.")
    needed, kind = kinds[file.suffix.lower()]
    if not hasattr(cv2, needed):
        raise TrainingError(
            f"OpenCV {cv2.__version__} has no {needed} for {file.name}. Choose a YuNet .onnx, or install "
            "opencv-contrib-python-headless."
        )
    try:
        return kind(cv2, file)
    except (cv2.error, SystemError, OSError, ValueError) as problem:
        raise TrainingError(f"OpenCV cannot read the face model {file.name}. Choose another file.") from problem


def _opencv(file: Path) -> ModuleType:
    try:
        return importlib.import_module("cv2")
    except ImportError:
        raise TrainingError(
            f"the face model {file.name} needs OpenCV. Install opencv-python-headless, or choose no face model: "
            "Smart Crop then finds subjects by saliency."
        ) from None


class _YuNet:
    """YuNet (Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector"), photos of people."""

    def __init__(self, cv2: ModuleType, file: Path) -> None:
        create, size = cv2.FaceDetectorYN.create, (320, 320)
        if "bufferModel" in create.__doc__:  # older ones take a path only
            model, nothing = np.frombuffer(file.read_bytes(), dtype=np.uint8), np.empty(0, dtype=np.uint8)
            self._detector = create("onnx", model, nothing, size, _YUNET_SCORE)
        else:
            self._detector = create(_path(file), "", size, _YUNET_SCORE)

    def find(self, picture: Image.Image) -> list[Box]:
        small, scale = _shrunk(picture)
        self._detector.setInputSize(small.size)
        _, found = self._detector.detect(np.asarray(small)[..., ::-1].copy())
        return _boxes([] if found is None else found[:, :4], scale, picture.size)


class _Cascade:
    """A cascade of simple features (Viola & Jones 2001; LBP: Liao et al. 2007), on the grey picture."""

    def __init__(self, cv2: ModuleType, file: Path) -> None:
        self._equalize = cv2.equalizeHist
        self._cascade = cv2.CascadeClassifier()
        storage = cv2.FileStorage(file.read_text("utf-8", "replace"), cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        if not self._cascade.read(storage.getFirstTopLevelNode()) and not self._cascade.load(_path(file)):
            raise TrainingError(f"{file.name} is not a cascade that OpenCV can read. Choose another file.")

    def find(self, picture: Image.Image) -> list[Box]:
        small, scale = _shrunk(picture)
        grey = self._equalize(np.asarray(small.convert("L")))
        return _boxes(self._cascade.detectMultiScale(grey, 1.1, _CASCADE_NEIGHBOURS), scale, picture.size)


def _path(file: Path) -> str:
    """For OpenCV, which finds a path on Windows only in the system's own code page, and crashes on one that is not
    UTF-8. So models are given to it as bytes wherever it takes them.

    Raises:
        UnicodeEncodeError: it would crash.
    """
    str(file).encode("utf-8")
    return str(file)


def _shrunk(picture: Image.Image) -> tuple[Image.Image, float]:
    """The picture at `_LONG_SIDE` at most, and how much smaller it is."""
    scale = min(1.0, _LONG_SIDE / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return (picture if scale == 1 else picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)), scale


def _boxes(found, scale: float, size: tuple[int, int]) -> list[Box]:
    """(x, y, width, height) rows of the small picture as boxes of the large one, largest first."""
    boxes = []
    for x, y, width, height in np.asarray(found, dtype=float).reshape(-1, 4) / scale:
        box = (max(0, round(x)), max(0, round(y)), min(size[0], round(x + width)), min(size[1], round(y + height)))
        if min(box[2] - box[0], box[3] - box[1]) >= _LEAST_FACE * max(size):
            boxes.append(box)
    return sorted(boxes, key=lambda box: (box[0] - box[2]) * (box[3] - box[1]))
