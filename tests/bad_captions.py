"""Every kind of odd or broken caption that folders hold, made on the spot.

The numbers are those of the list of bad captions that the reading of folders is judged by.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from PIL import Image

TEN_THOUSAND_TAGS = ", ".join(f"tag{number:04}" for number in range(10_000))
ONE_LINE = "x" * 2_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """A folder of the corpus: the picture a.png with what lies around it, and what must become of its caption."""

    number: int
    what: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Contents by path below the folder. Names that end in .png become pictures, whatever they hold."""
    caption: str = ""
    source: str = "none"
    note: str = ""
    """In one of the notes; empty if there must be none."""
    skipped: str = ""
    """In the reason of the one file that is skipped; empty if there must be none."""
    remark: str = ""
    """In one of the remarks; empty if there must be none."""
    link: str = ""
    """What a.txt is a link to: a path below the folder's parent."""
    fifo: str = ""
    folder: str = ""

    def make(self, root: Path) -> Path:
        """The folder, made in `root`."""
        folder = root / "set"
        for name, data in {"a.png": b"", **self.files}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_picture() if name.endswith(".png") else data)
        if self.link:
            (root / "secret.txt").write_text("secret")
            (folder / "a.txt").symlink_to(root / self.link)
        if self.fifo:
            os.mkfifo(folder / self.fifo)
        if self.folder:
            (folder / self.folder).mkdir()
        return folder


@cache
def _picture() -> bytes:
    stream = io.BytesIO()
    Image.effect_mandelbrot((64, 64), (-2, -1, 1, 1), 20).save(stream, "PNG")
    return stream.getvalue()


def _text(number: int, what: str, data: bytes | str, caption: str = "", note: str = "", skipped: str = "") -> Row:
    """A row whose oddity is what a.txt holds."""
    data = data.encode() if isinstance(data, str) else data
    source = "a.txt" if caption else "none" if skipped else "empty"
    return Row(number, what, {"a.txt": data}, caption, source, note, skipped)


