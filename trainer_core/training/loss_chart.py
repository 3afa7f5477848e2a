"""The loss of a run as a picture: every step faint, a running mean on top, epochs marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

from PIL import Image, ImageDraw

from ..lettering import font_for

_BACKGROUND, _GRID, _TEXT = (24, 26, 32), (52, 56, 66), (200, 204, 212)
_RAW, _SMOOTH = (78, 92, 118), (255, 170, 64)
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 32, 48, 44
_OVERSAMPLING = 2
_LOSS_TICKS, _STEP_TICKS = 6, 8
_TOUCHES = 1e-9
"""Steps that a tick may lie outside of its range, which is no more than the rounding of floats."""


def loss_chart(
    losses: Sequence[float], *, epoch_steps: Sequence[int] = (), title: str = "loss", size: tuple[int, int] = (960, 480)
) -> Image.Image:
    """Draw the loss of each step.

    Args:
        losses: one value a step; values that are not finite leave a gap.
        epoch_steps: the last step of each epoch, drawn as fine vertical lines.
        size: (width, height) in pixels.
    """
    scale = _OVERSAMPLING
    width, height = size[0] * scale, size[1] * scale
    image = Image.new("RGB", (width, height), _BACKGROUND)
    pen = ImageDraw.Draw(image)
    frame = (_LEFT * scale, _TOP * scale, width - _RIGHT * scale, height - _BOTTOM * scale)
    smooth = running_mean(losses)
    low, high = _range(losses, smooth)
    _draw_axes(pen, frame, low, high, len(losses), epoch_steps)
    raw_points = _points(losses, frame, low, high)
    _draw_line(pen, raw_points, _RAW, scale)
    _draw_line(pen, _points(smooth, frame, low, high), _SMOOTH, 2 * scale)
    _write(pen, (frame[0], 12 * scale), title, 18 * scale)
    if smooth:
        last = f"last {smooth[-1]:.4f}   lowest {min(smooth):.4f}   {len(losses):,} steps"
        _write(pen, (frame[2], 15 * scale), last, 14 * scale, anchor="ra")
    return image.resize(size, Image.Resampling.LANCZOS)


def running_mean(losses: Sequence[float]) -> list[float]:
    """Exponential mean over about a twentieth of the run, without the usual pull towards its start value."""
    keep = 1 - 1 / max(2.0, len(losses) / 20)
    mean, weight, found = 0.0, 0.0, []
    for loss in losses:
        if loss == loss and abs(loss) != float("inf"):
            mean, weight = keep * mean + (1 - keep) * loss, keep * weight + (1 - keep)
        found.append(mean / weight if weight else 0.0)
    return found


def round_ticks(low: float, high: float, *, most: int) -> list[float]:
    """The round numbers from `low` to `high`: multiples of 1, 2, 2.5 or 5 times a power of ten.

    Args:
        most: of them, at least 2; the finest step that gives no more is taken.
    """
    if low == high:
        return [float(low)]
    finest = math.floor(math.log10((high - low) / most))
    for power, factor in product((finest, finest + 1), (1, 2, 2.5, 5)):
        step = factor * 10.0**power
        first, last = math.ceil(low / step - _TOUCHES), math.floor(high / step + _TOUCHES)
        if last - first < most:
            break
    return [float(f"{number * step:.9g}") for number in range(first, last + 1)]


def _range(losses: Sequence[float], smooth: Sequence[float]) -> tuple[float, float]:
    """Bounds of the vertical axis: all of the mean, and all but the wildest of the single steps."""
    finite = sorted(loss for loss in losses if loss == loss and abs(loss) != float("inf"))
    if not finite:
        return 0.0, 1.0
    low, high = finite[0], max(finite[int(0.98 * (len(finite) - 1))], max(smooth))
    margin = 0.05 * (high - low) or max(0.05 * abs(high), 1e-6)
    return max(0.0, low - margin), high + margin


def _points(values, frame, low, high):
    left, top, right, bottom = frame
    across = max(1, len(values) - 1)
    for index, value in enumerate(values):
        share = min(1.05, (value - low) / (high - low)) if value == value else None
        x = left + (right - left) * index / across
        yield None if share is None else (x, max(top, bottom - (bottom - top) * share))


def _draw_line(pen, points, colour, width):
    run = []
    for point in [*points, None]:
        if point is not None:
            run.append(point)
            continue
        if len(run) > 1:
            pen.line(run, fill=colour, width=width, joint="curve")
        elif run:
            (x, y), r = run[0], width * 1.5
            pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        run = []


def _draw_axes(pen, frame, low, high, steps, epoch_steps):
    left, top, right, bottom = frame
    size = 13 * _OVERSAMPLING
    pen.line((left, bottom, right, bottom), fill=_GRID, width=_OVERSAMPLING)
    for loss in round_ticks(low, high, most=_LOSS_TICKS):
        y = bottom - (bottom - top) * (loss - low) / (high - low)
        pen.line((left, y, right, y), fill=_GRID, width=_OVERSAMPLING)
        _write(pen, (left - 8 * _OVERSAMPLING, y), f"{loss:g}", size, anchor="rm")
    across = (right - left) / max(1, steps - 1)
    if len(epoch_steps) <= 60:
        for step in epoch_steps:
            x = left + across * max(0, step - 1)
            pen.line((x, bottom, x, bottom + 5 * _OVERSAMPLING), fill=_TEXT, width=_OVERSAMPLING)
    for step in round_ticks(1, steps, most=_STEP_TICKS) if steps else ():
        if step.is_integer():
            place = (left + across * (step - 1), bottom + 10 * _OVERSAMPLING)
            _write(pen, place, f"{int(step):,}", size, anchor="ma")


def _write(pen, place, text, size, anchor="la"):
    pen.text(place, text, fill=_TEXT, font=font_for(text, size), anchor=anchor)
