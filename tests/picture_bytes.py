"""Pictures for tests and the bytes of their files, also of kinds that Pillow does not write."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 96, 72
RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 180, 30), (30, 30, 220), (220, 220, 30)


def quadrants() -> Image.Image:
    """Red and green above blue and yellow: every turning and mirroring looks different."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), RED)
    half_width, half_height = WIDTH // 2, HEIGHT // 2
    picture.paste(GREEN, (half_width, 0, WIDTH, half_height))
    picture.paste(BLUE, (0, half_height, half_width, HEIGHT))
    picture.paste(YELLOW, (half_width, half_height, WIDTH, HEIGHT))
    return picture


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth colours under a little noise, so that no two blocks of a JPEG are alike."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize((width, height))
    noisy = np.asarray(coarse, dtype=np.int16) + rng.integers(-9, 10, (height, width, 3), dtype=np.int16)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(width: int, height: int, depth: int, colour_type: int, pixel_data: bytes, extra: bytes = b"") -> bytes:
    """A PNG from its compressed pixel data, for kinds that Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", pixel_data) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def compressed_zeros(count: int) -> bytes:
    """What zlib would make of this many zero bytes, at once: one full block, repeated."""
    block = 2**20
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, zlib.DEFLATED, -15)
    rest = last.compress(bytes(count % block)) + last.flush()
    adler = (count % 65521) << 16 | 1
    return b"\x78\xda" + packed * (count // block) + rest + struct.pack(">I", adler)


def header_bomb() -> bytes:
    """Row 36: 60,000 x 60,000 in the header, next to nothing behind it."""
    return raw_png(60_000, 60_000, 8, 2, zlib.compress(bytes(100)))


def one_bit_bomb() -> bytes:
    """Row 37: a true picture of 196 million one-bit pixels in 25 KB."""
    return raw_png(14_000, 14_000, 1, 0, compressed_zeros(14_000 * (1 + 14_000 // 8)))


def rgb_bomb() -> bytes:
    """Row 38: a true RGB picture of 169 million pixels, which Pillow itself would open."""
    return raw_png(13_000, 13_000, 8, 2, compressed_zeros(13_000 * (1 + 3 * 13_000)))
