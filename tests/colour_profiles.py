"""Small ICC profiles made from numbers, and what they make of colours by the numbers alone (ICC.1:2001-04)."""

from __future__ import annotations

import struct

import numpy as np

WIDE_RED = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
"""XYZ under D50 of the red, green and blue of a display like P3."""
PRINT_RED = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
"""The same of a space as wide as Adobe RGB."""
_D50 = (0.9642, 1.0, 0.8249)
_XYZ_TO_SRGB = np.array(
    [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]
)


def rgb_profile(name: str, primaries: tuple, gamma: float) -> bytes:
    """A display with these primaries and one gamma for all three."""
    tags = {b"wtpt": _xyz(_D50)}
    for channel, primary in zip(b"rgb", primaries, strict=True):
        tags[bytes([channel]) + b"XYZ"] = _xyz(primary)
        tags[bytes([channel]) + b"TRC"] = _gamma(gamma)
    return _profile(b"mntr", b"RGB ", b"XYZ ", name, tags)


def grey_profile(name: str, gamma: float) -> bytes:
    """A grey display."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", name, {b"wtpt": _xyz(_D50), b"kTRC": _gamma(gamma)})


def odd_printer_profile() -> bytes:
    """A CMYK printer whose cyan ink is red: nobody gets this right without reading the profile."""
    grid = bytearray()
    for inks in np.ndindex(2, 2, 2, 2):
        paper, red, dark = (255, 128, 128), (136, 208, 195), (40, 128, 128)  # Lab as bytes: L * 2.55, a + 128, b + 128
        grid += bytes(paper if inks == (0, 0, 0, 0) else red if inks == (1, 0, 0, 0) else dark)
    identity = struct.pack(">9i", *(65536 if index % 4 == 0 else 0 for index in range(9)))
    ramp = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + 4 * ramp + bytes(grid) + 3 * ramp
    return _profile(b"prtr", b"CMYK", b"Lab ", "Odd printer", {b"wtpt": _xyz(_D50), b"A2B0": table})


def seen_in_srgb(colour: tuple[int, int, int], primaries: tuple, gamma: float) -> tuple[int, int, int]:
    """What a colour of `rgb_profile` is in sRGB."""
    xyz = np.array(primaries).T @ (np.array(colour) / 255) ** gamma
    linear = (_XYZ_TO_SRGB @ xyz).clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return tuple(int(level) for level in (255 * encoded).round())


def _profile(kind: bytes, space: bytes, connection: bytes, name: str, tags: dict[bytes, bytes]) -> bytes:
    text = name.encode() + b"\0"
    description = b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78)
    tags = {b"desc": description, b"cprt": b"text" + bytes(4) + b"CC0\0", **tags}
    index, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        index += tag + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12s4s", start + len(body), b"test", 0x02100000, kind, space, connection, bytes(12), b"acsp"
    )
    return (header + bytes(28) + _xyz(_D50)[8:] + bytes(48)) + index + body


def _xyz(values: tuple) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def _gamma(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
