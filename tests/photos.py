"""Pictures that look like photographs to a hash, drawn from a seed, and dataset entries with made-up measures."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from trainer_core.dataset.measures import Measures
from trainer_core.dataset.types import DatasetImage


def photo(seed: int, width: int = 256, height: int = 256) -> Image.Image:
    """Shapes in many colours with grain on them: sharp, of middle brightness, unlike any other seed's."""
    draw = random.Random(seed)
    picture = Image.new("RGB", (width, height), tuple(draw.randrange(40, 220) for _ in range(3)))
    pen = ImageDraw.Draw(picture)
    for _ in range(24):
        x, y = draw.uniform(-0.2, 1) * width, draw.uniform(-0.2, 1) * height
        box = (x, y, x + draw.uniform(0.1, 0.5) * width, y + draw.uniform(0.1, 0.5) * height)
        shape = draw.choice((pen.ellipse, pen.rectangle))
        shape(box, fill=tuple(draw.randrange(20, 236) for _ in range(3)))
    grain = np.random.default_rng(seed).normal(0, 8, (height, width, 1))
    return Image.fromarray((np.asarray(picture) + grain).clip(0, 255).astype(np.uint8))


def measures(seed: int = 0, **changed) -> Measures:
    """Those of an inconspicuous picture that is like no other seed's."""
    bits = random.Random(seed).getrandbits
    values = {name: f"{bits(64):016x}" for name in ("phash", "mirrored_phash", "dhash", "mirrored_dhash")}
    numbers = {
        "sharpness": 500.0, "luma": 60.0 + 37 * seed % 120, "dark_share": 0.0, "bright_share": 0.0, "contrast": 40.0,
        "is_grey": False, "bars": 0.0,
    }  # fmt: skip
    return Measures(**{**values, **numbers, **changed})


def entry(name: str, seed: int | None = None, *, measured: dict | None = None, **changed) -> DatasetImage:
    """A healthy picture of a dataset, 512 x 512, with a caption of its own; its seed follows from its name."""
    seed = zlib.crc32(name.encode()) if seed is None else seed
    values = {
        "path": Path("/pictures/set") / name,
        "width": 512,
        "height": 512,
        "caption": f"mychar, scene {seed}",
        "caption_source": f"{Path(name).stem}.txt",
        "repeats": 1,
        "is_regularisation": False,
        "fingerprint": f"fingerprint of {name}",
        "measures": measures(seed, **(measured or {})),
    }
    return DatasetImage(**{**values, **changed})


def healthy(count: int) -> list[DatasetImage]:
    return [entry(f"ok{number}.png", seed=1000 + number) for number in range(count)]
