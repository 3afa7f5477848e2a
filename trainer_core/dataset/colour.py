"""Colour profiles: pictures that carry one are brought to sRGB, which is what models were trained on."""

from __future__ import annotations

import io
from functools import lru_cache
from itertools import product

from PIL import Image, ImageChops, ImageCms

_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""The colour space that a profile must be of, by the picture's mode."""
_UNUSABLE = "its colour profile cannot be used"
_SAME_COLOUR = 2
"""Levels of 255. Profiles that call themselves sRGB differ among each other by rounding."""
_PROBE_LEVELS = (0, 16, 64, 128, 192, 255)


def to_srgb(colours: Image.Image, embedded: bytes | None) -> tuple[Image.Image, str]:
    """An L, RGB, CMYK or LAB picture as RGB in sRGB, and a note if its profile changed that or could not be used.

    Without a profile, and with one that says the same as sRGB, the pixels are what Pillow's own conversion gives.
    """
    if colours.mode == "LAB":
        return _converted(colours, ImageCms.createProfile("LAB")), "colours converted from LAB"
    if not embedded:
        return colours.convert("RGB"), ""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(embedded))
        space = profile.profile.xcolor_space.strip()
        if space == "RGB" and colours.mode == "L":
            colours = colours.convert("RGB")
        if _SPACES[colours.mode] != space:
            return colours.convert("RGB"), _UNUSABLE
        if _says_srgb(embedded, colours.mode):
            return colours.convert("RGB"), ""
        return _converted(colours, profile), f"colours converted from {_name(profile)}"
    except (ImageCms.PyCMSError, ImportError, OSError, TypeError, ValueError):
        return colours.convert("RGB"), _UNUSABLE


@lru_cache(maxsize=64)
def _says_srgb(embedded: bytes, mode: str) -> bool:
    """Judged by what the profile does to a few colours: names cannot be trusted."""
    if mode == "CMYK":
        return False
    probe = _probe().convert(mode)
    converted = _converted(probe, ImageCms.ImageCmsProfile(io.BytesIO(embedded)))
    difference = ImageChops.difference(converted, probe.convert("RGB"))
    return max(high for _, high in difference.getextrema()) <= _SAME_COLOUR


def _probe() -> Image.Image:
    """Every mixture of a few levels of red, green and blue, a pixel each."""
    colours = bytes(level for colour in product(_PROBE_LEVELS, repeat=3) for level in colour)
    return Image.frombytes("RGB", (len(colours) // 3, 1), colours)


def _converted(colours: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    return ImageCms.profileToProfile(colours, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")


def _name(profile: ImageCms.ImageCmsProfile) -> str:
    return " ".join(ImageCms.getProfileDescription(profile).split())[:40] or "its own profile"
