"""Every kind of odd or broken picture file that folders hold, made on the spot.

The numbers are those of the list of bad pictures that the reading of folders is judged by. Rows 68 to 70 (a file that
grows, that may not be read, that vanishes) are events, not files: the tests stage them.
"""

from __future__ import annotations

import io
import os
import shutil
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin, features

from .colour_profiles import PRINT_RED, WIDE_RED, odd_printer_profile, rgb_profile, seen_in_srgb
from .picture_bytes import (
    BLUE,
    GREEN,
    HEIGHT,
    RED,
    WIDTH,
    YELLOW,
    encoded,
    header_bomb,
    one_bit_bomb,
    photo,
    quadrants,
    raw_png,
    rgb_bomb,
)  # fmt: skip

Outcome = Literal["OK", "REPAIRED", "SKIPPED", "ignored", "refused"]
Colour = tuple[int, int, int]
_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class Row:
    """A file of the corpus and what must become of it."""

    number: int
    name: str
    """Path below the corpus's folder."""
    outcome: Outcome
    """"ignored": no part of the set and no problem; "refused": a link that is not opened."""
    words: str = ""
    """In its reason, or in one of its notes; empty for an OK picture without notes."""
    size: tuple[int, int] | None = None
    mean: Colour | None = None
    """Mean colour, to 3 levels."""
    corner: Colour | None = None
    """Colour at the upper left of the upright picture, to 12 levels."""
    is_for_folder: bool = False
    """The folder decides it (shape, name, link), whatever opening the file alone would say."""


Written = list[tuple[Row, bytes]]


def write_corpus(folder: Path) -> tuple[Row, ...]:
    """Write the whole corpus into an empty folder (and one file beside it, for links to lead to)."""
    rows = []
    for row, data in (entry for files in _FILES for entry in files()):
        (folder / row.name).parent.mkdir(exist_ok=True)
        (folder / row.name).write_bytes(data)
        rows.append(row)
    return *rows, *_special_files(folder), *_links(folder)


# ------------------------------------------------------------------------------------------------- damage, 1 to 11


