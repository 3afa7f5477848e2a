"""The memory of encoding: what is counted beforehand is what it takes, and pictures go through the VAE in tiles."""

from __future__ import annotations

import json

import pytest
import torch

from tests.full_size_models import full_size
from tests.tiny_models import tiny_sd15, tiny_sdxl
from tests.training_jobs import small_job, train
from trainer_core.errors import TrainingError
from trainer_core.training import encoding_memory as module
from trainer_core.training import memory_fit
from trainer_core.training.encoding_memory import encode_in_tiles, encoding_memory, pictures_at_once
from trainer_core.training.memory import FIXED_OVERHEAD, bytes_of
from trainer_core.training.memory_choice import choose_tiles
from trainer_core.training.memory_count import MemoryCount
from trainer_core.training.plan import PrecisionPlan, TrainingPlan
from trainer_core.training.step_memory import GB


def needs(tiles: bool) -> int:
    return 2 * GB if tiles else 6 * GB


def planned(short_memory: str) -> TrainingPlan:
    return TrainingPlan(precision=PrecisionPlan(short_memory=short_memory))


@pytest.mark.parametrize("build", [tiny_sd15, tiny_sdxl])
@pytest.mark.parametrize("tiles", [False, True])
def test_the_estimate_is_what_encoding_allocates(build, tiles, monkeypatch):
    monkeypatch.setattr(module, "TILE", 64)
    vae = build().vae
    if tiles:
        encode_in_tiles(vae)
    with torch.no_grad(), MemoryCount() as count:
        vae.encode(torch.zeros(1, 3, 128, 192))
    outline = build()
    counted = encoding_memory(outline, 192, 128, tiles=tiles, device="cuda", precision="bf16")
    assert counted - bytes_of(outline.vae) - FIXED_OVERHEAD["cuda"] == pytest.approx(count.peak, rel=0.01)


def test_tiles_of_a_large_picture_need_the_same_however_large_it_is():
    whole, tiled, larger = (
        encoding_memory(full_size("sdxl"), side, side, tiles=tiles, device="cuda", precision="bf16") / GB
        for side, tiles in ((1024, False), (1024, True), (1536, True))
    )
    assert tiled < whole / 2 and larger < tiled * 1.1


def test_on_a_cpu_the_other_parts_of_the_model_take_their_room_too():
    on_cpu, on_gpu = (
        encoding_memory(full_size("sd15"), 64, 64, tiles=False, device=device, precision="bf16")
        for device in ("cpu", "cuda")
    )
    others = on_cpu - on_gpu - FIXED_OVERHEAD["cpu"] + FIXED_OVERHEAD["cuda"]
    model = full_size("sd15")
    assert others == bytes_of(model.unet) + sum(map(bytes_of, model.text_encoders))


def taken_by(pictures: int) -> int:
    """What so many pictures of 192x128 take beside the weights."""
    with torch.no_grad(), MemoryCount() as count:
        tiny_sd15().vae.encode(torch.zeros(pictures, 3, 128, 192))
    return count.peak


@pytest.mark.parametrize("pictures", [1, 2, 5, 8])
def test_so_many_pictures_are_encoded_at_once_as_half_of_the_free_memory_holds(pictures, monkeypatch):
    monkeypatch.setattr(module, "free_memory", lambda device: 2.02 * taken_by(pictures))
    assert pictures_at_once(tiny_sd15().vae, 192, 128, device="cuda") == pictures


@pytest.mark.parametrize(("device", "free", "tiles"), [
    ("cpu", 99 * GB, False), ("mps", None, False), ("cuda", 99 * GB, True), ("cuda", 1000, False)
])  # fmt: skip
def test_pictures_are_encoded_one_by_one_on_a_cpu_and_where_memory_is_short_or_unknown(
    device, free, tiles, monkeypatch
):
    monkeypatch.setattr(module, "free_memory", lambda device: free)
    vae = tiny_sd15().vae
    if tiles:
        encode_in_tiles(vae)
    assert pictures_at_once(vae, 192, 128, device=device) == 1


def test_a_large_memory_is_not_filled(monkeypatch):
    monkeypatch.setattr(module, "free_memory", lambda device: 99 * GB)
    assert pictures_at_once(tiny_sd15().vae, 192, 128, device="cuda") == 8


@pytest.mark.parametrize("free", [None, 6 * GB, 8 * GB])
def test_a_picture_that_fits_is_encoded_whole_and_nothing_is_told(free):
    assert choose_tiles(planned("refuse"), needs, free) == (False, [])


def test_a_run_that_may_reduce_encodes_in_tiles():
    tiles, (told,) = choose_tiles(planned("reduce"), needs, 4 * GB)
    assert tiles and "needs about 6.0 GB" in told and "in tiles (2.0 GB)" in told


def test_a_run_that_is_tried_as_it_is_set_says_that_memory_may_run_out():
    tiles, (told,) = choose_tiles(planned("try"), needs, 4 * GB)
    assert not tiles and "memory may run out" in told


@pytest.mark.parametrize(
    ("short_memory", "free", "words"),
    [("refuse", 4 * GB, "Set short_memory to reduce"), ("reduce", GB, "tiles need 2.0 GB. Crop to fewer pixels")],
)
def test_a_picture_that_cannot_be_encoded_is_refused_with_what_would_help(short_memory, free, words):
    with pytest.raises(TrainingError, match=words):
        choose_tiles(planned(short_memory), needs, free)


@pytest.fixture
def short_of_memory(monkeypatch):
    """As if a tile fitted and a whole picture did not."""
    monkeypatch.setattr(module, "TILE", 32)

    def counted(architecture, width, height, tiles, *_):
        return 1 if tiles else 2**60

    monkeypatch.setattr(memory_fit, "_counted_encoding", counted)


def test_a_run_in_tiles_goes_on_with_them_and_keeps_its_latents_apart(tmp_path, short_of_memory, monkeypatch):
    job = small_job(tmp_path, epochs=2, precision={"short_memory": "reduce"})
    trainer = train(job, tmp_path / "runs", until=2)
    assert json.loads((trainer.run_folder / "memory.json").read_text())["tiles"] is True
    assert any("encoded in tiles" in remark for remark in trainer.remarks)
    in_tiles = {path.name for path in (tmp_path / "runs" / "latents").iterdir()}
    resumed = train(job, tmp_path / "runs")
    assert "pictures encoded in tiles" in resumed.remarks[0]
    assert {path.name for path in (tmp_path / "runs" / "latents").iterdir()} == in_tiles
    monkeypatch.setattr(memory_fit, "_counted_encoding", lambda *_: 1)
    train(small_job(tmp_path, epochs=1, precision={"short_memory": "reduce"}), tmp_path / "runs")
    assert len(list((tmp_path / "runs" / "latents").iterdir())) == 2 * len(in_tiles)
