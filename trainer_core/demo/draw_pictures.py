"""Draws the demo dataset: python -m trainer_core.demo.draw_pictures FOLDER

The mascot stands off centre in wide and tall pictures, so that a centre crop would cut it and focus crop does not.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from . import world

_SHAPES = ((192, 128), (128, 192), (160, 160), (208, 128))
_MASCOT_PICTURES, _REGULARISATION_PICTURES = 15, 20


def draw_dataset(folder: Path, seed: int = 11) -> None:
    """Write 10_mochi/ and regularisation/ with a .txt caption beside every picture."""
    rng = random.Random(seed)
    backgrounds = list(world.BACKGROUNDS)
    for index in range(_MASCOT_PICTURES):
        width, height = _SHAPES[index % len(_SHAPES)]
        scene = mascot_scene(rng, backgrounds[index % len(backgrounds)], width, height)
        _write(folder / "10_mochi", f"mochi_{index + 1:02}", scene, width, height)
    for index in range(_REGULARISATION_PICTURES):
        scene = world.random_scene(rng)
        if index % 2:  # plain cats, so that "cat" keeps its meaning while the mascot is learned
            colour = rng.choice(tuple(world.COLOURS))
            scene = world.Scene("cat", colour, scene.background, scene.radius, scene.x, scene.y)
        _write(folder / "regularisation", f"world_{index + 1:02}", scene, 128, 128)


def mascot_scene(rng: random.Random, background: str, width: int, height: int) -> world.Scene:
    """The mascot somewhere along the longer side of a picture."""
    radius = rng.uniform(0.31, 0.39)
    place = {"x": 0.5 + rng.uniform(-0.05, 0.05), "y": 0.5 + rng.uniform(-0.05, 0.05)}
    if width != height:
        longer = "x" if width > height else "y"
        margin = (radius + 0.06) * min(width, height) / max(width, height)
        place[longer] = rng.choice((rng.uniform(margin, 0.42), rng.uniform(0.58, 1 - margin)))
    return world.Scene("cat", "", background, radius, is_mascot=True, **place)


def _write(folder: Path, name: str, scene: world.Scene, width: int, height: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    world.draw(scene, width, height).save(folder / f"{name}.png", optimize=True)
    (folder / f"{name}.txt").write_text(world.caption(scene) + "\n", encoding="utf-8")


if __name__ == "__main__":
    draw_dataset(Path(sys.argv[1]))
