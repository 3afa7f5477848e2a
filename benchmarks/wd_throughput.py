"""Pictures a second through a WD tagger: our path against a new session for every picture.

    python -m benchmarks.wd_throughput [--pictures 500] [--others 40] [--heavy 20]

The other way is that of the popular WD14 pack: for each picture the model is loaded from the disk, the list of tags
read, the picture decoded, prepared and asked about alone. It is measured on fewer pictures (`--others`), since each
costs the same: half of them before ours and half after, so that a load on the machine that comes or goes favours
neither. Both run on the CPU, on the same files, with the model in the disk's cache.

Two stand-ins of the true size on disk (378 MB, 10,861 tags):
- light: the work of a picture is a 57th of the true one, so that loading dominates, as it does with a GPU. The gate
  is here.
- true: the true work. On the CPU that is nearly all of the time either way, so it is measured on few pictures
  (`--heavy`), and the gain is small.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.types import Dataset
from trainer_core.tagging.asking import Asking
from trainer_core.tagging.wd import WdModel

from .wd_network import write_wd_vit

_SHRINK_LIGHT, _SHRINK_TRUE = 7, 1
_SIZE = (1024, 768)
_GATE = 5.0


def our_seconds(dataset: Dataset, model: WdModel, caches: Path) -> float:
    """With everything: loading, decoding, asking, keeping the answers."""
    asking = Asking(dataset, model, device="cpu", caches=caches)
    started = time.perf_counter()
    for _ in asking.steps():
        pass
    seconds = time.perf_counter() - started
    if not all(answer.general for answer in asking.answers()):
        raise SystemExit("a picture got no answer: what was measured is no tagging")
    return seconds


def other_seconds(files: Sequence[Path], model: WdModel) -> float:
    """With a session made for each picture."""
    started = time.perf_counter()
    for file in files:
        session = onnxruntime.InferenceSession(model.model, providers=["CPUExecutionProvider"])
        with open(model.tags, encoding="utf-8") as lines:
            names = [row[1] for row in csv.reader(lines)][1:]
        inputs = _prepared(file, session.get_inputs()[0].shape[1])
        (scores,) = session.run(None, {"input": inputs})
        sorted(zip(scores[0], names, strict=True), reverse=True)
    return time.perf_counter() - started


def _prepared(file: Path, side: int) -> np.ndarray:
    """(1, side, side, 3) float32: resized first, then padded."""
    with Image.open(file) as picture:
        scale = side / max(picture.size)
        small = picture.convert("RGB").resize([int(length * scale) for length in picture.size], Image.LANCZOS)
    square = Image.new("RGB", (side, side), "white")
    square.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
    return np.asarray(square, np.float32)[None, ..., ::-1]


def _write_pictures(folder: Path, count: int) -> Dataset:
    """JPEGs of 0.8 megapixels: patches of colour with grain, so that they weigh what photos do."""
    rng = np.random.default_rng(0)
    for index in range(count):
        patches = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize(_SIZE, Image.BICUBIC)
        grain = rng.normal(0, 8, (_SIZE[1], _SIZE[0], 1))
        pixels = (np.asarray(patches) + grain).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:04}.jpg", quality=90)
    return read_folder(folder)


def _compare(name: str, folder: Path, dataset: Dataset, shrink: int, others: int) -> float:
    """Measure both ways on one stand-in and print a line; the answer is how many times as fast ours is."""
    gigaflops = write_wd_vit(folder / name, shrink=shrink)
    model = WdModel(name, folder / name / "model.onnx", folder / name / "selected_tags.csv")
    megabytes = model.model.stat().st_size / 1e6
    files = [image.path for image in dataset.images[:others]]
    half = len(files) // 2
    before = other_seconds(files[:half], model)
    ours = len(dataset.images) / our_seconds(dataset, model, folder / "answers")
    other = len(files) / (before + other_seconds(files[half:], model))
    print(
        f"{name:8}{megabytes:8.0f}{gigaflops:10.1f}{len(dataset.images):8}{ours:10.2f}"
        f"{len(files):8}{other:10.2f}{ours / other:8.1f}",
        flush=True,
    )
    return ours / other


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--others", type=int, default=40, help="pictures for the other way")
    parser.add_argument("--heavy", type=int, default=20, help="pictures for the stand-in of true work")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pictures").mkdir()
        dataset = _write_pictures(folder / "pictures", options.pictures)
        few = dataset.with_images(dataset.images[: options.heavy])
        print(f"{'':8}{'':8}{'':10}{'ours':>18}{'session each':>18}")
        print(f"{'model':8}{'MB':>8}{'GFLOP':>10}{'n':>8}{'per s':>10}{'n':>8}{'per s':>10}{'times':>8}")
        times = _compare("light", folder, dataset, _SHRINK_LIGHT, options.others)
        _compare("true", folder, few, _SHRINK_TRUE, options.heavy)
    print(f"{'PASS' if times >= _GATE else 'FAIL'}  light: at least {_GATE:.0f} times as fast")
    return 0 if times >= _GATE else 1


if __name__ == "__main__":
    sys.exit(main())
