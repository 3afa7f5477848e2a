"""The drawn world: the pictures behind the demo base, the demo dataset and the tests.

Everything here is drawn by this file, so it may be redistributed freely (CC0). A `Scene` says what is in a
picture, `draw` paints it, `caption` describes it. The mascot exists only in the demo dataset: the demo base has
never seen it, so whatever shows it learned it from the LoRA.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

OBJECTS = ("ball", "box", "tent", "star", "heart", "cat")
COLOURS = {
    "red": (214, 40, 40),
    "green": (46, 148, 66),
    "blue": (40, 84, 204),
    "yellow": (246, 206, 50),
    "purple": (136, 54, 170),
    "orange": (240, 128, 30),
}
BACKGROUNDS = {
    "white": (244, 244, 240),
    "grey": (138, 140, 146),
    "pink": (246, 190, 204),
    "sky": (158, 208, 240),
    "black": (28, 28, 32),
}
MASCOT_TRIGGER = "mochi"
_MASCOT_TEAL = (22, 150, 150)
_INK = (24, 20, 28)
_SUPERSAMPLING = 4


@dataclass(frozen=True)
class Scene:
    """One picture: what it shows, and where (centre and radius as shares of the picture's short side)."""

    object: str
    colour: str
    background: str
    radius: float = 0.36
    x: float = 0.5
    y: float = 0.5
    is_mascot: bool = False


def shows_mascot(image: Image.Image) -> bool:
    """Whether a picture shows the mascot: enough of its teal, which nothing else in the world has."""
    pixels_HWC = np.asarray(image.convert("RGB"), dtype=np.int16)
    distance_HW = np.abs(pixels_HWC - np.array(_MASCOT_TEAL)).max(axis=2)
    return float((distance_HW < 45).mean()) > 0.08


def random_scene(rng: random.Random) -> Scene:
    """A scene of the world, the way the demo base saw them: object well inside a square picture."""
    radius = rng.uniform(0.30, 0.40)
    slack = 0.46 - radius
    return Scene(
        object=rng.choice(OBJECTS),
        colour=rng.choice(tuple(COLOURS)),
        background=rng.choice(tuple(BACKGROUNDS)),
        radius=radius,
        x=0.5 + rng.uniform(-slack, slack),
        y=0.5 + rng.uniform(-slack, slack),
    )


def caption(scene: Scene) -> str:
    """The caption of a scene; the mascot's names only its kind and surroundings, as the guide advises.

    Its look is left out, so that the trigger word, added later, is what it goes into.
    """
    subject = scene.object if scene.is_mascot else f"{scene.colour} {scene.object}"
    return f"{subject}, {scene.background} background"


def draw(scene: Scene, width: int = 128, height: int | None = None) -> Image.Image:
    """Paint a scene as an RGB picture of `width` x `height` pixels (square unless a height is given)."""
    height = height or width
    big_w, big_h = width * _SUPERSAMPLING, height * _SUPERSAMPLING
    side = min(big_w, big_h)
    image = Image.new("RGB", (big_w, big_h), BACKGROUNDS[scene.background])
    pen = ImageDraw.Draw(image)
    cx, cy, r = scene.x * big_w, scene.y * big_h, scene.radius * side
    if scene.is_mascot:
        _draw_mascot(pen, cx, cy, r)
    else:
        _PAINTERS[scene.object](pen, cx, cy, r, COLOURS[scene.colour])
    return image.resize((width, height), Image.Resampling.BOX)


def _draw_ball(pen, cx, cy, r, colour):
    pen.ellipse((cx - r, cy - r, cx + r, cy + r), fill=colour)


def _draw_box(pen, cx, cy, r, colour):
    s = r * 0.86
    pen.rectangle((cx - s, cy - s, cx + s, cy + s), fill=colour)


def _draw_tent(pen, cx, cy, r, colour):
    pen.polygon([(cx, cy - r), (cx + r, cy + r * 0.8), (cx - r, cy + r * 0.8)], fill=colour)


def _draw_star(pen, cx, cy, r, colour):
    pen.polygon(_star_points(cx, cy, r), fill=colour)


def _draw_heart(pen, cx, cy, r, colour):
    lobe = r * 0.53
    for side in (-1, 1):
        x = cx + side * r * 0.46
        pen.ellipse((x - lobe, cy - r * 0.85, x + lobe, cy - r * 0.85 + 2 * lobe), fill=colour)
    pen.polygon([(cx - r * 0.93, cy - r * 0.1), (cx + r * 0.93, cy - r * 0.1), (cx, cy + r * 0.95)], fill=colour)


def _draw_cat(pen, cx, cy, r, colour):
    for side in (-1, 1):
        ear = [(cx + side * r * 0.92, cy - r), (cx + side * r * 0.86, cy), (cx + side * r * 0.15, cy - r * 0.5)]
        pen.polygon(ear, fill=colour)
    pen.ellipse((cx - r * 0.95, cy - r * 0.68, cx + r * 0.95, cy + r * 0.92), fill=colour)
    _draw_cat_face(pen, cx, cy, r)


def _draw_cat_face(pen, cx, cy, r):
    for side in (-1, 1):
        x, y, eye = cx + side * r * 0.42, cy - r * 0.02, r * 0.26
        pen.ellipse((x - eye, y - eye, x + eye, y + eye), fill=(250, 250, 250))
        pen.ellipse((x - eye * 0.55, y - eye * 0.75, x + eye * 0.55, y + eye * 0.75), fill=_INK)
    pen.polygon([(cx - r * 0.16, cy + r * 0.34), (cx + r * 0.16, cy + r * 0.34), (cx, cy + r * 0.54)], fill=_INK)


def _draw_mascot(pen, cx, cy, r):
    """A teal cat with a cream muzzle and a yellow star on its forehead: none of it is in the world."""
    cream, yellow = (250, 236, 206), (252, 214, 60)
    _draw_cat(pen, cx, cy, r, _MASCOT_TEAL)
    pen.ellipse((cx - r * 0.56, cy + r * 0.16, cx + r * 0.56, cy + r * 0.88), fill=cream)
    _draw_cat_face(pen, cx, cy, r)
    pen.polygon(_star_points(cx, cy - r * 0.46, r * 0.36), fill=yellow)


def _star_points(cx, cy, r):
    return [
        (
            cx + math.sin(i * math.pi / 5) * r * (1 if i % 2 == 0 else 0.45),
            cy - math.cos(i * math.pi / 5) * r * (1 if i % 2 == 0 else 0.45),
        )
        for i in range(10)
    ]


_PAINTERS = {
    "ball": _draw_ball,
    "box": _draw_box,
    "tent": _draw_tent,
    "star": _draw_star,
    "heart": _draw_heart,
    "cat": _draw_cat,
}
