"""Pictures with a subject whose box is known: cut-outs of photos that come with libraries, pasted on other photos.

Nothing is downloaded or stored: nine subjects are cut out of the photos bundled in scikit-image, scikit-learn and
matplotlib (GrabCut of Rother et al. 2004 by OpenCV, a disparity map, or a threshold), then placed anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

import cv2
import numpy as np
import skimage.data
from matplotlib.cbook import get_sample_data
from PIL import Image, ImageOps
from scipy import ndimage
from sklearn.datasets import load_sample_image

from trainer_core.crop.window import Box, center_window

Difficulty = Literal["easy", "hard"]
"""Easy: textures and plain scenes behind the subject. Hard: whole photos, whose own subject distracts."""

CANVASES = ((640, 360), (360, 640), (640, 320), (320, 640), (480, 480))
ASPECTS = (1.0, 2 / 3, 3 / 2)
_SMALLEST, _LARGEST = 0.25, 0.8
"""Of the canvas's short side: the subject's longer side."""
_GAINS = (0.8, 1.2)


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """A subject on its own, cropped to its outline."""

    name: str
    pixels: Image.Image
    """RGBA."""
    face: Box | None
    """In its pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Composite:
    """One picture with one known subject, and the shape of the window to be found in it."""

    name: str
    """Of the subject."""
    picture: Image.Image
    subject: Box
    face: Box | None
    mask: np.ndarray
    """(height, width), 0..1, where the subject is."""
    aspect: float


@dataclass(frozen=True, slots=True)
class _Source:
    """How a subject is cut out of a photo."""

    photo: str
    around: Box
    """GrabCut looks for the subject in here."""
    surely: tuple[Box, ...] = ()
    surely_not: tuple[Box, ...] = ()
    face: Box | None = None


_SOURCES = {
    "astronaut": _Source(
        "astronaut",
        (10, 2, 505, 512),
        surely=((190, 40, 260, 130), (90, 270, 300, 500), (310, 370, 470, 510), (150, 210, 280, 260)),
        surely_not=((320, 0, 512, 230), (360, 230, 512, 330), (0, 0, 100, 190)),
        face=(175, 67, 269, 161),
    ),
    "officer": _Source(
        "hopper",
        (20, 5, 505, 600),
        surely=((180, 90, 330, 330), (100, 450, 430, 598), (185, 40, 330, 90)),
        surely_not=((0, 0, 148, 350), (385, 0, 512, 320), (0, 0, 200, 16)),
        face=(165, 140, 343, 318),
    ),
    "cameraman": _Source(
        "camera",
        (60, 55, 400, 512),
        surely=((120, 180, 210, 300), (100, 300, 140, 480), (180, 70, 240, 110)),
        surely_not=((170, 360, 225, 512), (245, 320, 262, 512), (275, 400, 310, 512)),
    ),
    "cat": _Source(
        "chelsea", (0, 0, 372, 300), surely=((40, 40, 330, 250),), surely_not=((375, 0, 451, 300), (340, 230, 451, 300))
    ),
    "cup": _Source(
        "coffee",
        (60, 5, 500, 393),
        surely=((180, 40, 380, 200), (120, 250, 400, 350)),
        surely_not=((60, 5, 150, 60), (430, 5, 500, 60), (60, 330, 110, 393), (440, 330, 500, 393)),
    ),
    "flower": _Source("flower", (160, 75, 460, 365), surely=((210, 130, 400, 320),)),
    "pagoda": _Source("china", (60, 25, 380, 400), surely=((120, 120, 270, 330),)),
}

_DISTRACTING = (
    "astronaut", "camera", "chelsea", "china", "clock", "coffee", "coins", "flower", "hopper", "motorcycle", "retina",
    "rocket",
)  # fmt: skip
_EVEN = {
    "brick": None, "grass": None, "gravel": None, "moon": None, "hubble_deep_field": None,
    "immunohistochemistry": None, "china": (330, 0, 640, 170), "flower": (0, 0, 165, 427), "rocket": (380, 0, 500, 200),
    "camera": (390, 270, 512, 500), "coffee": (440, 0, 600, 240),
}  # fmt: skip
"""Textures, and parts of photos where nothing is: boxes in their pixels."""
_GREY = ("brick", "grass", "gravel", "moon", "camera")
"""Tinted, so that colour alone does not give the subject away."""


def composites(seed: int, difficulty: Difficulty, pictures: int) -> Iterator[Composite]:
    """Composites of `pictures` pictures, each with every aspect whose window cuts the picture but can hold the subject.

    The nine subjects take turns; everything else is drawn by chance from `seed`.
    """
    rng = np.random.default_rng(seed)
    cutouts = _cutouts()
    for index in range(pictures):
        cutout = cutouts[index % len(cutouts)]
        canvas = CANVASES[rng.integers(len(CANVASES))]
        background = _background(rng, difficulty, cutout.name, canvas)
        picture, mask, subject, face = _pasted(rng, cutout, background)
        for aspect in ASPECTS:
            left, top, right, bottom = center_window(*canvas, aspect)
            fits = subject[2] - subject[0] <= right - left and subject[3] - subject[1] <= bottom - top
            if fits and (right - left, bottom - top) != canvas:
                yield Composite(cutout.name, picture, subject, face, mask, aspect)