ROWS = (
    _text(1, "UTF-8 with BOM", b"\xef\xbb\xbf1girl, solo", "1girl, solo"),
    _text(2, "UTF-16 little-endian", b"\xff\xfe" + "猫, café".encode("utf-16-le"), "猫, café"),
    _text(3, "UTF-16 big-endian", b"\xfe\xff" + "猫, café".encode("utf-16-be"), "猫, café"),
    _text(3, "UTF-16 without BOM", "1girl, café".encode("utf-16-le"), "1girl, café", "read as UTF-16"),
    _text(3, "UTF-16 cut short", "1girl".encode("utf-16")[:-1], skipped="damaged"),
    _text(4, "GBK", "红色的猫, 坐着".encode("gbk"), "红色的猫, 坐着", "read as GB18030, not UTF-8; save it as UTF-8"),
    _text(5, "Shift-JIS", "長い髪, 青い目".encode("shift_jis"), "長い髪, 青い目", "read as Shift-JIS"),
    _text(6, "Latin-1", "café, fiancée".encode("latin-1"), "café, fiancée", "read as Windows-1252"),
    _text(7, "cp1252 quotes", "a girl’s “hat” – red".encode("cp1252"), "a girl’s “hat” – red", "read as Windows-1252"),
    _text(7, "an encoding that is not read", "красная кошка".encode("cp1251"), skipped="cannot be told for certain"),
    _text(8, "CRLF", b"1girl, solo\r\nlong hair\r\n", "1girl, solo, long hair"),
    _text(9, "lines of tags", "1girl,\nsolo\nlong hair,\n", "1girl, solo, long hair"),
    _text(9, "lines of prose", "A red cat sits on a mat.\nThe sun shines.", "A red cat sits on a mat. The sun shines."),
    _text(10, "first line blank", "\n\n  \n1girl, solo\n\nsmile", "1girl, solo, smile"),
    _text(11, "0 byte", b"", note="no words in a.txt"),
    _text(12, "white space only", " \t\r\n \u3000\n", note="no words in a.txt"),
    _text(13, "empty tags", ", ,1girl,,solo, ,", "1girl, solo"),
    _text(13, "nothing but commas", " , ,,\n,", note="no words in a.txt"),
    _text(14, "10,000 tags", TEN_THOUSAND_TAGS, TEN_THOUSAND_TAGS[: 64 * 1024].rpartition(",")[0], "longer than 64 KB"),
    _text(15, "one line of 2 MB", ONE_LINE, ONE_LINE[: 64 * 1024], "longer than 64 KB"),
    _text(16, "NUL", b"1girl\0, solo", "1girl, solo", "invisible characters removed"),
    _text(16, "control", b"1girl\x07, \x1bsolo", "1girl, solo", "invisible characters removed"),
    _text(16, "zero-width", "1\u200bgirl, so\ufefflo", "1girl, solo", "invisible characters removed"),
    _text(16, "RTL override", "1girl, \u202esolo\u202c", "1girl, solo", "invisible characters removed"),
    _text(17, "PNG renamed .txt", _picture(), skipped="not text"),
    _text(17, "ZIP renamed .txt", b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(range(256)), skipped="not text"),
    _text(17, "text full of NULs", b"a\0\0\0b\0\0\0c\0\0\0", skipped="not text"),
    _text(17, "RTF renamed .txt", rb"{\rtf1\ansi 1girl}", skipped="save it as plain text"),
    _text(17, "web page renamed .txt", "<!DOCTYPE html><p>1girl", skipped="web page"),
    _text(18, "duplicates", "solo, cat, solo, SOLO", "solo, cat", "repeated tags left out"),
    _text(19, "one tag in two spellings", "long_hair, cat, long hair", "long_hair, cat", "repeated tags left out"),
    _text(19, "mixed spellings", "long_hair, blue eyes", "long_hair, blue eyes", "some with spaces"),
    _text(20, "escaped brackets", r"saber \(fate\), solo", r"saber \(fate\), solo"),
    _text(20, "weights", "(masterpiece:1.2), ((red, blue)), [sky]", "(masterpiece:1.2), ((red, blue)), [sky]"),
    _text(20, "wildcards", "{a|b}, cat", "{a|b}, cat"),
    _text(20, "BREAK", "cat, BREAK, dog, BREAK, cow", "cat, BREAK, dog, BREAK, cow"),
    _text(20, "LoRA syntax", "<lora:x:1>, cat", "<lora:x:1>, cat", "loads nothing in training"),
    Row(21, "caption without picture", {"b.txt": b"cat"}, remark="belongs to no picture beside it: b.txt"),
    Row(22, "picture without caption"),
    Row(23, ".TXT", {"a.TXT": b"cat"}, "cat", "a.TXT"),
    Row(23, ".caption", {"a.caption": b"cat"}, "cat", "a.caption"),
    Row(23, ".png.txt", {"a.png.txt": b"cat"}, "cat", "a.png.txt"),
    Row(23, ".tags", {"a.Tags": b"cat"}, "cat", "a.Tags"),
    Row(24, "captions in a sub-folder", {"captions/a.txt": b"cat"}, remark="beside it: captions/a.txt"),
    Row(25, ".json", {"metadata.json": b"{}"}, remark="1 file is not read as captions: metadata.json"),
    Row(25, ".jsonl", {"metadata.jsonl": b'{"file_name": "a.png", "text": "cat"}\n'}, "cat", "metadata.jsonl"),
    Row(25, ".csv", {"metadata.csv": b"file_name,text\na.png,cat\n"}, "cat", "metadata.csv"),
    Row(26, "link outside", link="secret.txt", skipped="a link that leaves the folder"),
    Row(26, "link to itself", link="set/a.txt", skipped="too many levels"),
    Row(26, "FIFO", fifo="a.txt", skipped="not an ordinary file"),
    Row(26, "folder", folder="a.txt"),
)
