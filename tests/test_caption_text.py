"""The words of a caption: told from bytes in any encoding or refused, cleaned, and joined line by line."""

from __future__ import annotations

import random
import time
import unicodedata
from pathlib import Path

import pytest

from trainer_core.dataset.caption_text import CaptionText, clean_caption, join_lines, read_caption
from trainer_core.dataset.opening import UnreadableFile

PATH = Path("a.txt")

CHINESE = (
    "红色的猫|少女|长发|微笑|天空|猫耳|一个女孩|蓝眼睛|白色背景|户外|水手服|1girl, 长发, 微笑|模糊背景，特写|"
    "一只红色的猫坐在窗前，看着外面的雪。"
)
JAPANESE = "長い髪|少女|金髪|笑顔|青空|赤い猫|ねこ|ネコ|制服|眼鏡|白い背景|1girl, 金髪, 笑顔|窓辺に座っている赤い猫。"
WESTERN = (
    "“portrait” café|café|a girl’s hat|naïve art|Mädchen mit Hut|für|große Augen|niña|garçon|crème brûlée|lumière|"
    "1girl – solo|smörgåsbord|São Paulo|rød|Zoë|cœur|50° angle|el niño está aquí|¿Qué?"
)
# Each is read by nobody here. Most of their bytes also mean something in Chinese or Japanese.
UNREAD = {
    "euc_kr": "고양이|소녀|빨간 고양이|긴 머리|미소|1girl, 긴 머리|우주|공무원",
    "big5": "紅色的貓|少女|長髮|微笑|天空|貓",
    "euc_jp": "長い髪|少女|金髪|青空|赤い猫|文化|不思議",
    "cp1251": "кошка|красная кошка|в|небо|1girl, кот|рыжий кот спит",
    "koi8_r": "кошка|красная кошка|небо|дерево|войска",
    "cp866": "красная кошка|1girl, кот спит",
    "cp1253": "κόκκινη γάτα|ουρανός",
    "cp1255": "חתול אדום",
    "cp1256": "قطة حمراء|السماء الزرقاء|الأفضل",
    "cp874": "แมวสีแดง|ผู้หญิง|บ้าน",
    "cp1250": "piękna dziewczyna|koń|łóżko|červená kočka|večer|pisică|dłoń|výšky",
    "cp1254": "kırmızı kedi|gökyüzü ışık",
    "cp1257": "kaķi māja|vaikų namai|būt",
    "cp850": "créé|grâce à la lumière|Mädchen|âge",
    "mac_roman": "café|naïve|Mädchen|grâce",
}


def cases(encoding: str, captions: str) -> list:
    return [pytest.param(encoding, caption, id=f"{encoding}-{caption}") for caption in captions.split("|")]


@pytest.mark.parametrize(
    ("encoding", "caption"), [*cases("gb18030", CHINESE), *cases("cp932", JAPANESE), *cases("cp1252", WESTERN)]
)
def test_the_three_old_encodings_are_told_apart_and_noted(encoding, caption):
    found = read_caption(caption.encode(encoding), PATH)
    name = {"gb18030": "GB18030", "cp932": "Shift-JIS", "cp1252": "Windows-1252"}[encoding]
    assert (found.lines, found.notes) == ((caption,), (f"read as {name}, not UTF-8; save it as UTF-8",))


@pytest.mark.parametrize(("encoding", "caption"), [case for e, text in UNREAD.items() for case in cases(e, text)])
def test_no_other_encoding_is_ever_taken_for_one_of_them(encoding, caption):
    with pytest.raises(UnreadableFile, match="cannot be told for certain; save it as UTF-8"):
        read_caption(caption.encode(encoding), PATH)


@pytest.mark.parametrize("caption", "|".join([CHINESE, JAPANESE, WESTERN, *UNREAD.values()]).split("|"))
def test_utf_8_is_always_read(caption):
    for data in (caption.encode(), caption.encode("utf-8-sig"), caption.encode("utf-16"), caption.encode("utf-32")):
        assert read_caption(data, PATH) == CaptionText((caption,))


@pytest.mark.parametrize("character", ["红", "猫"])
def test_a_single_character_is_too_little_to_tell(character):
    with pytest.raises(UnreadableFile, match="cannot be told for certain"):
        read_caption(character.encode("gb18030"), PATH)


def test_chinese_that_is_valid_utf_8_by_chance_is_not_taken_for_it():
    data = "微笑, 女".encode("gb18030")
    assert data.decode("utf-8") == "΢Ц, Ů"
    assert read_caption(data, PATH).lines == ("微笑, 女",)
    assert read_caption("il gatto è bello".encode(), PATH) == CaptionText(("il gatto è bello",))


@pytest.mark.parametrize("damage", [b"\xff", b"\x80", b"\xe7\x8c"])
def test_damaged_utf_8_is_not_guessed_at(damage):
    with pytest.raises(UnreadableFile):
        read_caption("猫, 红色的猫, ".encode() + damage + " 坐".encode(), PATH)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "cp932", "utf-16"])
def test_a_cut_goes_through_no_character_and_no_tag(encoding):
    tag = {"gb18030": "红色的猫在草地上", "cp932": "長い髪の女の子"}.get(encoding, "长い café")
    data = ", ".join(f"{tag} {number}" for number in range(9000)).encode(encoding)
    found = read_caption(data, PATH)
    numbers = [int(part.removeprefix(f"{tag} ")) for part in found.joined.split(", ")]
    assert numbers == list(range(len(numbers))) and len(numbers) > 2000
    assert "longer than 64 KB; only its beginning is read" in found.notes


@pytest.mark.parametrize("start", range(12))
def test_a_cut_does_not_make_a_mark_look_out_of_place(start):
    data = b"x" * start + ", “a” für".encode("cp1252") * 9000
    assert "read as Windows-1252, not UTF-8; save it as UTF-8" in read_caption(data, PATH).notes


