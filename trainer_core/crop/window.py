"""The largest window of an aspect in a picture, and where along its free axis it should lie."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .saliency import importance_map

Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels of the picture."""

_POSITIONS = 81
_EDGE_COST = 0.06
"""For an edge through importance of the picture's mean density; edges belong in the background."""
_OFFSET_COST = 0.02
_PLATEAU = 0.004
"""Scores this close to the best are equal; the middle of them leaves most room around the subject."""
_LEAST_GAIN = 0.03
_MARGIN = 0.15
"""Of the subject's size, left around it on each side when the window closes in."""


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

    `importance` is any non-negative (rows, columns) map of the picture, at any resolution: saliency, a mask,
    or boxes drawn as ones. It leaves the middle only if that captures at least 3 % more.
    """
    left, top, right, bottom = center_window(width, height, aspect)
    is_horizontal = right - left < width
    share = (right - left) / width if is_horizontal else (bottom - top) / height
    profile = importance.sum(0 if is_horizontal else 1)
    if share == 1 or profile.sum() <= 0:
        return left, top, right, bottom
    return _window_at(width, height, aspect, _best_position(profile, share))


def kept_share(importance: np.ndarray, width: int, height: int, box: Box) -> float:
    """The share of all `importance` of a width x height picture that lies in `box`, 0 to 1; 1 where there is none."""
    total = importance.sum()
    if total <= 0:
        return 1.0
    rows = _covered(importance.shape[0], box[1] / height, box[3] / height)
    columns = _covered(importance.shape[1], box[0] / width, box[2] / width)
    return min(1.0, float(rows @ importance @ columns / total))


def tight_window(
    subject: Box, width: int, height: int, aspect: float, least_width: int, least_height: int
) -> Box:
    """The window of `aspect` that closes in on a subject: its box and 15 % more on each side.

    Never smaller than `least_width` x `least_height`, so that training enlarges nothing, and never larger than the
    largest window of that aspect; moved to lie inside the picture.
    """
    left, top, right, bottom = center_window(width, height, aspect)
    wanted_width = (subject[2] - subject[0]) * (1 + 2 * _MARGIN)
    wanted_height = (subject[3] - subject[1]) * (1 + 2 * _MARGIN)
    across = max(wanted_width, wanted_height * aspect, least_width, least_height * aspect)
    if across >= right - left:
        across, down = right - left, bottom - top
    else:
        across, down = round(across), max(1, min(height, round(across / aspect)))
    x = round((subject[0] + subject[2] - across) / 2)
    y = round((subject[1] + subject[3] - down) / 2)
    x, y = max(0, min(x, width - across)), max(0, min(y, height - down))
    return x, y, x + across, y + down


def head_box(face: Box, width: int, height: int) -> Box:
    """The head of a face, with hair, hat, chin and neck: half as high again above the face and below it."""
    left, top, right, bottom = face
    across, down = right - left, bottom - top
    return (
        max(0, round(left - 0.35 * across)), max(0, round(top - 0.6 * down)),
        min(width, round(right + 0.35 * across)), min(height, round(bottom + 0.6 * down)),
    )  # fmt: skip


def _covered(cells: int, start: float, end: float) -> np.ndarray:
    """How much of each of `cells` equal parts of 0 .. 1 lies between start and end."""
    edges = np.linspace(0, 1, cells + 1)
    return (np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)).clip(0) * cells


def _window_at(width: int, height: int, aspect: float, position: float) -> Box:
    """`position` 0 puts the window at the left (top) end of its free axis, 1 at the other."""
    if width > height * aspect:
        length = min(width, max(1, round(height * aspect)))
        start = round((width - length) * position)
        return start, 0, start + length, height
    length = min(height, max(1, round(width / aspect)))
    start = round((height - length) * position)
    return 0, start, width, start + length


def _best_position(profile: np.ndarray, share: float) -> float:
    """Where a window that is `share` of the axis long should lie, 0 .. 1."""
    positions = np.linspace(0, 1, _POSITIONS)
    starts = positions * (1 - share)
    captured = _captured(profile, starts, share)
    cut = _density_at_cut(profile, starts) + _density_at_cut(profile, starts + share)
    scores = captured - _EDGE_COST * cut - _OFFSET_COST * (2 * positions - 1) ** 2
    best = _middle_of_plateau(scores)
    gained = _captured(profile, (starts[0] + best * (1 - share))[None], share)[0] - captured[_POSITIONS // 2]
    return best if gained >= _LEAST_GAIN * captured[_POSITIONS // 2] else 0.5


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


def _middle_of_plateau(scores: np.ndarray) -> float:
    """The middle of the run of nearly best scores; of several runs the one nearest to the centre."""
    level = scores >= scores.max() - _PLATEAU
    edges = np.flatnonzero(np.diff(np.concatenate([[False], level, [False]])))
    runs = [(first + last) / 2 / (len(scores) - 1) for first, last in zip(edges[::2], edges[1::2] - 1, strict=True)]
    return min(runs, key=lambda middle: abs(middle - 0.5))
