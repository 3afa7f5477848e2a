"""The help pages: one for each node, in English and in Chinese, with pictures that are there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_DOCS = _ROOT / "web" / "docs"
_NODES = [*json.loads((_ROOT / "locales" / "en" / "nodeDefs.json").read_text(encoding="utf-8"))]
_LANGUAGES = {"en": "{}.md", "zh": "{}/zh.md"}
_MOST_BYTES = 150_000
_PICTURE = re.compile(r"!\[([^\]]+)\]\(([^)]+)\)")

by_node = pytest.mark.parametrize("node", _NODES)
by_language = pytest.mark.parametrize("language", _LANGUAGES)


@by_node
@by_language
def test_a_page_begins_with_the_nodes_name(node, language):
    names = json.loads((_ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
    assert _page(node, language).startswith(f"# {names[node]['display_name']}\n")


@by_node
@by_language
def test_a_page_shows_its_node(node, language):
    suffix = "" if language == "en" else f".{language}"
    assert f"images/{node}{suffix}.jpg" in _pictures(node, language)


@by_node
@by_language
def test_pictures_are_there_and_small(node, language):
    for picture in _pictures(node, language):
        content = (_DOCS / picture).read_bytes()  # the page looks below docs/, in whatever language
        assert content.startswith(b"\xff\xd8") and len(content) < _MOST_BYTES, picture


@by_node
def test_both_languages_have_the_same_sections_and_tables(node):
    english, chinese = (_outline(_page(node, language)) for language in _LANGUAGES)
    assert english == chinese


def test_no_picture_is_left_over():
    shown = {picture for node in _NODES for language in _LANGUAGES for picture in _pictures(node, language)}
    assert shown == {f"images/{path.name}" for path in (_DOCS / "images").iterdir()}


def _page(node: str, language: str) -> str:
    return (_DOCS / _LANGUAGES[language].format(node)).read_text(encoding="utf-8")


def _pictures(node: str, language: str) -> list[str]:
    return [address for _, address in _PICTURE.findall(_page(node, language))]


def _outline(page: str) -> list[str]:
    """Headings by depth, pictures, and tables by their number of columns, in their order."""
    marks = re.findall(r"^#+(?= )|^!(?=\[)|^\|[-|]+\|$|^```", page, re.MULTILINE)
    return [mark.replace("-", "") for mark in marks]
