"""A few plain words about a picture file: what is special about it, or what it is if it is no picture."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

_FORMAT_OF_SUFFIX = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF",
    ".gif": "GIF", ".avif": "AVIF",
}  # fmt: skip
_STANDARD_LUMINANCE = 3688
"""Sum of the JPEG standard's luminance table, which encoders call quality 50 (ITU T.81, table K.1)."""
_HEAVY_QUALITY = 30
_SAVE_AS = "cannot be read here; save it as PNG or JPEG"
_BOX_BRANDS = {
    b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC", b"hevc": "HEIC", b"hevx": "HEIC",
    b"mif1": "HEIC", b"msf1": "HEIC", b"avif": "AVIF", b"avis": "AVIF", b"crx ": "CR3",
}  # fmt: skip
"""What an ISO media file (ISO 14496-12) holds, by the brand in its first box; all others are films."""
_STARTS = (
    (b"\xff\x0a", "a JXL picture, which " + _SAVE_AS),
    (b"\x00\x00\x00\x0cJXL ", "a JXL picture, which " + _SAVE_AS),
    (b"\x00\x00\x00\x0cjP  ", "a JP2 picture, which " + _SAVE_AS),
    (b"\xff\x4f\xff\x51", "a JP2 picture, which " + _SAVE_AS),
    (b"8BPS", "a PSD picture, which " + _SAVE_AS),
    (b"%PDF", "a PDF document, not a picture"),
    (b"PK\x03\x04", "a ZIP archive, not a picture"),
    (b"Rar!", "a RAR archive, not a picture"),
    (b"\x1a\x45\xdf\xa3", "a film, not a picture"),
    (b"version https://git-lfs", "a Git LFS pointer, not the picture; fetch it with git lfs pull"),
)
_PICTURE_STARTS = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"II*\x00", b"MM\x00*")


def format_note(path: Path, picture: Image.Image) -> str:
    """Says so if the file's name claims another format than it has."""
    claimed = _FORMAT_OF_SUFFIX.get(path.suffix.lower())
    held = "JPEG" if picture.format == "MPO" else picture.format or ""  # MPO: a JPEG with a camera's second picture
    if claimed in (None, held):
        return ""
    return f"{'an' if held == 'AVIF' else 'a'} {held} named {path.suffix.lower()}"


def frames_note(picture: Image.Image, data: bytes) -> str:
    """Says so if there is more than the one frame or page that is trained."""
    if picture.format == "TIFF":
        return "" if (pages := _count_frames(data, "TIFF")) == 1 else f"the first of {pages} pages is used"
    frames = _count_frames(data, "GIF") if picture.format == "GIF" else getattr(picture, "n_frames", 1)
    return "" if frames == 1 or picture.format == "MPO" else f"animated: the first of {frames} frames is used"


def _count_frames(data: bytes, kind: str) -> int:
    """Counted on a second look at the file, since counting walks through the frames and may end on a broken one."""
    frames = 1
    with Image.open(io.BytesIO(data), formats=[kind]) as picture:
        try:
            frames = picture.n_frames
        except Exception:  # a broken later frame is no reason to lose the first
            frames = picture.tell() + 1
    return frames


def compression_note(picture: Image.Image) -> str:
    """Says so if a JPEG's quality setting was below 30, where blocks and rings begin to be learned."""
    tables = getattr(picture, "quantization", None)
    if not tables:
        return ""
    scale = sum(tables[min(tables)]) / _STANDARD_LUMINANCE
    quality = 50 / scale if scale > 1 else 100 - 50 * scale
    return "heavy compression" if quality < _HEAVY_QUALITY else ""


def what_it_is_instead(data: bytes) -> str:
    """Why Pillow does not know the file, by what its first bytes look like."""
    for start, reason in _STARTS:
        if data.startswith(start):
            return reason
    if data[4:8] == b"ftyp":
        brand = _BOX_BRANDS.get(data[8:12])
        return f"a {brand} picture, which {_SAVE_AS}" if brand else "a film, not a picture"
    if data.startswith(_PICTURE_STARTS) or data[8:12] == b"WEBP":
        return "broken or cut short inside its header"
    return _kind_of_text(data[:1024])


def _kind_of_text(start: bytes) -> str:
    text = start.decode("utf-8-sig", errors="ignore").lstrip().lower()
    if text.startswith(("<!doctype html", "<html")):
        return "this is a web page, not a picture"
    if "<svg" in text:
        return "an SVG drawing, not a picture of pixels"
    return "not a picture, or a format this Pillow cannot read"


def decoder_reason(problem: Exception) -> str:
    """What a decoder complained of, in one short line."""
    text = str(problem).split("\n")[0]
    if "truncated" in text.lower() or isinstance(problem, EOFError):
        return "truncated: the file ends before the picture does"
    return f"broken: {text[:80] or type(problem).__name__}"
