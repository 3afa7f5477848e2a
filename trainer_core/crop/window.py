"""The largest window of an aspect in a picture, and where along its free axis it should lie.

Windows lie in pixels of the upright picture. The same input always gives the same window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy import ndimage

from .saliency import importance_map

Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels of the picture."""

_POSITIONS = 321
_EDGE_COST = 0.06
"""For an edge through importance of the picture's mean density; edges belong in the background."""
_EDGE_WIDTH = 0.02
"""Of the axis: the spread of an edge, so that importance keeps a little distance from it."""
_OFFSET_COST = 0.02
_PLATEAU = 0.004
"""Scores this close to the best are equal; the middle of them leaves most room around the subject."""
_LEAST_GAIN = 0.03
"""Of what the middle lacks for a perfect score, for a map without doubt."""
_GAIN_PER_DOUBT = 2.5
_FAINT = 1e-6
"""Of the peak: what is fainter is not there."""
_MARGIN = 0.15
"""Of the subject's size, left around it on each side when the window closes in."""
_EYES = 0.4
"""Of a face's height, from its top."""


def center_window(width: int, height: int, aspect: float) -> Box:
    """The largest window with width / height = `aspect` in a width x height picture, in its middle."""
    return _window_at(width, height, aspect, 0.5)


def focus_window(picture: Image.Image, aspect: float) -> Box:
    """The largest window of `aspect` that holds the subject of an RGB picture, uncut where that is possible.

    Equal to `center_window` where the picture gives no reason to leave the middle.
    """
    return window_around(importance_map(picture), picture.width, picture.height, aspect)


def window_around(importance: np.ndarray, width: int, height: int, aspect: float) -> Box:
    """The largest window of `aspect` in a width x height picture that holds most of `importance`.

    `importance` is any non-negative (rows, columns) map of the picture, at any resolution: saliency, a mask, or boxes
    drawn as ones. Where a window can hold all of it, it does. Otherwise it leaves the middle only for a clear gain:
    the more doubtful the map, that is the more of it is neither nothing nor as high as its peak, the more it takes.
    """
    left, top, right, bottom = center_window(width, height, aspect)
    is_horizontal = right - left < width
    share = (right - left) / width if is_horizontal else (bottom - top) / height
    profile = importance.sum(0 if is_horizontal else 1)
    if share == 1 or profile.sum() <= 0:
        return left, top, right, bottom
    return _window_at(width, height, aspect, _best_start(profile, share, _doubt(importance)) / (1 - share))


def window_for_boxes(faces: Sequence[Box], width: int, height: int, aspect: float) -> Box:
    """The largest window of `aspect` around the heads of faces, the most important first.

    It holds as many heads as fit, in order. Across, they are in its middle; upright, the first one's eyes are on the
    upper third, or as near to it as lets the heads in. Where even the first head does not fit, the same holds for its
    face. The centre window if there are no faces.
    """
    left, top, right, bottom = center_window(width, height, aspect)
    across, down = right - left, bottom - top
    if not faces:
        return left, top, right, bottom
    held = faces[0]
    for box in (head_box(face, width, height) for face in faces):
        both = _union(held, box)
        if both[2] - both[0] <= across and both[3] - both[1] <= down:
            held = both
    x = (held[0] + held[2] - across) / 2
    y = faces[0][1] + _EYES * (faces[0][3] - faces[0][1]) - down / 3
    if held[3] - held[1] <= down:
        y = max(held[3] - down, min(y, held[1]))
    return _inside(x, y, across, down, width, height)


def kept_share(importance: np.ndarray, width: int, height: int, box: Box) -> float:
    """The share of all `importance` of a width x height picture that lies in `box`, 0 to 1; 1 where there is none.

    A cell of the map that the box cuts counts by the part of it inside.
    """
    total = importance.sum()
    if total <= 0:
        return 1.0
    rows = _covered(importance.shape[0], box[1] / height, box[3] / height)
    columns = _covered(importance.shape[1], box[0] / width, box[2] / width)
    return min(1.0, float(rows @ importance @ columns / total))


def tight_window(subject: Box, width: int, height: int, aspect: float, least_width: int, least_height: int) -> Box:
    """The window of `aspect` that closes in on a subject: its box and 15 % more on each side.

    Never smaller than `least_width` x `least_height`, so that training enlarges nothing, and never larger than the
    largest window of that aspect; moved to lie inside the picture.
    """
    left, top, right, bottom = center_window(width, height, aspect)
    wanted_width = max((subject[2] - subject[0]) * (1 + 2 * _MARGIN), least_width)
    wanted_height = max((subject[3] - subject[1]) * (1 + 2 * _MARGIN), least_height)
    across = math.ceil(max(wanted_width, wanted_height * aspect) - 1e-6)
    down = max(1, least_height, round(across / aspect))
    if across > right - left or down > bottom - top:
        across, down = right - left, bottom - top
    x, y = (subject[0] + subject[2] - across) / 2, (subject[1] + subject[3] - down) / 2
    return _inside(x, y, across, down, width, height)


