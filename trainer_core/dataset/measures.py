"""What can be measured on a picture's pixels: hashes that find duplicates, sharpness, brightness, bars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.fft import dct

DARK = 16
"""Grey levels below this, of 0 to 255, are all but black."""
BRIGHT = 240
"""Grey levels above this are all but white."""
_WORKING_SIDE = 512
_HASH_SIDE = 8
_TILES = 8
_GREY_SIDE = 64
_LEAST_COLOUR = 6
"""Largest difference between a grey pixel's channels that JPEG's rounding makes."""
_EVEN_ROW = 2.0
"""Standard deviation in grey levels below which a row is one colour."""
_SAME_LEVEL = 3.0
_BAR_EDGE = 8.0
_BAR_EDGE_SHARE = 0.8


@dataclass(frozen=True, kw_only=True, slots=True)
class Measures:
    """Numbers of one picture, kept with it so that the health report need not open files again."""

    phash: str
    """64 bits as 16 hex digits: signs of the lowest 8 x 8 DCT frequencies of the 32 x 32 grey picture."""
    mirrored_phash: str
    """The same of the mirrored picture."""
    dhash: str
    """64 bits: whether each of 9 x 8 grey cells is brighter than its left neighbour."""
    mirrored_dhash: str
    sharpness: float
    """90th percentile of the Laplacian's energy over 8 x 8 tiles, at 512 pixels; below 30 is blurred."""
    luma: float
    """Mean brightness, 0 to 255."""
    dark_share: float
    """Share of pixels below 16."""
    bright_share: float
    """Share of pixels above 240."""
    contrast: float
    """Standard deviation of the brightness, 0 for a flat colour."""
    is_grey: bool
    bars: float
    """Largest share of a side that is one even bar along the border (letterbox), 0 to 1."""


def measure(picture: Image.Image) -> Measures:
    """Measure an RGB picture of any size. About 10 ms for a million pixels."""
    grey = picture.convert("L")
    small = _shrunk(grey)
    working = np.asarray(small, dtype=np.float32)
    hash_cells = np.asarray(grey.resize((4 * _HASH_SIDE, 4 * _HASH_SIDE), Image.Resampling.LANCZOS))
    steps = np.asarray(small.resize((_HASH_SIDE + 1, _HASH_SIDE), Image.Resampling.LANCZOS))
    levels = np.asarray(grey.histogram()) / (grey.width * grey.height)
    luma, contrast = _mean_and_deviation(levels)
    return Measures(
        phash=_phash(hash_cells),
        mirrored_phash=_phash(hash_cells[:, ::-1]),
        dhash=_dhash(steps),
        mirrored_dhash=_dhash(steps[:, ::-1]),
        sharpness=round(_sharpness(working), 1),
        luma=round(luma, 2),
        dark_share=round(float(levels[:DARK].sum()), 4),
        bright_share=round(float(levels[BRIGHT + 1 :].sum()), 4),
        contrast=round(contrast, 2),
        is_grey=_is_grey(picture),
        bars=round(_bars(working), 3),
    )


def _shrunk(grey: Image.Image) -> Image.Image:
    """512 pixels on the long side; a smaller picture as it is, since enlarging would pass for blur."""
    scale = _WORKING_SIDE / max(grey.size)
    if scale >= 1:
        return grey
    size = (max(1, round(grey.width * scale)), max(1, round(grey.height * scale)))
    return grey.resize(size, Image.Resampling.LANCZOS, reducing_gap=1.0)


def _phash(cells: np.ndarray) -> str:
    """The perceptual hash as ImageHash computes it (median of all 64 coefficients), of 32 x 32 grey cells."""
    frequencies = dct(dct(cells, axis=0), axis=1)[:_HASH_SIDE, :_HASH_SIDE]
    return _hex(frequencies > np.median(frequencies))


def _dhash(cells: np.ndarray) -> str:
    """The difference hash of 8 rows of 9 grey cells."""
    return _hex(cells[:, 1:] > cells[:, :-1])


def _hex(bits: np.ndarray) -> str:
    return np.packbits(bits).tobytes().hex()


def _mean_and_deviation(levels: np.ndarray) -> tuple[float, float]:
    """Of a histogram (256,) of shares."""
    values = np.arange(256)
    mean = float(levels @ values)
    return mean, float(levels @ (values - mean) ** 2) ** 0.5


def _sharpness(grey: np.ndarray) -> float:
    """The sharpest tenth of the tiles decides: a portrait before a blurred background is sharp."""
    padded = np.pad(grey, 1, mode="edge")
    neighbours = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    energy = (4 * grey - neighbours) ** 2
    rows, columns = (np.linspace(0, side, min(_TILES, side) + 1).astype(int) for side in grey.shape)
    sums = np.add.reduceat(np.add.reduceat(energy, rows[:-1], axis=0), columns[:-1], axis=1)
    return float(np.percentile(sums / np.outer(np.diff(rows), np.diff(columns)), 90))


def _is_grey(picture: Image.Image) -> bool:
    factor = max(1, min(picture.size) // _GREY_SIDE)
    pixels = np.asarray(picture.reduce(factor), dtype=np.int16)
    return bool((pixels.max(-1) - pixels.min(-1)).max() <= _LEAST_COLOUR)


def _bars(grey: np.ndarray) -> float:
    """The thickest bar as a share of its side; 0 if the borders are parts of the picture.

    A bar is even, ends along a straight line, and is black, white, or has its like at the opposite border: a
    sky over a horizon is none.
    """
    return max(_bar_pair(grey), _bar_pair(grey.T))


def _bar_pair(grey: np.ndarray) -> float:
    """The thicker of the bars at the top and at the bottom, as a share of the height."""
    bars = [(_bar(rows), float(rows[0].mean())) for rows in (grey, grey[::-1])]
    (top, top_level), (bottom, bottom_level) = bars
    if top and bottom and abs(top_level - bottom_level) <= _SAME_LEVEL:
        return max(top, bottom) / len(grey)
    return max((rows for rows, level in bars if level < DARK or level > BRIGHT), default=0) / len(grey)


def _bar(rows: np.ndarray) -> int:
    """How many rows from the first on are one even bar with a straight end; 0 for none, and beyond half."""
    half = rows[: len(rows) // 2]
    if not len(half) or half[0].std() >= _EVEN_ROW:
        return 0
    level = half[0].mean()
    is_bar = (half.std(axis=1) < _EVEN_ROW) & (np.abs(half.mean(axis=1) - level) < _SAME_LEVEL)
    if is_bar.all():
        return 0
    height = int(is_bar.argmin())
    beyond = rows[height : height + 3]  # shrinking and JPEG spread an edge over a few rows
    is_edge = (np.abs(beyond - level) > _BAR_EDGE).any(axis=0).mean() >= _BAR_EDGE_SHARE
    return height if is_edge else 0
