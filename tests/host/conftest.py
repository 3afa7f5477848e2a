"""One real ComfyUI for all tests in this folder, and a browser that shows its page in each way of drawing nodes.

`make test-host` runs them in two processes, which hand out whole files; each process has a ComfyUI and a browser.

COMFYUI_DIR says where it is (default ~/ComfyUI), COMFYUI_PYTHON which Python runs it (default ~/comfy-venv,
then venv or .venv inside ComfyUI). Without them these tests are skipped.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from tests.captioner_stand_ins import write_blip
from tests.host.browser import RENDERERS, ComfyPage, OpenPages, open_browser
from tests.host.server import ComfyServer, Installation, find_installation, make_base
from tests.host.tag_editor import CAPTIONS, make_album
from tests.tagger_stand_ins import write_tags_csv, write_wd_onnx
from trainer_core.demo import world

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PACK = Path(__file__).parents[2]
TAGS = (
    ("safe", 9), ("1girl", 0), ("long_hair", 0), ("blue_eyes", 0), ("hatsune_miku", 4), ("outdoors", 0), ("^_^", 0),
    ("dress", 0),
)  # fmt: skip


@pytest.fixture(scope="session")
def installation() -> Installation:
    try:
        return find_installation()
    except LookupError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def slim_checkpoint(installation: Installation) -> Path:
    """The small SD1.5, made once and kept outside the repository."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "lora-atelier-tests"
    path = cache / "slim_sd15_v1.safetensors"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            command = [installation.python, "-m", "tests.host.slim_checkpoint", path]
            subprocess.run(command, cwd=PACK, check=True)
    return path


@pytest.fixture(scope="session")
def comfy(
    installation: Installation, slim_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ComfyServer]:
    base = make_base(tmp_path_factory.mktemp("comfyui"))
    (base / "models" / "checkpoints" / "slim_sd15.safetensors").symlink_to(slim_checkpoint)
    with ComfyServer(installation, base) as server:
        yield server


@pytest.fixture(scope="session")
def pictures(comfy: ComfyServer) -> str:
    """A folder of four drawn pictures with captions, as Load Dataset lists it."""
    folder = comfy.base / "input" / "mascot"
    folder.mkdir()
    rng = random.Random(0)
    for number in range(4):
        scene = world.random_scene(rng)
        world.draw(scene, 64).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(world.caption(scene), encoding="utf-8")
    return "input/mascot"


@pytest.fixture
def album(comfy: ComfyServer) -> Path:
    """Six pictures with captions; new for each test, as ComfyUI runs no node a second time on the same folder."""
    return make_album(comfy, CAPTIONS)


@pytest.fixture(scope="session")
def taggers(comfy: ComfyServer) -> Path:
    """A WD tagger and a BLIP in small, in models/taggers."""
    folder = comfy.base / "models" / "taggers"
    wd = folder / "wd-vit-tagger-v3"
    wd.mkdir(parents=True, exist_ok=True)
    write_wd_onnx(wd / "model.onnx", outputs=len(TAGS))
    write_tags_csv(wd / "selected_tags.csv", TAGS)
    write_blip(folder / "blip-base")
    return folder


@pytest.fixture(scope="session")
def wd(comfy: ComfyServer, installation: Installation, taggers: Path) -> str:
    """The small WD tagger, where ComfyUI's Python has onnxruntime."""
    if subprocess.run([installation.python, "-c", "import onnxruntime"], capture_output=True).returncode:
        pytest.skip("ComfyUI's Python has no onnxruntime")
    return "wd-vit-tagger-v3"


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    try:
        with open_browser() as opened:
            yield opened
    except LookupError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="package")
def pages(browser: Browser, comfy: ComfyServer) -> OpenPages:
    return OpenPages(browser, comfy)


@pytest.fixture(scope="module", params=RENDERERS)
def renderer(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def shown(pages: OpenPages, renderer: str) -> ComfyPage:
    return pages.show(renderer)


@pytest.fixture
def page(shown: ComfyPage) -> Iterator[ComfyPage]:
    with shown.visit() as visited:
        yield visited
