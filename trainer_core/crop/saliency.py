"""Where a picture's subject probably is, from the pixels alone: no model, no download.

The main cue is what is closed off from the border. A picture's colours are cut at many levels; a region of such a
cut that touches no border is surrounded by something else, so it is likely a thing and not ground (Zhang and Sclaroff
2013, "Saliency Detection: A Boolean Map Approach"). Likeness to skin counts as one more colour channel, because
people are what most pictures are taken of. The sum is weighted by focus, since what a photographer means is sharp,
and by what breaks the spectrum's regularity (Hou and Zhang 2007, "Saliency Detection: A Spectral Residual Approach").
The less such a map says, the more the middle is trusted. All weights were measured by benchmarks/crop_quality.py on
seeds that it does not report.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

MAP_SIDE = 96
"""Pixels of the map's long side."""
_LEAST_SIDE = 8
_FINE = 3
"""Focus is measured on a picture so many times larger than the map."""

_LEVELS = 16
"""Cuts through each Lab channel, evenly from its least to its largest value."""
_LEAST_STEP = 1.5
"""Lab units between cuts. Less is not seen by people, and is mostly noise."""
_SKIN_LEVELS = 8
_SKIN_WEIGHT = 6.0
_ONE_SIDE_WORTH = 0.15
"""Of a region that touches one side of the picture, as people cut by the lower edge do."""
_LEAST_REGION = 0.005
"""Of the picture's area: smaller regions count by the part they have of this."""
_WITHIN_LEVEL = np.array([np.zeros((3, 3)), [[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.zeros((3, 3))])
_SPREAD = 1.5
"""Map pixels by which regions are blurred, as their outlines are not exact."""
_LEAST_PEAK = 1.0
"""Regions in sum. Below it there is only noise on an even ground."""

_SKIN_AB, _SKIN_AB_SPREAD = np.array([15.0, 19.0]), np.array([9.0, 11.0])
"""Lab a and b. Skin of all tones has about the same hue; it differs in lightness."""
_SKIN_DARKEST = 12.0
_SKIN_FULL = 32.0

_FLOOR = 0.3
"""What focus and spectrum leave at least; 1 + this at their strongest place."""
_FOCUS_SPREAD = 1.7
_RESIDUAL_SIDE = 64
_RESIDUAL_SPREAD = 2.5
_LEAST_AMPLITUDE = 1.0
"""Of 255 * 64 * 64. Weaker frequencies have no phase; taking it as 0 would light up the top left corner."""
_PRIOR = 45.0
"""The narrowness of the prior for the middle, for a map as high everywhere as at its peak."""


def importance_map(picture: Image.Image) -> np.ndarray:
    """How much each place of an RGB picture matters, as float64 (rows, columns) in 0..1, 96 on the long side.

    An even picture gives zeros. A mirrored or transposed picture gives the mirrored or transposed map.
    """
    fine, is_tall = _shrink(picture)
    small = _mean_of_blocks(fine)
    regions = ndimage.gaussian_filter(_closed_off(_lab(small / 255)), _SPREAD, mode="constant")
    if regions.max() <= _LEAST_PEAK:
        return np.zeros(regions.shape[:: -1 if is_tall else 1])
    weighted = regions * (_FLOOR + _focus(_grey(fine))) * (_FLOOR + _spectral_residual(_grey(small)))
    strength = weighted / weighted.max()
    importance = strength**2 * _middle(strength)
    return importance.T if is_tall else importance


def _shrink(picture: Image.Image) -> tuple[np.ndarray, bool]:
    """(rows, 288, 3) of 0..255, three times as large as the map and lying on its long side; whether it stood.

    Tall pictures are laid down because Pillow resizes one axis after the other and rounds in between.
    """
    picture = picture if picture.mode == "RGB" else picture.convert("RGB")
    long, short = max(picture.size), min(picture.size)
    columns, rows = _FINE * MAP_SIDE, _FINE * max(_LEAST_SIDE, round(MAP_SIDE * short / long))
    is_tall = picture.height > picture.width
    picture = _reduce(picture, (rows, columns) if is_tall else (columns, rows))
    if is_tall:
        picture = picture.transpose(Image.Transpose.TRANSPOSE)
    return np.asarray(picture.resize((columns, rows), Image.Resampling.BILINEAR), dtype=np.float64), is_tall


def _reduce(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Whole blocks of pixels averaged, as many as leave the picture at least `size`; what is over is cut off evenly.

    Much faster than resizing at once, and other than there a mirrored picture has the mirrored blocks.
    """
    across, down = (max(1, side // wanted) for side, wanted in zip(picture.size, size, strict=True))
    if across == down == 1:
        return picture
    width, height = picture.width // across * across, picture.height // down * down
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.reduce((across, down), (left, top, left + width, top + height))


def _mean_of_blocks(fine: np.ndarray) -> np.ndarray:
    """The mean of each 3 x 3 pixels."""
    rows, columns = fine.shape[0] // _FINE, fine.shape[1] // _FINE
    return fine.reshape(rows, _FINE, columns, _FINE, *fine.shape[2:]).mean((1, 3))


def _closed_off(lab: np.ndarray) -> np.ndarray:
    """(rows, columns): in how many cuts a place belongs to a region that is closed off from the border."""
    total = np.zeros(lab.shape[:2])
    for channel in np.moveaxis(lab, -1, 0):
        least, largest = channel.min(), channel.max()
        levels = min(_LEVELS, int((largest - least) / _LEAST_STEP) - 1)
        if levels > 0:
            total += _regions(channel, np.linspace(least, largest, levels + 2)[1:-1])
    return total + _SKIN_WEIGHT * _regions(_likeness_to_skin(lab), np.linspace(0, 1, _SKIN_LEVELS + 2)[1:-1])


def _regions(channel: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The worth of the regions above and below each level at each place, summed over the levels."""
    above = channel > levels[:, None, None]
    labels, count = ndimage.label(np.concatenate([above, ~above]), structure=_WITHIN_LEVEL)
    sides = np.zeros(count + 1)
    for side in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        touching = np.zeros(count + 1, dtype=bool)
        touching[side] = True
        sides += touching
    size = np.bincount(labels.ravel(), minlength=count + 1) / channel.size
    worth = np.where(sides == 0, 1.0, np.where(sides == 1, _ONE_SIDE_WORTH, 0.0)) * np.minimum(1, size / _LEAST_REGION)
    worth[0] = 0  # what is in no region at this level
    return worth.take(labels).sum(0)


def _likeness_to_skin(lab: np.ndarray) -> np.ndarray:
    distance = ((lab[..., 1:] - _SKIN_AB) / _SKIN_AB_SPREAD) ** 2
    is_lit = ((lab[..., 0] - _SKIN_DARKEST) / (_SKIN_FULL - _SKIN_DARKEST)).clip(0, 1)
    return ndimage.gaussian_filter(np.exp(-0.5 * distance.sum(-1)) * is_lit, 0.8, mode="nearest")


def _focus(grey: np.ndarray) -> np.ndarray:
    """Fine detail (the Laplacian of the larger picture) at each place of the map, 0..1."""
    detail = _mean_of_blocks(np.abs(ndimage.laplace(grey, mode="nearest")))
    return _to_one(ndimage.gaussian_filter(detail, _FOCUS_SPREAD, mode="nearest"))


def _spectral_residual(grey: np.ndarray) -> np.ndarray:
    """The log spectrum minus its local mean, back in the picture: places that the rest does not predict, 0..1."""
    spectrum = np.fft.fft2(_resized(grey, (_RESIDUAL_SIDE, _RESIDUAL_SIDE)))
    amplitude = np.abs(spectrum) + _LEAST_AMPLITUDE
    logarithm = np.log(amplitude)
    residual = logarithm - ndimage.uniform_filter(logarithm, 3, mode="wrap")
    unusual = np.abs(np.fft.ifft2(np.exp(residual) * spectrum / amplitude)) ** 2
    blurred = ndimage.gaussian_filter(unusual, _RESIDUAL_SPREAD, mode="nearest")
    return _to_one(_resized(blurred - blurred.min(), grey.shape))


def _middle(strength: np.ndarray) -> np.ndarray:
    """A Gaussian prior, the narrower the more evenly `strength` (0..1) is spread: then it says little by itself."""
    narrowness = _PRIOR * strength.mean() ** 2
    y, x = (np.linspace(-1, 1, 2 * side + 1)[1::2] for side in strength.shape)
    return np.exp(-0.5 * narrowness * (y[:, None] ** 2 + x[None, :] ** 2))


def _to_one(values: np.ndarray) -> np.ndarray:
    return values / max(values.max(), 1e-9)


def _resized(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    picture = Image.fromarray(values.astype(np.float32))
    return np.asarray(picture.resize(shape[::-1], Image.Resampling.BILINEAR), dtype=np.float64)


def _grey(rgb: np.ndarray) -> np.ndarray:
    return rgb @ np.array([0.299, 0.587, 0.114])


def _lab(rgb: np.ndarray) -> np.ndarray:
    """sRGB 0..1 to CIE Lab (D65), (rows, columns, 3)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.moveaxis(linear @ (to_xyz / to_xyz.sum(1, keepdims=True)).T, -1, 0)
    fx, fy, fz = (np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116) for t in (x, y, z))
    return np.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], axis=-1)
