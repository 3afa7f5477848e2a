"""How well crops keep their subject, on composites whose subject is known, and how long they take.

    python -m benchmarks.crop_quality [--seeds 101 102] [--quick] [--subjects] [--json FILE]

Prints a table of methods by set, the time of a crop, and PASS or FAIL for each gate. What is measured, after
A1111's and smartcrop's habit of judging by eye, as numbers: recall, the share of the subject's box in the window;
uncut, how often it is 0.99 or more; bad, how often it is below 0.75; face, how often 95 % of the face's box is inside.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median

from PIL import Image

from trainer_core.crop.window import Box, center_window, focus_window, window_around

from .composites import Composite, Difficulty, composites, photo

Method = Callable[[Composite], Box]
Row = tuple[float, float | None]
"""Recall of the subject and, where it has one, of its face."""
Results = dict[str, dict[str, list[Row]]]
"""Rows by method and subject."""
_SETS: tuple[Difficulty, ...] = ("easy", "hard")
_PICTURES, _QUICK_PICTURES = 150, 40


@dataclass(frozen=True, slots=True)
class Score:
    """What a method reaches on one set."""

    recall: float
    uncut: float
    bad: float
    face: float
    pictures: int


def methods() -> dict[str, Method]:
    """Every method by name; smartcrop where it is installed."""
    found: dict[str, Method] = {
        "center": lambda c: center_window(*c.picture.size, c.aspect),
        "ours": lambda c: focus_window(c.picture, c.aspect),
        "ours, given the mask": lambda c: window_around(c.mask, *c.picture.size, c.aspect),
    }
    try:
        import smartcrop
    except ImportError:
        return found
    cropper = smartcrop.SmartCrop()

    def by_smartcrop(composite: Composite) -> Box:
        left, top, right, bottom = center_window(*composite.picture.size, composite.aspect)
        width, height = right - left, bottom - top
        crop = cropper.crop(composite.picture, width, height, prescale=True)["top_crop"]
        x, y = min(crop["x"], composite.picture.width - width), min(crop["y"], composite.picture.height - height)
        return max(0, x), max(0, y), max(0, x) + width, max(0, y) + height

    found["smartcrop"] = by_smartcrop
    return found


def measure(cases: Iterable[Composite], tried: dict[str, Method]) -> Results:
    results: Results = {name: defaultdict(list) for name in tried}
    for case in cases:
        for name, method in tried.items():
            window = method(case)
            face = _recall(window, case.face) if case.face else None
            results[name][case.name].append((_recall(window, case.subject), face))
    return results


def score(rows: Iterable[Row]) -> Score:
    rows = list(rows)
    recalls, faces = [recall for recall, _ in rows], [face for _, face in rows if face is not None]
    return Score(
        recall=mean(recalls),
        uncut=mean(recall >= 0.99 for recall in recalls),
        bad=mean(recall < 0.75 for recall in recalls),
        face=mean(face >= 0.95 for face in faces) if faces else float("nan"),
        pictures=len(rows),
    )


def gates(results: dict[Difficulty, Results]) -> dict[str, bool]:
    """What must be true of "ours"."""
    whole = {d: {name: score(sum(by.values(), [])) for name, by in found.items()} for d, found in results.items()}
    easy, hard = whole["easy"]["ours"], whole["hard"]["ours"]
    found = {
        "easy: recall >= 0.97": easy.recall >= 0.97,
        "easy: bad <= 0.03": easy.bad <= 0.03,
        "hard: recall >= 0.85": hard.recall >= 0.85,
        "easy: face >= 0.95": easy.face >= 0.95,
        "hard: face >= 0.95": hard.face >= 0.95,
        "given the mask: recall >= 0.99": min(whole[d]["ours, given the mask"].recall for d in _SETS) >= 0.99,
    }
    for difficulty in _SETS:
        for subject, rows in results[difficulty]["ours"].items():
            center = mean(recall for recall, _ in results[difficulty]["center"][subject])
            found[f"{difficulty}: {subject} not worse than center"] = mean(recall for recall, _ in rows) >= center
        if "smartcrop" in whole[difficulty]:
            found[f"{difficulty}: better than smartcrop"] = (
                whole[difficulty]["ours"].recall > whole[difficulty]["smartcrop"].recall
            )
    return found


def milliseconds(megapixels: float, runs: int) -> float:
    """Median time of `focus_window` on photos brought to that size, without the decoding."""
    times = []
    for index in range(runs):
        picture = photo(("astronaut", "chelsea", "coffee", "rocket")[index % 4])
        scale = (megapixels * 1e6 / (picture.width * picture.height)) ** 0.5
        size = (round(picture.width * scale), round(picture.height * scale))
        large = picture.resize(size, Image.Resampling.BICUBIC)
        started = time.perf_counter()
        focus_window(large, 2 / 3)
        times.append(1000 * (time.perf_counter() - started))
    return median(times)


def run(seeds: Iterable[int], pictures: int) -> dict[Difficulty, Results]:
    tried = methods()
    return {
        difficulty: measure((case for seed in seeds for case in composites(seed, difficulty, pictures)), tried)
        for difficulty in _SETS
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102])
    parser.add_argument("--quick", action="store_true", help="fewer pictures")
    parser.add_argument("--subjects", action="store_true", help="also a row for each subject")
    parser.add_argument("--json", type=Path, help="also write every figure into this file")
    options = parser.parse_args()
    results = run(options.seeds, _QUICK_PICTURES if options.quick else _PICTURES)
    table = _table(results, options.subjects)
    print("\n".join(table))
    times = {"1 MP": milliseconds(1, 12), "24 MP": milliseconds(24, 4)}
    passed = gates(results) | {"1 MP: <= 20 ms": times["1 MP"] <= 20, "24 MP: <= 150 ms": times["24 MP"] <= 150}
    print(f"time of a crop (median): 1 MP {times['1 MP']:.1f} ms, 24 MP {times['24 MP']:.1f} ms")
    for gate, is_passed in passed.items():
        print(f"{'PASS' if is_passed else 'FAIL'}  {gate}")
    if options.json:
        scores = {d: {m: asdict(score(sum(by.values(), []))) for m, by in r.items()} for d, r in results.items()}
        options.json.write_text(json.dumps({"scores": scores, "milliseconds": times, "gates": passed}, indent=1))
    return 0 if all(passed.values()) else 1


def _table(results: dict[Difficulty, Results], with_subjects: bool) -> list[str]:
    lines = [f"{'method':24}{'set':8}{'recall':>8}{'uncut':>8}{'bad':>8}{'face':>8}{'n':>6}"]
    for difficulty, found in results.items():
        for name, by_subject in found.items():
            rows = {"": sum(by_subject.values(), [])} | (by_subject if with_subjects else {})
            for subject, cases in rows.items():
                s = score(cases)
                title = f"  {subject}" if subject else name
                figures = f"{s.recall:8.3f}{s.uncut:8.2f}{s.bad:8.3f}{s.face:8.2f}{s.pictures:6}"
                lines.append(f"{title:24}{difficulty:8}{figures}")
    return lines if "smartcrop" in results["easy"] else [*lines, "smartcrop: not installed"]


def _recall(window: Box, box: Box) -> float:
    """The share of `box` that lies in `window`."""
    width = max(0, min(window[2], box[2]) - max(window[0], box[0]))
    height = max(0, min(window[3], box[3]) - max(window[1], box[1]))
    return width * height / ((box[2] - box[0]) * (box[3] - box[1]))


if __name__ == "__main__":
    sys.exit(main())
