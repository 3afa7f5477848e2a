"""Aspect buckets: picture sizes of nearly equal area, so that wide and tall pictures train without heavy
cropping.

The list is the one kohya's sd-scripts makes, so that a dataset falls into the same buckets here as there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

from ..errors import TrainingError

_KOHYAS_SMALLEST = 256
_CLOSE_ASPECT = 0.1
"""Of the logarithm, so about 10 %: shapes this near are taken for the same, and the larger one wins."""


def bucket_sizes(
    width: int, height: int, *, step: int = 64, smallest: int | None = None, largest: int | None = None
) -> tuple[tuple[int, int], ...]:
    """All (width, height) in pixels, sorted, whose area is at most width * height and whose sides divide by
    `step`.

    `smallest` and `largest` limit the sides; where `step` does not divide them the next size beyond that it divides is
    the limit, as in sd-scripts. Unset they are half the smaller given side, but at most 256 pixels, and twice the
    larger one. A limit of less than twice the larger side would shrink wide pictures far below the wanted area.

    Raises:
        TrainingError: the limits leave no size.
    """
    smallest = max(
        step, (smallest or min(_KOHYAS_SMALLEST, round(min(width, height) / 2 / step) * step)) // step * step
    )
    largest = -(-largest // step) * step if largest else 2 * max(width, height) // step * step
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


@lru_cache(maxsize=10_000)
def bucket_within(width: int, height: int, bucket: tuple[int, int], step: int) -> tuple[int, int]:
    """The largest size of nearly `bucket`'s aspect that a width x height picture fills without being enlarged.

    Sides divide by `step`, which is also the least side there is. `bucket` itself if the picture fills it.
    """
    if width >= bucket[0] and height >= bucket[1]:
        return bucket
    aspect = bucket[0] / bucket[1]
    most_columns, most_rows = (
        max(1, min(side, limit) // step) for side, limit in zip((width, height), bucket, strict=True)
    )

    def merit(size: tuple[int, int]) -> tuple[bool, float, int]:
        distance = abs(math.log(size[0] / size[1]) - math.log(aspect))
        is_close = distance <= _CLOSE_ASPECT
        return is_close, 0.0 if is_close else -distance, size[0] * size[1]

    def heights(columns: int) -> Iterable[int]:
        """In steps: those of nearest aspect to a width, and the largest that is close to it."""
        nearest, largest = int(columns / aspect), int(columns / aspect * math.exp(_CLOSE_ASPECT))
        return sorted(
            {min(max(rows, 1), most_rows) for rows in (nearest, nearest + 1, largest - 1, largest, largest + 1)}
        )

    sizes = ((columns, rows) for columns in range(1, most_columns + 1) for rows in heights(columns))
    columns, rows = max(sizes, key=merit)
    return columns * step, rows * step
