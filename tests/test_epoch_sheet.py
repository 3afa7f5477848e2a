"""The epoch sheet: every picture in its place, labels that can be read, a bounded size, one load of the base model."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.tiny_models import tiny_sd15, write_checkpoint
from trainer_core import sampling
from trainer_core.epoch_pictures import DrawnCell, draw_cells, epoch_columns, sheet_rows
from trainer_core.epoch_sheet import SheetColumn, cell_size, epoch_sheet
from trainer_core.errors import TrainingError
from trainer_core.lettering import cut, text_width, wrap
from trainer_core.lora.adapters import Adapters
from trainer_core.lora.file import lora_bytes
from trainer_core.lora.names import targets_of
from trainer_core.picture_request import PictureRequest
from trainer_core.progress import StageReport
from trainer_core.sampling import Previewer, preview
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.reports import SavedEpoch, TrainedLora
from trainer_core.training.validation_report import ValidationReport

REQUESTS = [
    PictureRequest(prompt="red cat", width=32, height=32, steps=2, cfg=2.0, seed=1),
    PictureRequest(prompt="blue ball", width=32, height=48, steps=2, cfg=2.0, seed=2),
]


def columns_of(count: int) -> list[SheetColumn]:
    base = SheetColumn(title="base model", facts=("step 0",), lora=None)
    return [base, *(SheetColumn(title=f"epoch {i}", facts=(f"step {9 * i}",), lora=Path(f"{i}")) for i in range(count))]


def colour_of(row: int, column: int) -> tuple[int, int, int]:
    return 40 + 25 * row, 255 - 20 * column, 120


def coloured(rows: int, columns: int) -> dict[tuple[int, int], Image.Image]:
    places = [(row, column) for row in range(rows) for column in range(columns)]
    return {place: Image.new("RGB", (64, 64), colour_of(*place)) for place in places}


def places_of(sheet: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """left, top, right, bottom of a colour, ends excluded."""
    ys, xs = np.nonzero((np.asarray(sheet) == colour).all(axis=2))
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


@pytest.mark.parametrize("strengths", [[1.0], [0.5, 1.0]])
def test_every_picture_has_a_place_of_its_own_in_even_rows_and_columns(strengths):
    columns, rows = columns_of(3), sheet_rows(REQUESTS, strengths)
    sheet = epoch_sheet(columns, rows, coloured(len(rows), 4), cell=128)
    boxes = {(r, c): places_of(sheet, colour_of(r, c)) for r in range(len(rows)) for c in range(4)}
    assert all((right - left, bottom - top) == (128, 128) for left, top, right, bottom in boxes.values())
    for (row, column), (left, top, _, _) in boxes.items():
        assert left == boxes[0, column][0] and top == boxes[row, 0][1]
        assert column == 0 or left >= boxes[row, column - 1][2]
        assert row == 0 or top >= boxes[row - 1, column][3]


def test_pictures_that_are_not_there_yet_leave_their_place_empty():
    pictures = coloured(2, 3)
    full = np.asarray(epoch_sheet(columns_of(2), sheet_rows(REQUESTS, [1.0]), pictures, cell=64))
    left, top, right, bottom = places_of(Image.fromarray(full), colour_of(1, 1))
    del pictures[1, 1]
    partial = np.asarray(epoch_sheet(columns_of(2), sheet_rows(REQUESTS, [1.0]), pictures, cell=64))
    changed = (full != partial).any(axis=2)
    assert changed[top:bottom, left:right].all() and changed.sum() == 64 * 64


@pytest.mark.parametrize(
    "change",
    [
        lambda columns, rows: (columns[:1] + [replace(columns[1], title="epoch 7")], rows),
        lambda columns, rows: (columns[:1] + [replace(columns[1], facts=("step 8",))], rows),
        lambda columns, rows: (columns, sheet_rows([replace(REQUESTS[0], prompt="cow"), REQUESTS[1]], [0.5, 1.0])),
        lambda columns, rows: (columns, [replace(rows[0], strength=0.7), *rows[1:]]),
    ],
    ids=["title", "facts", "prompt", "strength"],
)
def test_every_label_shows_on_the_sheet_and_never_on_a_picture(change):
    columns, rows = columns_of(1), sheet_rows(REQUESTS, [0.5, 1.0])
    one = np.asarray(epoch_sheet(columns, rows, coloured(4, 2), cell=128))
    other = np.asarray(epoch_sheet(*change(columns, rows), coloured(4, 2), cell=128))
    left, top, right, bottom = places_of(Image.fromarray(one), colour_of(0, 0))
    assert (one != other).any()
    assert (one[top:bottom, left:right] == other[top:bottom, left:right]).all()


def test_titles_are_readable_on_a_thumbnail_of_the_sheet():
    """Ten epochs shown 1000 pixels wide: the titles' letters are still 7 pixels high or more."""
    sheet = epoch_sheet(columns_of(9), sheet_rows(REQUESTS, [1.0]), coloured(2, 10))
    title = np.asarray(sheet.convert("L"))[: places_of(sheet, colour_of(0, 0))[1]]
    lines = np.nonzero((title > 150).any(axis=1))[0]
    assert (lines.max() - lines.min() + 1) * 1000 / sheet.width >= 7


@pytest.mark.parametrize(("columns", "rows"), [(51, 2), (51, 12), (3, 60), (120, 1)])
def test_a_sheet_of_many_epochs_or_prompts_stays_within_bounds(columns, rows):
    requests = [replace(REQUESTS[0], seed=seed) for seed in range(rows)]
    sheet = epoch_sheet(columns_of(columns - 1), sheet_rows(requests, [1.0]), {}, cell=512)
    assert max(sheet.size) < 9000
    assert cell_size(columns, rows, 512) >= 48