def head_box(face: Box, width: int, height: int) -> Box:
    """The head of a face, with hair, hat, chin and neck, as far as it lies in a width x height picture."""
    left, top, right, bottom = face
    across, down = right - left, bottom - top
    return (
        max(0, round(left - 0.35 * across)), max(0, round(top - 0.6 * down)),
        min(width, round(right + 0.35 * across)), min(height, round(bottom + 0.6 * down)),
    )  # fmt: skip


def _window_at(width: int, height: int, aspect: float, position: float) -> Box:
    """`position` 0 puts the window at the left (top) end of its free axis, 1 at the other."""
    if width > height * aspect:
        length = min(width, max(1, round(height * aspect)))
        start = round((width - length) * position)
        return start, 0, start + length, height
    length = min(height, max(1, round(width / aspect)))
    start = round((height - length) * position)
    return 0, start, width, start + length


def _inside(x: float, y: float, across: int, down: int, width: int, height: int) -> Box:
    """A window of that size at x, y, moved into the picture where it would reach out."""
    left, top = max(0, min(round(x), width - across)), max(0, min(round(y), height - down))
    return left, top, left + across, top + down


def _union(one: Box, other: Box) -> Box:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _doubt(importance: np.ndarray) -> float:
    """0 for a mask, at most 0.25. Roots, because a saliency map is squared to make its peaks win."""
    strength = np.sqrt(importance / importance.max())
    return float((strength * (1 - strength)).mean())


def _best_start(profile: np.ndarray, share: float, doubt: float) -> float:
    """Where a window that is `share` of the axis long should begin; the axis runs 0 .. 1."""
    first, last = _starts_that_hold_all(profile, share)
    holds_all = first <= last
    starts = np.linspace(first, last, _POSITIONS) if holds_all else np.linspace(0, 1 - share, _POSITIONS)
    scores = _scores(profile, starts, share)
    middle = (1 - share) / 2
    best = _middle_of_plateau(starts, scores, middle)
    if holds_all:
        return best
    reached, lacking = _scores(profile, np.array([best, middle]), share)
    needed = (_LEAST_GAIN + _GAIN_PER_DOUBT * doubt) * (1 - lacking)
    return best if reached - lacking >= needed else middle


def _starts_that_hold_all(profile: np.ndarray, share: float) -> tuple[float, float]:
    """The first and last start of a window with all importance in it; the first is larger if there is none."""
    cells = np.flatnonzero(profile > _FAINT * profile.max())
    return max(0.0, (cells[-1] + 1) / len(profile) - share), min(1 - share, cells[0] / len(profile))


def _scores(profile: np.ndarray, starts: np.ndarray, share: float) -> np.ndarray:
    """What each window captures (1 is everything), less for importance under its edges and for leaving the middle."""
    spread = ndimage.gaussian_filter1d(profile, _EDGE_WIDTH * len(profile), mode="constant")
    cut = _density_at_cut(spread, starts) + _density_at_cut(spread, starts + share)
    offset = 2 * starts / (1 - share) - 1
    return _captured(profile, starts, share) - _EDGE_COST * cut - _OFFSET_COST * offset**2


def _captured(profile: np.ndarray, starts: np.ndarray, share: float) -> np.ndarray:
    """The part of all importance in windows that begin at `starts`; axis and importance both run 0 .. 1."""
    total = np.concatenate([[0.0], np.cumsum(profile)]) / profile.sum()
    ends = np.linspace(0, 1, len(total))
    return np.interp(starts + share, ends, total) - np.interp(starts, ends, total)


def _density_at_cut(profile: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Importance per length at `places` (mean 1); zero at the picture's own borders, where nothing is cut."""
    middles = (np.arange(len(profile)) + 0.5) / len(profile)
    density = np.interp(places, middles, profile / profile.mean())
    return np.where((places > 1e-9) & (places < 1 - 1e-9), density, 0.0)


def _middle_of_plateau(starts: np.ndarray, scores: np.ndarray, middle: float) -> float:
    """The middle of the run of nearly best scores; of several runs the one nearest to `middle`."""
    level = scores >= scores.max() - _PLATEAU
    edges = np.flatnonzero(np.diff(np.concatenate([[False], level, [False]])))
    runs = [(starts[first] + starts[end - 1]) / 2 for first, end in zip(edges[::2], edges[1::2], strict=True)]
    return float(min(runs, key=lambda start: abs(start - middle)))


def _covered(cells: int, start: float, end: float) -> np.ndarray:
    """How much of each of `cells` equal parts of 0 .. 1 lies between start and end."""
    edges = np.linspace(0, 1, cells + 1)
    return (np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)).clip(0) * cells