def photo(name: str) -> Image.Image:
    """A bundled photo as RGB."""
    if name == "hopper":
        return Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
    if name in ("china", "flower"):
        return Image.fromarray(load_sample_image(f"{name}.jpg"))
    if name == "motorcycle":
        return Image.fromarray(skimage.data.stereo_motorcycle()[0])
    return Image.fromarray(getattr(skimage.data, name)()).convert("RGB")


@cache
def _cutouts() -> tuple[Cutout, ...]:
    grabbed = [_cutout(name, photo(s.photo), _grab(photo(s.photo), s), s.face) for name, s in _SOURCES.items()]
    horse = np.asarray(skimage.data.horse()) == 0
    dark = Image.new("RGB", horse.shape[::-1], (38, 34, 30))
    motorcycle = _cutout("motorcycle", photo("motorcycle"), _motorcycle(), None)
    return *grabbed, motorcycle, _cutout("horse", dark, horse, None)


def _motorcycle() -> np.ndarray:
    """(height, width) bool: nearer than the wall, and nearer than the floor, whose disparity grows evenly downwards."""
    disparity = skimage.data.stereo_motorcycle()[2]
    disparity = np.where(np.isfinite(disparity), disparity, 0)
    rows = np.arange(len(disparity))
    floor = np.polyval(np.polyfit(rows[420:], np.median(disparity[420:, 5:60], axis=1), 1), rows)
    return ndimage.binary_closing((disparity > 37) & (disparity > floor[:, None] + 1))


def _grab(picture: Image.Image, source: _Source) -> np.ndarray:
    """(height, width) bool: the subject, by GrabCut from a few boxes."""
    labels = np.full(picture.size[::-1], cv2.GC_BGD, np.uint8)
    hints = ((cv2.GC_PR_FGD, (source.around,)), (cv2.GC_BGD, source.surely_not), (cv2.GC_FGD, source.surely))
    for label, boxes in hints:
        for left, top, right, bottom in boxes:
            labels[top:bottom, left:right] = label
    cv2.setRNGSeed(0)
    models = np.zeros((2, 1, 65))
    colours = np.ascontiguousarray(np.asarray(picture)[..., ::-1])
    cv2.grabCut(colours, labels, None, models[0], models[1], 5, cv2.GC_INIT_WITH_MASK)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def _cutout(name: str, picture: Image.Image, mask: np.ndarray, face: Box | None) -> Cutout:
    """The largest connected part of the mask, cropped to its outline."""
    parts, count = ndimage.label(ndimage.binary_opening(mask))
    largest = 1 + np.argmax(ndimage.sum_labels(mask, parts, np.arange(1, count + 1)))
    alpha = Image.fromarray(np.where(parts == largest, np.uint8(255), np.uint8(0)))
    left, top, right, bottom = alpha.getbbox()
    pixels = picture.convert("RGB")
    pixels.putalpha(alpha)
    if face:
        face = (face[0] - left, face[1] - top, face[2] - left, face[3] - top)
    return Cutout(name, pixels.crop((left, top, right, bottom)), face)


def _background(rng: np.random.Generator, difficulty: Difficulty, subject: str, canvas: tuple[int, int]) -> Image.Image:
    """A photo that fills the canvas, mirrored or not; never the one that the subject comes from."""
    own = _SOURCES[subject].photo if subject in _SOURCES else subject
    names = [name for name in (_DISTRACTING if difficulty == "hard" else _EVEN) if name != own]
    name = names[rng.integers(len(names))]
    picture = photo(name)
    if difficulty == "easy" and _EVEN[name]:
        picture = picture.crop(_EVEN[name])
    place = (rng.random(), rng.random())
    picture = ImageOps.fit(picture, canvas, Image.Resampling.BICUBIC, centering=place)
    if difficulty == "easy" and name in _GREY:
        picture = ImageOps.colorize(picture.convert("L"), "black", _tint(rng, 200, 256), mid=_tint(rng, 70, 170))
    return ImageOps.mirror(picture) if rng.random() < 0.5 else picture


def _tint(rng: np.random.Generator, darkest: int, lightest: int) -> tuple[int, ...]:
    return tuple(int(value) for value in rng.integers(darkest, lightest, 3))


def _pasted(
    rng: np.random.Generator, cutout: Cutout, background: Image.Image
) -> tuple[Image.Image, np.ndarray, Box, Box | None]:
    """The subject anywhere on the background: picture, mask, subject's box, face's box."""
    scale = rng.uniform(_SMALLEST, _LARGEST) * min(background.size) / max(cutout.pixels.size)
    width, height = (max(1, round(side * scale)) for side in cutout.pixels.size)
    subject = cutout.pixels.resize((width, height), Image.Resampling.LANCZOS)
    face = None if cutout.face is None else tuple(round(place * scale) for place in cutout.face)
    if rng.random() < 0.5:
        subject = ImageOps.mirror(subject)
        face = face and (width - face[2], face[1], width - face[0], face[3])
    gain = rng.uniform(*_GAINS)
    alpha = subject.getchannel("A")
    colours = subject.convert("RGB").point(lambda value: min(255, round(value * gain)))
    x = int(rng.integers(background.width - width + 1))
    y = int(rng.integers(background.height - height + 1))
    picture, mask = background.copy(), Image.new("L", background.size)
    picture.paste(colours, (x, y), alpha)
    mask.paste(alpha, (x, y))
    face = face and (face[0] + x, face[1] + y, face[2] + x, face[3] + y)
    return picture, np.asarray(mask, dtype=np.float64) / 255, (x, y, x + width, y + height), face
