"""The bucket list is kohya's, and every picture finds the bucket of its shape."""

from __future__ import annotations

import math
import random

import pytest

from trainer_core.crop.buckets import bucket_sizes, bucket_within, nearest_bucket
from trainer_core.errors import TrainingError


@pytest.mark.parametrize(
    ("size", "smallest", "largest", "count"),
    [
        (512, 256, 1024, 17),
        (768, 256, 1024, 19),
        (1024, 256, 2048, 41),
        (1024, 256, 1024, 25),
        (1024, 512, 2048, 33),
        (512, None, None, 17),
        (1024, None, None, 41),
    ],
)
def test_the_list_is_as_long_as_kohyas(size, smallest, largest, count):
    assert len(bucket_sizes(size, size, smallest=smallest, largest=largest)) == count


def test_the_list_at_512_is_kohyas():
    tall = [(256, 832), (256, 896), (256, 960), (256, 1024), (320, 704), (320, 768), (384, 640), (448, 576)]
    expected = sorted({*tall, (512, 512), *((height, width) for width, height in tall)})
    assert list(bucket_sizes(512, 512)) == expected


@pytest.mark.parametrize(
    ("width", "height", "step"), [(512, 512, 64), (512, 768, 64), (64, 64, 8), (768, 512, 32), (64, 64, 64)]
)
def test_buckets_keep_the_area_and_the_step_and_hold_the_asked_size(width, height, step):
    buckets = bucket_sizes(width, height, step=step)
    assert (width, height) in buckets
    assert all(w * h <= width * height and w % step == 0 and h % step == 0 for w, h in buckets)
    assert {(h, w) for w, h in buckets} == set(buckets)


@pytest.mark.parametrize(
    ("width", "height", "limits"),
    [
        (512, 512, {"smallest": 100}), (512, 512, {"smallest": 1}), (512, 512, {"largest": 500}), (264, 264, {}),
        (520, 512, {}), (512, 512, {"smallest": 100, "largest": 700}), (1024, 768, {"smallest": 300, "largest": 1500}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("step", [8, 24, 64])
def test_whatever_the_limits_the_step_divides_every_side(width, height, limits, step):
    """A side that 8 does not divide has no latents."""
    buckets = bucket_sizes(width, height, step=step, **limits)
    assert all(w % step == 0 and h % step == 0 for w, h in buckets)
    smallest, largest = limits.get("smallest", 0), limits.get("largest", 10_000)
    assert all(smallest - step < side < largest + step for bucket in buckets for side in bucket)


@pytest.mark.parametrize(
    ("width", "height", "bucket"),
    [
        (512, 512, (512, 512)),
        (4000, 4000, (512, 512)),
        (3000, 2000, (640, 384)),
        (1470, 1000, (640, 384)),
        (2000, 3000, (384, 640)),
        (1400, 1000, (576, 448)),
        (1920, 1080, (640, 384)),
        (10_000, 100, (1024, 256)),
        (448, 576, (448, 576)),
    ],
)
def test_the_nearest_bucket(width, height, bucket):
    assert nearest_bucket(width, height, bucket_sizes(512, 512)) == bucket


def test_tall_and_wide_pictures_are_treated_alike():
    buckets = bucket_sizes(512, 512)
    for width in range(100, 1000, 37):
        assert nearest_bucket(width, 500, buckets) == nearest_bucket(500, width, buckets)[::-1]


def test_limits_that_leave_nothing_are_refused():
    with pytest.raises(TrainingError, match="no bucket"):
        bucket_sizes(512, 512, smallest=1024, largest=256)


@pytest.mark.parametrize(
    ("size", "bucket", "step", "found"),
    [
        ((512, 512), (512, 512), 64, (512, 512)),
        ((4000, 600), (512, 512), 64, (512, 512)),
        ((511, 600), (512, 512), 64, (448, 448)),
        ((300, 450), (512, 768), 64, (256, 384)),
        ((1000, 700), (1216, 832), 64, (1000 // 64 * 64, 640)),
        ((30, 30), (512, 512), 64, (64, 64)),
        ((500, 100), (512, 512), 8, (104, 96)),
    ],
)
def test_the_largest_shape_that_a_picture_fills(size, bucket, step, found):
    assert bucket_within(*size, bucket, step) == found


def test_a_shape_within_is_filled_and_keeps_the_aspect():
    for width in range(64, 700, 31):
        for height in range(64, 700, 37):
            bucket = nearest_bucket(width, height, bucket_sizes(512, 512))
            found = bucket_within(width, height, bucket, 64)
            assert found == bucket or (found[0] <= width and found[1] <= height)
            assert found[0] <= bucket[0] and found[1] <= bucket[1]


def test_of_all_sizes_that_a_picture_fills_the_best_is_found():
    def merit(size, aspect):
        distance = abs(math.log(size[0] / size[1] / aspect))
        return distance <= 0.1, 0.0 if distance <= 0.1 else -distance, size[0] * size[1]

    draw = random.Random(3)
    for _ in range(300):
        bucket, step = draw.choice(bucket_sizes(512, 512, step=16)), draw.choice((16, 32, 64))
        width, height = draw.randint(20, 500), draw.randint(20, 500)
        if width >= bucket[0] and height >= bucket[1]:
            continue
        columns, rows = (
            range(step, max(step, min(side, limit)) + 1, step)
            for side, limit in zip((width, height), bucket, strict=True)
        )
        best = max(merit((w, h), bucket[0] / bucket[1]) for w in columns for h in rows)
        found = merit(bucket_within(width, height, bucket, step), bucket[0] / bucket[1])
        assert found == pytest.approx(best)
