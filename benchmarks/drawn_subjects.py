"""Training sets of drawn subjects that the demo base has never seen: shapes of its world in new colours, with marks."""

from __future__ import annotations

import colorsys
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from trainer_core.captions.composing import compose
from trainer_core.captions.rules import CaptionRules
from trainer_core.crop.crop import crop_dataset
from trainer_core.crop.rules import CropRules
from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.types import Dataset
from trainer_core.demo import world

SIDE = 32
"""Pixels of a side that the demo base draws."""
_DRAWN_SIDE = 128
_MARKS = ("stripes", "dots", "ring", "cross", "half")
_STAND_IN = np.array(world.COLOURS["red"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """One thing to learn: the same shape, colours and marks in every picture."""

    object: str
    colour: tuple[int, int, int]
    mark_colour: tuple[int, int, int]
    marks: str

    def draw(self, scene: world.Scene) -> Image.Image:
        """The subject where `scene` has its object, on the scene's background."""
        plain = np.asarray(world.draw(scene, _DRAWN_SIDE)).astype(np.int16)
        is_subject_HW = np.abs(plain - _STAND_IN).max(axis=2) < 40
        marked_HW = np.asarray(self._marks(scene)) > 127
        plain[is_subject_HW] = self.colour
        plain[is_subject_HW & marked_HW] = self.mark_colour
        return Image.fromarray(plain.astype(np.uint8))

    def _marks(self, scene: world.Scene) -> Image.Image:
        mask = Image.new("L", (_DRAWN_SIDE, _DRAWN_SIDE), 0)
        pen = ImageDraw.Draw(mask)
        x, y, r = scene.x * _DRAWN_SIDE, scene.y * _DRAWN_SIDE, scene.radius * _DRAWN_SIDE
        if self.marks == "stripes":
            for i in (-2, 0, 2):
                pen.rectangle((x - r, y + (i - 0.5) * r / 3, x + r, y + (i + 0.5) * r / 3), fill=255)
        elif self.marks == "dots":
            for dx, dy in ((-0.4, -0.1), (0.4, -0.1), (0, 0.45)):
                pen.ellipse((x + (dx - 0.2) * r, y + (dy - 0.2) * r, x + (dx + 0.2) * r, y + (dy + 0.2) * r), fill=255)
        elif self.marks == "ring":
            pen.ellipse((x - r / 2, y - r / 2, x + r / 2, y + r / 2), outline=255, width=round(r / 5))
        elif self.marks == "cross":
            pen.rectangle((x - r / 6, y - r, x + r / 6, y + r), fill=255)
            pen.rectangle((x - r, y - r / 6, x + r, y + r / 6), fill=255)
        else:
            pen.rectangle((x, y - r, x + r, y + r), fill=255)
        return mask


def random_subject(rng: random.Random) -> Subject:
    """A shape without a face, in a colour between those of the world, with marks in a colour far from it."""
    hue = rng.choice((0.08, 0.20, 0.45, 0.52, 0.70, 0.90)) + rng.uniform(-0.02, 0.02)
    return Subject(
        object=rng.choice([name for name in world.OBJECTS if name != "cat"]),
        colour=_rgb(hue, rng.uniform(0.55, 0.9), rng.uniform(0.45, 0.75)),
        mark_colour=_rgb(hue + 0.5, rng.uniform(0.2, 0.9), rng.uniform(0.8, 1.0)),
        marks=rng.choice(_MARKS),
    )


def write_pictures(folder: Path, subject: Subject, count: int, rng: random.Random) -> None:
    """Pictures of the subject with captions that name its kind and the background, as the guide advises."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        place = world.random_scene(rng)
        scene = world.Scene(subject.object, "red", place.background, place.radius, place.x, place.y)
        subject.draw(scene).save(folder / f"{index:02}.png")
        (folder / f"{index:02}.txt").write_text(f"{subject.object}, {scene.background} background", encoding="utf-8")


def read_pictures(folder: Path, repeats: int) -> Dataset:
    dataset = compose(read_folder(folder, repeats=repeats), CaptionRules(trigger_word=world.MASCOT_TRIGGER)).dataset
    return crop_dataset(dataset, CropRules(width=SIDE, height=SIDE, method="center"))


def _rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue % 1, saturation, value))
