"""Aspect buckets: picture sizes of nearly equal area, so that wide and tall pictures train without heavy
cropping.

The list is the one kohya's sd-scripts makes, so that a dataset falls into the same buckets here as there.
"""

from __future__ import annotations

import math

from ..errors import TrainingError


def bucket_sizes(
    width: int, height: int, *, step: int = 64, smallest: int | None = None, largest: int | None = None
) -> tuple[tuple[int, int], ...]:
    """All (width, height) in pixels, sorted, whose area is at most width * height and whose sides divide by
    `step`.

    `smallest` and `largest` limit the sides; unset they are half the smaller and twice the larger given side.
    A limit of less than twice the larger side would shrink wide pictures far below the wanted area.

    Raises:
        TrainingError: `step` is not 8, 16, .. 64, or the limits leave no size.
    """
    if step % 8 or not 8 <= step <= 64:
        raise TrainingError(f"the bucket step is {step}. Choose 8, 16, 24, 32, 40, 48, 56 or 64.")
    smallest = smallest or _rounded(min(width, height) / 2, step)
    largest = largest or 2 * max(width, height)
    area = width * height
    square = math.isqrt(area) // step * step
    sizes = {(square, square)} if smallest <= square <= largest else set()
    for side in range(smallest, largest + 1, step):
        other = min(largest, area // side // step * step)
        if other >= smallest:
            sizes |= {(side, other), (other, side)}
    if not sizes:
        raise TrainingError(
            f"no bucket of {width} x {height} has sides from {smallest} to {largest} in steps of {step}. "
            "Choose a smaller step or wider limits."
        )
    return tuple(sorted(sizes))


def nearest_bucket(width: int, height: int, buckets: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    """The bucket whose aspect is nearest to that of a width x height picture; the larger one of two equals.

    Aspects are compared as logarithms: the plain difference of width / height treats tall pictures worse than
    wide.
    """

    def distance(bucket: tuple[int, int]) -> tuple[float, int]:
        difference = abs(math.log(bucket[0] / bucket[1]) - math.log(width / height))
        return round(difference, 9), -bucket[0] * bucket[1]

    return min(buckets, key=distance)


def _rounded(length: float, step: int) -> int:
    return max(step, round(length / step) * step)
