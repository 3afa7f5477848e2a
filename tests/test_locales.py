"""What ComfyUI translates by itself: the same texts in English and both kinds of Chinese, and none forgotten."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parents[1]
_LOCALES = _ROOT / "locales"
_LANGUAGES = ("en", "zh", "zh-TW")
_FILES = ("main.json", "nodeDefs.json", "commands.json", "settings.json")
_NODES = [path for path in sorted((_ROOT / "nodes").glob("*.py")) if "io.Schema(" in path.read_text(encoding="utf-8")]
_PAGE = "\n".join(path.read_text(encoding="utf-8") for path in sorted((_ROOT / "web").rglob("*.*js")))
_SIMPLIFIED = "训练数据标签图裁设样轮预权习错误选择开关显与"
_TRADITIONAL = "訓練數據標籤圖裁設樣輪預權習錯誤選擇開關顯與"

by_language = pytest.mark.parametrize("language", _LANGUAGES)
by_file = pytest.mark.parametrize("name", _FILES)


@by_file
@by_language
def test_every_language_has_the_same_texts(language, name):
    assert _shape(_read(language, name)) == _shape(_read("en", name))


@by_file
@by_language
def test_no_text_is_empty(language, name):
    assert all(text.strip() for text in _texts(_read(language, name)))


@by_file
def test_each_kind_of_chinese_keeps_to_its_letters(name):
    only_simplified, only_traditional = set(_SIMPLIFIED) - set(_TRADITIONAL), set(_TRADITIONAL) - set(_SIMPLIFIED)
    for text in _texts(_read("zh", name)):
        assert not only_traditional & set(text), text
    for text in _texts(_read("zh-TW", name)):
        assert not only_simplified & set(text), text


@by_language
def test_every_command_has_its_label(language):
    """The same as the page's own words, which are used until the locales have come."""
    commands = re.findall(r'id: "(LoraAtelier\.\w+)",\s*label: say\("([\w.]+)"\)', _PAGE)
    said = {command.replace(".", "_"): {"label": _word(language, key)} for command, key in commands}
    assert said == _read(language, "commands.json")


@by_language
def test_every_setting_has_its_name_and_tooltip(language):
    settings = re.findall(r'const SETTING_\w+ = "(LoraAtelier\.\w+)"', _PAGE)
    assert settings
    assert [setting.replace(".", "_") for setting in settings] == [*_read(language, "settings.json")]
    assert all({"name", "tooltip"} <= texts.keys() for texts in _read(language, "settings.json").values())


@pytest.mark.parametrize("path", _NODES, ids=lambda path: path.stem)
def test_a_node_is_found_by_words_of_either_language(path):
    (aliases,) = re.findall(r"search_aliases=\[(.*?)\]", path.read_text(encoding="utf-8"), re.DOTALL)
    words = re.findall(r'"([^"]+)"', aliases)
    assert any(word.isascii() for word in words) and any(not word.isascii() for word in words)


def test_every_type_of_socket_has_a_name():
    sockets = re.findall(r'io\.Custom\("(\w+)"\)', (_ROOT / "nodes" / "types.py").read_text(encoding="utf-8"))
    assert sockets and {*sockets} == _read("en", "main.json")["dataTypes"].keys()


def test_every_type_of_socket_has_a_colour_of_its_own():
    look = (_ROOT / "web" / "node_look.mjs").read_text(encoding="utf-8")
    colours = dict(re.findall(r'(LORA_ATELIER_\w+): "(#[0-9a-f]{6})"', look))
    assert colours.keys() == _read("en", "main.json")["dataTypes"].keys()
    assert len({*colours.values()}) == len(colours)


def _read(language: str, name: str) -> dict[str, Any]:
    return json.loads((_LOCALES / language / name).read_text(encoding="utf-8"))


def _shape(value: Any) -> Any:
    return {key: _shape(inner) for key, inner in value.items()} if isinstance(value, dict) else None


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [text for inner in value.values() for text in _texts(inner)]


def _word(language: str, key: str) -> str:
    """A sentence of web/words."""
    source = (_ROOT / "web" / "words" / f"{language}.mjs").read_text(encoding="utf-8")
    (found,) = re.findall(rf'"{re.escape(key)}":\s*("(?:[^"\\]|\\.)*")', source)
    return json.loads(found)