def test_what_comes_late_in_a_file_counts_too():
    with pytest.raises(UnreadableFile, match="cannot be told for certain"):
        read_caption("café, ".encode("cp1252") * 2000 + "кошка".encode("cp1251"), PATH)


@pytest.mark.parametrize(
    ("lines", "joined"),
    [
        (["1girl, solo", "long hair"], "1girl, solo, long hair"),
        (["1girl, solo", "Solo, cat", "SOLO"], "1girl, solo, cat"),
        (["A cat.", "A dog."], "A cat. A dog."),
        (["A big red cat is sitting on", "a mat in the sun."], "A big red cat is sitting on a mat in the sun."),
        (["A big red cat on a mat", "A small dog in the sun"], "A big red cat on a mat, A small dog in the sun"),
        (["Look at the red cat there!", "1girl"], "Look at the red cat there! 1girl"),
        (["k-on!", "1girl"], "k-on!, 1girl"),
        (["1girl, solo", "A girl stands in the rain."], "1girl, solo, A girl stands in the rain."),
        (["A girl stands in the rain.", "1girl, solo"], "A girl stands in the rain. 1girl, solo"),
        (["A girl stands in the rain.", "A girl stands in the rain."], "A girl stands in the rain. " * 2),
        (["一只红色的猫坐在窗前。", "外面下着很大的雪。"], "一只红色的猫坐在窗前。 外面下着很大的雪。"),
        ([], ""),
        (["cat"], "cat"),
    ],
)
def test_lines_are_joined_as_tags_or_as_sentences(lines, joined):
    assert join_lines(lines) == joined.strip()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A cat, a dog, a cat on a mat, a dog, and a mouse in a big hole.", None),
        ("A cat has 1,000 stars, 2,000 moons", None),
        ("score_9,8k,1girl", "score_9, 8k, 1girl"),
        ("1,000_stars,2girls", "1,000_stars, 2girls"),
        ("(red, blue), (red, green)", None),
        ("red, (red, blue:1.1), {red, x|y}, [red, blue]", None),
        (":(, red, :(, Red", ":(, red"),
        (r"saber \(fate\), a \(b, c\), d", None),
        ("^_^, >_<, o_o", None),
        ("a\u00a0cat\u3000here", "a cat here"),
        ("红发，微笑，", "红发，微笑"),
        ("family 👨\u200d👩\u200d👧, می\u200cخواهم", None),
        ("a\u200db", "ab"),
    ],
)
def test_a_line_is_cleaned_and_otherwise_left_alone(text, line):
    assert clean_caption(text).lines == (line or text,)


def test_text_that_json_can_hold_but_no_file_is_made_writable():
    found = clean_caption("cat \ud83d, \ufffe dog")
    assert found.joined.encode() == b"cat, dog"


@pytest.mark.parametrize(
    ("caption", "is_warned"),
    [
        ("long_hair, blue eyes", True),
        ("score_9, score_8_up, rating_safe, source_anime, long hair", False),
        ("long_hair, blue_eyes", False),
        ("^_^, long hair", False),
        ("a girl with long_hair stands in the sun", False),
    ],
)
def test_mixed_spellings_are_warned_of(caption, is_warned):
    assert bool(clean_caption(caption).notes) == is_warned


CAPTIONS_OF_64_KB = {
    "tags": ", ".join(f"long_hair {number}" for number in range(8000)).encode(),
    "one word": b"x" * 2_000_000,
    "prose": b"A red cat sits on the mat, next to a dog. " * 2000,
    "one tag": b"1girl, " * 10_000,
    "Chinese": "红色的猫, 长发, ".encode("gb18030") * 6000,
    "Japanese": "長い髪, 金髪, ".encode("cp932") * 6000,
    "western": "“portrait” of a café, ".encode("cp1252") * 5000,
    "unclear": "красная кошка, ".encode("cp1251") * 5000,
    "brackets": b"{[(" * 22_000,
    "backslashes": b"\\" * 66_000,
    "commas": b"," * 66_000,
    "quotes": "“ „ « ".encode("cp1252") * 11_000,
}


@pytest.mark.parametrize("name", CAPTIONS_OF_64_KB)
def test_a_caption_of_64_kb_takes_50_ms_at_most(name):
    def seconds() -> float:
        start = time.process_time()
        try:
            assert len(read_caption(CAPTIONS_OF_64_KB[name], PATH).joined) <= 64 * 1024
        except UnreadableFile:
            assert name in ("unclear", "quotes")
        return time.process_time() - start

    assert min(seconds() for _ in range(5)) <= 0.05


def test_any_bytes_give_a_caption_or_a_reason():
    numbers = random.Random(7)
    marks = [b"", b"", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"cat, "]
    pieces = [bytes([value]) for value in range(256)] + ["猫".encode(), "髪".encode("cp932"), "色".encode("gbk"), b", "]
    outcomes = set()
    start = time.process_time()
    for _ in range(2000):
        alphabet = numbers.sample(pieces, numbers.choice([3, 20, 260]))
        data = numbers.choice(marks) + b"".join(numbers.choices(alphabet, k=numbers.randrange(200)))
        try:
            found = read_caption(data, PATH)
            assert all(found.lines) and not any(unicodedata.category(c) in ("Cc", "Cs") for c in found.joined)
            assert "\n" not in found.joined
            assert all(clean_caption(line).lines == (line,) for line in found.lines)
            found.joined.encode()
            outcomes.add(bool(found.lines))
        except UnreadableFile as problem:
            outcomes.add(problem.reason)
    assert time.process_time() - start < 10
    assert {True, "not text"} < outcomes
