"""Does a picture show what its prompt says? A judge for the drawn world, so that the demo base's quality is a number.

python -m trainer_core.demo.judge [SHEET.png]     # draws every object and colour, counts what came out right
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from ..files import write_picture
from ..sampling import PictureRequest, preview
from ..sheets import Tile, captioned_sheet
from . import DEMO_BASE, world

_SHAPE_SIDE = 24


def judge(image: Image.Image, scene: world.Scene) -> dict[str, bool]:
    """Whether background, colour and object of a square picture are those of `scene`."""
    pixels_HWC = np.asarray(image.convert("RGB")).astype(float)
    corners = np.concatenate([pixels_HWC[:2].reshape(-1, 3), pixels_HWC[-2:].reshape(-1, 3)])
    background = np.median(corners, axis=0)
    mask_HW = np.abs(pixels_HWC - background).max(axis=2) > 40
    if mask_HW.sum() < 0.03 * mask_HW.size:
        return {"background": False, "colour": False, "object": False}
    colour = np.median(pixels_HWC[mask_HW], axis=0)
    return {
        "background": _nearest(background, world.BACKGROUNDS) == scene.background,
        "colour": _nearest(colour, world.COLOURS) == scene.colour,
        "object": _object_of(mask_HW) == scene.object,
    }


def _nearest(colour: np.ndarray, palette: dict[str, tuple[int, int, int]]) -> str:
    return min(palette, key=lambda name: float(np.abs(colour - np.array(palette[name])).sum()))


def _object_of(mask_HW: np.ndarray) -> str:
    """The object whose outline, fitted to the same box, overlaps the mask best."""
    shape = _boxed(mask_HW)
    outlines = {name: _outline(name) for name in world.OBJECTS}
    return max(outlines, key=lambda name: (shape & outlines[name]).sum() / (shape | outlines[name]).sum())


def _outline(name: str) -> np.ndarray:
    picture = world.draw(world.Scene(name, "red", "white"), 96)
    return _boxed(np.abs(np.asarray(picture).astype(float) - world.BACKGROUNDS["white"]).max(axis=2) > 40)


def _boxed(mask_HW: np.ndarray) -> np.ndarray:
    """The mask's bounding box, at a fixed size."""
    rows, columns = np.nonzero(mask_HW.any(axis=1))[0], np.nonzero(mask_HW.any(axis=0))[0]
    box = Image.fromarray(mask_HW[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    return np.asarray(box.resize((_SHAPE_SIDE, _SHAPE_SIDE)))


def main(sheet: Path) -> None:
    rng = random.Random(0)
    scenes = [
        world.Scene(name, colour, rng.choice(tuple(world.BACKGROUNDS)))
        for name in world.OBJECTS
        for colour in world.COLOURS
    ]
    requests = [
        PictureRequest(prompt=world.caption(scene), width=32, height=32, steps=25, cfg=4.0, sampler="ddim", seed=i)
        for i, scene in enumerate(scenes)
    ]
    pictures = list(preview(None, DEMO_BASE, requests))
    verdicts = [judge(picture, scene) for picture, scene in zip(pictures, scenes, strict=True)]
    for part in ("background", "colour", "object"):
        print(f"{part}: {sum(verdict[part] for verdict in verdicts)} of {len(verdicts)} right")
    print(f"all three: {sum(all(verdict.values()) for verdict in verdicts)} of {len(verdicts)}")
    tiles = []
    for scene, picture, verdict in zip(scenes, pictures, verdicts, strict=True):
        wrong = [part for part, is_right in verdict.items() if not is_right]
        large = picture.resize((128, 128), Image.Resampling.NEAREST)
        tiles.append(Tile(large, (world.caption(scene), f"wrong: {', '.join(wrong)}" if wrong else "right")))
    write_picture(sheet, captioned_sheet(tiles, columns=len(world.COLOURS), cell=160))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo-base-sheet.png"))