def _damaged() -> Written:
    jpeg = encoded(photo(640, 480), "JPEG", quality=85)
    progressive = encoded(photo(640, 480), "JPEG", quality=85, progressive=True)
    tall = encoded(photo(256, 1000), "JPEG", quality=85)
    png = encoded(photo(WIDTH, HEIGHT), "PNG")
    wrong_checksum = bytearray(png)
    wrong_checksum[png.index(b"IEND") - 5] ^= 1  # the last byte of the pixel data's checksum
    wrong_header = bytearray(png)
    wrong_header[29] ^= 1
    whole = "the file ends early; 100%"
    return [
        (Row(1, "01 empty.png", "SKIPPED", "empty file"), b""),
        (Row(2, "02 half.jpg", "SKIPPED", "truncated, 4"), jpeg[: len(jpeg) // 2]),
        (Row(2, "02 half, mended.jpg", "SKIPPED", "truncated, 4"), jpeg[: len(jpeg) // 2] + b"\xff\xd9"),
        (Row(2, "02 half, rest zeros.jpg", "SKIPPED", "truncated, 4"), jpeg[: len(jpeg) // 2] + bytes(20_000)),
        (Row(2, "02 half, progressive.jpg", "SKIPPED", "truncated"), progressive[: len(progressive) // 2]),
        (Row(3, "03 header.jpg", "SKIPPED", "truncated"), jpeg[:120]),
        (Row(4, "04 end mark.jpg", "REPAIRED", whole, size=(640, 480)), jpeg[:-2]),
        (Row(4, "04 end mark, progressive.jpg", "REPAIRED", whole, size=(640, 480)), progressive[:-2]),
        (Row(4, "04 last bytes.jpg", "REPAIRED", "the file ends early; 99%", size=(256, 991)), tall[:-40]),
        (Row(5, "05 half.png", "SKIPPED", "truncated"), png[: len(png) // 2]),
        (Row(5, "05 end mark.png", "REPAIRED", whole, size=(WIDTH, HEIGHT)), png[:-12]),
        (Row(6, "06 header checksum.png", "SKIPPED", "checksum"), bytes(wrong_header)),
        (Row(6, "06 pixel checksum.png", "SKIPPED", "checksum"), bytes(wrong_checksum)),
    ]


def _renamed() -> Written:
    jpeg, png = encoded(quadrants(), "JPEG", quality=95), encoded(quadrants(), "PNG")
    page = b"\xef\xbb\xbf\n<!DOCTYPE html><html><body>404</body></html>"
    drawing = b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>"
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    heic = struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(200)
    return [
        (Row(7, "07 page.png", "SKIPPED", "this is a web page"), page),
        (Row(8, "08 text.jpg", "SKIPPED", "not a picture"), b"just some text"),
        (Row(8, "08 pointer.png", "SKIPPED", "git lfs pull"), pointer),
        (Row(9, "09 drawing.png", "SKIPPED", "an SVG drawing"), drawing),
        (Row(10, "10 png.jpg", "OK", "a PNG named .jpg", corner=RED), png),
        (Row(11, "11 jpeg.png", "OK", "a JPEG named .png", corner=RED), jpeg),
        (Row(48, "48 renamed heic.jpg", "SKIPPED", "HEIC"), heic),
        (Row(48, "48 renamed jxl.jpg", "SKIPPED", "JXL"), b"\xff\x0a" + bytes(200)),
        (Row(48, "48 renamed jxl box.jpg", "SKIPPED", "JXL"), b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(200)),
        (Row(48, "48 phone.heic", "SKIPPED", "HEIC", is_for_folder=True), heic),
        (Row(48, "48 new.jxl", "SKIPPED", "JXL", is_for_folder=True), b"\xff\x0a" + bytes(200)),
    ]


# --------------------------------------------------------------------------------- modes, colours, rotation, 12 to 32


def _modes() -> Written:
    ink = Image.new("CMYK", (WIDTH, HEIGHT), (0, 255, 255, 0))
    adobe = encoded(ink, "JPEG", quality=95)
    marker = adobe.index(b"\xff\xee")
    unmarked = adobe[:marker] + adobe[marker + 2 + int.from_bytes(adobe[marker + 2 : marker + 4], "big") :]
    cyan = Image.new("CMYK", (WIDTH, HEIGHT), (255, 0, 0, 0))
    ramp = np.tile(np.linspace(0, 65535, WIDTH), (HEIGHT, 1)).astype(np.uint16)
    deep_rgb = np.empty((HEIGHT, 1 + 6 * WIDTH), np.uint8)
    deep_rgb[:, 0] = 0
    deep_rgb[:, 1:] = np.tile(np.array([200, 7, 100, 7, 50, 7], np.uint8), (HEIGHT, WIDTH))
    return [
        (Row(12, "12 cmyk.jpg", "OK", mean=(255, 0, 0)), adobe),
        (Row(12, "12 cmyk, no marker.jpg", "OK", mean=(255, 0, 0)), unmarked),
        (
            Row(12, "12 cmyk, profile.jpg", "OK", "colours converted from Odd printer", mean=(251, 0, 0)),
            encoded(cyan, "JPEG", quality=95, icc_profile=odd_printer_profile()),
        ),
        (Row(13, "13 grey 16.png", "OK", "greyscale", mean=(127, 127, 127)), encoded(Image.fromarray(ramp), "PNG")),
        (
            Row(14, "14 rgb 16.png", "OK", mean=(200, 100, 50)),
            raw_png(WIDTH, HEIGHT, 16, 2, zlib.compress(deep_rgb.tobytes())),
        ),
        (Row(15, "15 palette.png", "OK", corner=RED), encoded(quadrants().quantize(8), "PNG")),
        (Row(19, "19 grey alpha.png", "OK", "greyscale", mean=(255,) * 3), _grey_under_nothing()),
        (Row(20, "20 grey.jpg", "OK", "greyscale", mean=(90,) * 3), encoded(_flat("L", 90), "JPEG")),
        (Row(21, "21 one bit.png", "OK", "greyscale", mean=(255,) * 3), encoded(_flat("1", 1), "PNG")),
    ]


def _transparent() -> Written:
    """Half of the picture shows through, and hides magenta there."""
    half_red = Image.new("RGB", (WIDTH, HEIGHT), (255, 0, 255))
    half_red.paste(RED, (0, 0, WIDTH, HEIGHT // 2))
    alpha = Image.new("L", (WIDTH, HEIGHT), 0)
    alpha.paste(255, (0, 0, WIDTH, HEIGHT // 2))
    cut_out = half_red.copy()
    cut_out.putalpha(alpha)
    palette = half_red.quantize(4)
    hole = palette.getpixel((4, HEIGHT - 4))
    on_white: Colour = tuple(round((channel + 255) / 2) for channel in RED)
    return [
        (Row(16, "16 palette hole.png", "OK", mean=on_white), encoded(palette, "PNG", transparency=hole)),
        (Row(17, "17 cut-out.png", "OK", mean=on_white, corner=RED), encoded(cut_out, "PNG")),
        (Row(18, "18 cut-out.webp", "OK", mean=on_white), encoded(cut_out, "WEBP", lossless=True, exact=True)),
    ]


def _rotated() -> Written:
    turns = {
        3: Image.Transpose.ROTATE_180,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        8: Image.Transpose.ROTATE_270,
    }

    def stored(orientation: int, kind: str) -> bytes:
        exif = Image.Exif()
        exif[_ORIENTATION] = orientation
        return encoded(quadrants().transpose(turns[orientation]), kind, exif=exif, quality=95)

    def row(number: int, name: str) -> Row:
        return Row(number, name, "OK", size=(WIDTH, HEIGHT), corner=RED)

    tiff = struct.pack("<2sHI", b"II", 42, 8)
    entry = struct.pack("<HHIHH", _ORIENTATION, 3, 1, 1, 0)
    to_itself = struct.pack("<HHII", 0x8769, 4, 1, 8)  # the camera's own block is the block that it stands in
    looping = b"Exif\0\0" + tiff + struct.pack("<H", 2) + entry + to_itself + struct.pack("<I", 8)
    garbage = b"Exif\0\0II*\0\xff\xff\xff\xff"
    return [
        *(
            (row(number, f"{number} turned {orientation}.jpg"), stored(orientation, "JPEG"))
            for number, orientation in ((22, 3), (23, 5), (24, 6), (25, 8))
        ),
        (row(26, "26 turned.png"), stored(6, "PNG")),
        (row(27, "27 turned.webp"), stored(8, "WEBP")),
        (row(28, "28 exif garbage.jpg"), encoded(quadrants(), "JPEG", quality=95, exif=garbage)),
        (row(28, "28 exif loop.jpg"), encoded(quadrants(), "JPEG", quality=95, exif=looping)),
    ]


def _animated() -> Written:
    frames = [_flat("RGB", colour) for colour in (RED, GREEN, BLUE)]
    rows = [
        (29, "29 film.gif", "GIF"),
        (30, "30 film.webp", "WEBP"),
        (31, "31 film.png", "PNG"),
        (32, "32 pages.tiff", "TIFF"),
    ]
    written = []
    for number, name, kind in rows:
        words = "the first of 3 pages" if kind == "TIFF" else "animated: the first of 3 frames is used"
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        written.append((Row(number, f"{number} {name}", "OK", words, mean=RED), data))
    return written


# ---------------------------------------------------------------------------------- shapes and bombs, 33 to 39 and 52


def _shapes() -> Written:
    def row(number: int, name: str, words: str) -> Row:
        return Row(number, name, "SKIPPED", words, is_for_folder=True)

    return [
        (row(33, "33 pixel.png", "short side"), encoded(Image.new("RGB", (1, 1), RED), "PNG")),
        (row(34, "34 line.png", "short side"), encoded(Image.new("RGB", (20_000, 10), RED), "PNG")),
        (row(34, "34 strip.png", "aspect"), encoded(Image.new("RGB", (400, 80), RED), "PNG")),
        (row(35, "35 thread.png", "short side"), encoded(Image.new("RGB", (3, 4000), RED), "PNG")),
    ]


def _bombs() -> Written:
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a" * 30_000_000, zip=True)
    not_a_number = np.full((HEIGHT, WIDTH), 0.5, np.float32)
    not_a_number[3, 3:5] = np.nan, np.inf
    return [
        (Row(36, "36 bomb.png", "SKIPPED", "too large"), header_bomb()),
        (Row(37, "37 bomb.png", "SKIPPED", "too large"), one_bit_bomb()),
        (Row(38, "38 bomb.png", "SKIPPED", "too large"), rgb_bomb()),
        (Row(39, "39 text.png", "OK", corner=RED), encoded(quadrants(), "PNG", pnginfo=text)),
        (Row(52, "52 not a number.tiff", "SKIPPED", "NaN"), encoded(Image.fromarray(not_a_number), "TIFF")),
    ]


# ------------------------------------------------------------------------------------ profiles and formats, 40 to 51


def _profiles() -> Written:
    colour = (100, 150, 200)
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    wide, wider = rgb_profile("Wide screen", WIDE_RED, 2.2), rgb_profile("Wide print", PRINT_RED, 2.2)

    def written(number: int, name: str, words: str, profile: bytes, mean: Colour) -> tuple[Row, bytes]:
        kind = "JPEG" if name.endswith("jpg") else "PNG"
        options = {"quality": 95} if kind == "JPEG" else {}
        data = encoded(_flat("RGB", colour), kind, icc_profile=profile, **options)
        return Row(number, name, "OK", words, mean=mean), data

    return [
        written(40, "40 lab profile.png", "its colour profile cannot be used", lab, colour),
        written(41, "41 garbage profile.jpg", "its colour profile cannot be used", b"garbage" * 30, colour),
        written(41, "41 srgb profile.jpg", "", srgb, colour),
        written(42, "42 wide screen.jpg", "converted from Wide screen", wide, seen_in_srgb(colour, WIDE_RED, 2.2)),
        written(42, "42 wide print.png", "converted from Wide print", wider, seen_in_srgb(colour, PRINT_RED, 2.2)),
    ]


def _formats() -> Written:
    rows = [
        (Row(43, "43 progressive.jpg", "OK", corner=RED), encoded(quadrants(), "JPEG", progressive=True)),
        (Row(44, "44 quality 5.jpg", "OK", "heavy compression"), encoded(quadrants(), "JPEG", quality=5)),
        (Row(46, "46 windows.bmp", "OK", corner=RED), encoded(quadrants(), "BMP")),
        (Row(47, "47 lossless.webp", "OK", corner=RED), encoded(quadrants(), "WEBP", lossless=True)),
        (Row(49, "49 black.png", "OK", mean=(0, 0, 0)), encoded(_flat("RGB", (0, 0, 0)), "PNG")),
        (Row(50, "50 white.png", "OK", mean=(255, 255, 255)), encoded(_flat("RGB", (255, 255, 255)), "PNG")),
        (Row(51, "51 flat.png", "OK", mean=YELLOW), encoded(_flat("RGB", YELLOW), "PNG")),
    ]
    if features.check("avif"):
        rows.append((Row(45, "45 new.avif", "OK", corner=RED), encoded(quadrants(), "AVIF", quality=95)))
    else:  # Pillow before 11.3
        rows.append((Row(45, "45 new.avif", "SKIPPED", "AVIF"), struct.pack(">I", 24) + b"ftypavif" + bytes(200)))
    return rows


# --------------------------------------------------------------------------------- names, links, odd files, 53 to 67


def _names() -> Written:
    data = encoded(quadrants(), "PNG")
    long = "54 " + "x" * (255 - 7) + ".png"
    loading = [
        (53, "53 猫 🐈 \u202bחתול.png"), (54, long), (55, "55 trailing space .png"), (56, "56 UPPER.PNG"),
        (58, "58 new\nline 'quote' \"100%\" [abc].png"),
    ]  # fmt: skip
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("inside.txt", "hello")
    ignored = [(57, ".hidden.png", data), (57, "._57 mac.jpg", b"\0\5\x16\7"), (57, "Thumbs.db", b"x")]
    return [
        *((Row(number, name, "OK", corner=RED), data) for number, name in loading),
        *((Row(number, name, "ignored", is_for_folder=True), body) for number, name, body in ignored),
        (Row(59, "59 with a zip.png", "OK", corner=RED), data + packed.getvalue()),
    ]


def _links(folder: Path) -> list[Row]:
    outside = folder.parent / f"{folder.name} outside.png"
    outside.write_bytes(encoded(quadrants(), "PNG"))
    targets = [
        (61, "61 system file.png", Path("/etc/passwd")), (62, "62 itself.png", Path("62 itself.png")),
        (63, "63 loop", Path(".")), (64, "64 way out.png", outside),
    ]  # fmt: skip
    for _, name, target in targets:
        (folder / name).symlink_to(target)
    (folder / "60 folder.png").mkdir()
    return [
        Row(60, "60 folder.png", "ignored", is_for_folder=True),
        *(Row(number, name, "refused", "link", is_for_folder=True) for number, name, _ in targets),
    ]


def _special_files(folder: Path) -> list[Row]:
    words = "not an ordinary file"
    os.mkfifo(folder / "65 pipe.png")
    # A socket's own path may have about a hundred characters only, so it is made elsewhere and moved.
    nearby = Path(f"/tmp/{os.getpid()}.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(nearby))
    shutil.move(nearby, folder / "65 socket.png")
    return [Row(65, "65 pipe.png", "SKIPPED", words), Row(65, "65 socket.png", "SKIPPED", words)]


def _namesakes() -> Written:
    kinds = [("66/a.png", "PNG"), ("66/a.jpg", "JPEG"), ("66/A.PNG", "PNG"), ("66/a.webp", "WEBP")]
    rows = [
        (Row(66, name, "OK", mean=(index, index, index)), encoded(_flat("RGB", (index,) * 3), kind))
        for index, (name, kind) in enumerate(kinds, start=60)
    ]
    twin = encoded(photo(WIDTH, HEIGHT, seed=67), "PNG")
    caption = (Row(66, "66/a.txt", "ignored", is_for_folder=True), b"one caption for all")
    return [*rows, caption, *((Row(67, f"67 twin {name}.png", "OK"), twin) for name in "ab")]


def _flat(mode: str, colour: int | Colour) -> Image.Image:
    return Image.new(mode, (WIDTH, HEIGHT), colour)


def _grey_under_nothing() -> bytes:
    return encoded(Image.new("LA", (WIDTH, HEIGHT), (40, 0)), "PNG")


_FILES: tuple[Callable[[], Written], ...] = (
    _damaged, _renamed, _modes, _transparent, _rotated, _animated, _shapes, _bombs, _profiles, _formats, _names,
    _namesakes,
)  # fmt: skip