def test_a_sheet_of_nothing_is_refused():
    for columns, rows in (([], sheet_rows(REQUESTS, [1.0])), (columns_of(1), [])):
        with pytest.raises(TrainingError, match="at least one prompt and one epoch"):
            epoch_sheet(columns, rows, {})


@pytest.mark.parametrize("text", ["one two three four five six seven", "unbreakable" * 20, "猫, 粉色背景 " * 9])
def test_wrapped_lines_fit_and_say_when_something_is_missing(text):
    lines = wrap(text, 90, 14, most_lines=2)
    assert len(lines) <= 2 and all(text_width(line, 14) <= 90 for line in lines)
    assert lines[-1].endswith("…")
    assert wrap("short text", 200, 14, most_lines=2) == ["short text"]


@pytest.mark.parametrize("share_of_end", [0, 0.5])
def test_as_much_of_a_text_is_kept_as_fits(share_of_end):
    whole = "abcdefghij" * 3
    for width in range(0, 200, 7):
        text = cut(whole, width, 14, share_of_end)
        kept = len(text) - 1
        longer = whole[: kept + 1 - int((kept + 1) * share_of_end)] + "…" + whole[30 - int((kept + 1) * share_of_end) :]
        assert text == "…" or text_width(text, 14) <= width < text_width(longer, 14)
    started = time.perf_counter()
    cut("a very long prompt " * 1000, 200, 14)
    assert time.perf_counter() - started < 2


# ------------------------------------------------------------------------------------------------- a run's own sheet


@pytest.fixture(scope="module")
def lora(tmp_path_factory) -> TrainedLora:
    """A run of two kept epochs with strong random LoRAs; steps 1 to 3, and 4 to 6."""
    folder = tmp_path_factory.mktemp("run")
    base = write_checkpoint(folder / "tiny.safetensors", tiny_sd15())
    for epoch in (2, 4):
        tensors = {}
        for module, targets in targets_of(tiny_sd15()):
            adapters = Adapters(module, targets, 4, 2.0)
            adapters.initialise(epoch)
            for up in adapters.parameters()[1::2]:
                up.data.normal_(generator=torch.Generator().manual_seed(epoch))
            tensors |= adapters.tensors()
        (folder / f"{epoch}.safetensors").write_bytes(lora_bytes(tensors, {}, torch.float32))
    return TrainedLora(
        run_folder=folder, name="mochi", base_model=base, plan=TrainingPlan(), trigger_words=(),
        epochs=tuple(SavedEpoch(epoch=e, step=s, path=folder / f"{e}.safetensors") for e, s in ((2, 3), (4, 6))),
        losses=(0.3, 0.2, 0.1, 0.5, float("nan"), 0.3),
    )  # fmt: skip


def report(epoch: int, step: int, held_out: float | None) -> ValidationReport:
    return ValidationReport(
        epoch=epoch, step=step, training_loss=0.25 / (epoch + 1), held_out_loss=held_out, per_picture={},
        per_held_out={},
    )  # fmt: skip


def test_columns_tell_step_and_losses_measured_ones_where_there_are_any(lora):
    columns = epoch_columns(lora, [report(0, 0, 0.5), report(2, 3, None)])
    assert [column.title for column in columns] == ["base model", "epoch 2", "epoch 4"]
    assert columns[0].facts == ("step 0", "trained 0.2500", "held out 0.5000")
    assert columns[1].facts == ("step 3", "trained 0.0833")
    assert columns[2].facts == ("step 6", "loss 0.4000")
    assert epoch_columns(lora, [])[1].facts == ("step 3", "loss 0.2000")


def test_of_several_loras_of_an_epoch_only_the_measured_one_shows_what_was_measured(lora):
    saved = tuple(replace(one, epoch=1) for one in lora.epochs)
    columns = epoch_columns(replace(lora, epochs=saved), [report(0, 0, None), report(1, 6, None)])
    assert columns[1].facts == ("step 3", "loss 0.2000")
    assert columns[2].facts == ("step 6", "trained 0.1250")


def test_the_sheets_pictures_come_from_one_load_and_are_those_of_separate_loads(lora, monkeypatch):
    columns, rows = epoch_columns(lora, []), sheet_rows(REQUESTS, [0.0, 0.5, 1.0])
    loads = []
    load = sampling.previewer.load_base_model
    monkeypatch.setattr(sampling.previewer, "load_base_model", lambda *a: (loads.append(1), load(*a))[1])
    previewer = Previewer(lora.base_model, clip_skip=1, device="cpu", precision="fp32", tokenizer_folders=())
    found = list(draw_cells(previewer, columns, rows, cell=48))
    assert len(loads) == 1
    pictures = {(one.row, one.column): one.picture for one in found if isinstance(one, DrawnCell)}
    assert len(pictures) == 18
    for (row, column), picture in pictures.items():
        expected = preview(columns[column].lora, lora.base_model, [rows[row].request], strength=rows[row].strength)
        assert picture.tobytes() == next(expected).resize(picture.size, Image.Resampling.LANCZOS).tobytes()
    # The bare base model is drawn once a prompt: 2 + 2 epochs x 2 prompts x 2 strengths, of 2 steps each.
    assert sum(isinstance(one, StageReport) for one in found) == 2 * (2 + 8)
