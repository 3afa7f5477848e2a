"""Resizing as Pillow documents it, written a second time in NumPy, to hold preparations of pictures against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def bicubic(distance: np.ndarray) -> np.ndarray:
    """Keys' kernel with a = -0.5 (Keys 1981)."""
    x = np.abs(distance)
    inner, outer = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, inner, np.where(x < 2, outer, 0.0))


def lanczos(distance: np.ndarray) -> np.ndarray:
    """sinc windowed by a sinc three times as wide."""
    return np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0.0)


def resampled(pixels: np.ndarray, width: int, height: int, kernel: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """(height, width, 3) uint8 of (h, w, 3) uint8: across first, rounded, then down; wider kernels when shrinking."""
    across = _matrix(pixels.shape[1], width, kernel)
    down = _matrix(pixels.shape[0], height, kernel)
    rows = _rounded(np.einsum("ow,hwc->hoc", across, pixels.astype(float)))
    return _rounded(np.einsum("oh,hwc->owc", down, rows.astype(float)))


def _matrix(inputs: int, outputs: int, kernel: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """(outputs, inputs): each row the weights of one new pixel."""
    scale = inputs / outputs
    centres = (np.arange(outputs) + 0.5) * scale
    distances = (np.arange(inputs)[None] + 0.5 - centres[:, None]) / max(scale, 1.0)
    weights = kernel(distances)
    return weights / weights.sum(axis=1, keepdims=True)


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)
