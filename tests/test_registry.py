"""What ComfyUI's registry asks of a pack, and what is published with it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from PIL import Image

_ROOT = Path(__file__).parents[1]
_PYPROJECT = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
_PROJECT, _COMFY = _PYPROJECT["project"], _PYPROJECT["tool"]["comfy"]


def test_the_name_is_one_the_registry_takes():
    assert re.fullmatch(r"[a-z][a-z0-9_.-]{0,99}", _PROJECT["name"]) and "comfyui" not in _PROJECT["name"]


def test_versions_have_three_numbers():
    assert re.fullmatch(r"\d+\.\d+\.\d+", _PROJECT["version"])
    assert re.fullmatch(r">=\d+\.\d+\.\d+", _COMFY["requires-comfyui"])


def test_the_newest_change_is_this_version():
    newest = re.search(r"^## (\S+)$", (_ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest and newest[1] == _PROJECT["version"]


def test_the_page_is_registered_once():
    """ComfyUI would load it twice, under the folder's name and under the project's."""
    assert "web" not in _COMFY


@pytest.mark.parametrize("key", ["PublisherId", "DisplayName", "Icon", "Banner"])
def test_the_registry_is_told(key):
    assert _COMFY[key]


@pytest.mark.parametrize(("key", "width", "height"), [("Icon", 400, 400), ("Banner", 1680, 720)])
def test_its_pictures_are_in_the_repository(key, width, height):
    address = _COMFY[key]
    assert address.startswith(_PROJECT["urls"]["Repository"].replace("github.com", "raw.githubusercontent.com"))
    with Image.open(_ROOT / "docs" / Path(address).name) as picture:
        assert (picture.size, picture.format) == ((width, height), "PNG")


def test_requirements_are_the_projects_own():
    listed = (_ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in listed if line and not line.startswith("#")] == _PROJECT["dependencies"]


@pytest.mark.parametrize("requirement", _PROJECT["dependencies"])
def test_no_requirement_replaces_what_comfyui_brought(requirement):
    assert re.fullmatch(r"[a-z0-9-]+>=[\d.]+", requirement) and not requirement.startswith("torch")


def test_what_is_only_for_development_is_not_published():
    ignored = (_ROOT / ".comfyignore").read_text(encoding="utf-8").splitlines()
    assert {"tests/", "benchmarks/", "package.json", "package-lock.json", "tsconfig.json"} <= {*ignored}
    assert not [line for line in ignored if not (_ROOT / line).exists()]
