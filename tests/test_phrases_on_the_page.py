"""Short phrases of the server: what is said of files, pictures and runs is in every language of the page."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests import bad_captions
from tests.bad_pictures import write_corpus
from tests.training_jobs import small_job
from trainer_core.captions.advisor import _advice
from trainer_core.captions.composing import _silence
from trainer_core.captions.rules import CaptionRules
from trainer_core.captions.sidecars import _CHANGED, _READ_TWICE
from trainer_core.crop.crop import crop_dataset
from trainer_core.crop.rules import CropRules
from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.merge import merge
from trainer_core.dataset.rules import ReadingRules
from trainer_core.dataset.types import Dataset
from trainer_core.errors import TrainingError
from trainer_core.health.report import health_report
from trainer_core.lora.start import _remark
from trainer_core.training.compile_trial import Trial
from trainer_core.training.graph_trial import GraphTrial
from trainer_core.training.holdout import hold_out
from trainer_core.training.memory_choice import MemoryChoice, choose, choose_tiles, savings
from trainer_core.training.plan import OptimizerPlan, SchedulePlan, TrainingPlan, ValidationPlan
from trainer_core.training.plan.advice import plan_warnings
from trainer_core.training.plan.precision import PrecisionPlan
from trainer_core.training.presets import presets
from trainer_core.training.step_memory import GB, StepMemory
from trainer_core.training.validation import cost_remark

_ROOT = Path(__file__).parents[1]
_PHRASES = _ROOT / "web" / "words" / "phrases.mjs"
_READ = """
import(process.argv[1]).then(({ phrase }) => {
  const texts = JSON.parse(require("node:fs").readFileSync(0, "utf-8"));
  console.log(JSON.stringify(texts.map((text) => phrase(text, process.argv[2]))));
})
"""
_LENIENT = ReadingRules(most_unusable=1)
_TRIAL = {"wait": 30.0, "plain": 0.02, "compiled": 0.01, "plain_error": 1e-3, "compiled_error": 1e-3}
_TRIED = PrecisionPlan(short_memory="try")

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js on the PATH"),
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning", "ignore:Corrupt EXIF"),
]


def in_language(texts: list[str], locale: str) -> list[str]:
    command = ["node", "-e", _READ, _PHRASES.as_uri(), locale]
    done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def left_in_english(texts: list[str], locale: str) -> list[str]:
    return [text for text, told in zip(texts, in_language(texts, locale), strict=True) if told == text]


@pytest.fixture(scope="module")
def datasets(tmp_path_factory) -> list[Dataset]:
    """The corpora of bad pictures and bad captions, each as it is read."""
    pictures = tmp_path_factory.mktemp("phrases") / "set"
    write_corpus(pictures)
    found = [read_folder(pictures, rules=_LENIENT)]
    for row in bad_captions.ROWS:
        folder = row.make(tmp_path_factory.mktemp("captions"))
        try:
            found.append(read_folder(folder, rules=_LENIENT))
        except TrainingError:  # a row that leaves nothing to train
            continue
    return [*found, merge([found[0], found[0]])]


def said_of(datasets: list[Dataset]) -> Iterator[str]:
    for dataset in datasets:
        cropped = crop_dataset(dataset, CropRules(width=512, height=512, method="center", enlarge=True))
        for finding in (*health_report(dataset).findings, *health_report(cropped, batch_size=3).findings):
            yield from finding.labels
            yield from (str(value) for name, value in finding.values.items() if name in ("reason", "note", "remark"))


@pytest.fixture(scope="module")
def said_of_files(datasets) -> list[str]:
    return sorted(set(said_of(datasets)))


@pytest.mark.parametrize("locale", ["zh", "zh-TW"])
def test_all_that_is_said_of_bad_files_is_said_in_chinese(said_of_files, locale):
    texts = said_of_files
    assert len(texts) > 50 and left_in_english(texts, locale) == []


@pytest.mark.parametrize("locale", ["zh", "zh-TW"])
def test_every_label_that_a_check_can_give_is_said_in_chinese(locale):
    texts = sorted({text for path in (_ROOT / "trainer_core" / "health").glob("*.py") for text in _labels_in(path)})
    assert len(texts) > 15 and left_in_english(texts, locale) == []


def _labels_in(path: Path) -> Iterator[str]:
    """Labels as written, with a number for each place."""
    for call in (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)):
        written = [keyword.value for keyword in call.keywords if keyword.arg == "labels"]
        if ast.unparse(call.func) == "_Wording":
            yield f"{call.args[5].value} a.png"
        for value in written:
            value = value.elt if isinstance(value, ast.ListComp) else value
            if isinstance(value, ast.Constant):
                yield value.value
            elif isinstance(value, ast.JoinedStr):
                yield "".join(piece.value if isinstance(piece, ast.Constant) else "'7'" for piece in value.values)


def _returned(file: str, function: str) -> list[str]:
    """The texts that a function of training/ may return."""
    tree = ast.parse((_ROOT / "trainer_core" / "training" / file).read_text(encoding="utf-8"))
    (found,) = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == function)
    texts = [node.value.value for node in ast.walk(found) if isinstance(node, ast.Return)]
    return [text for text in texts if text]


def _needs(found: MemoryChoice, wanted: MemoryChoice) -> StepMemory:
    """Little for the one that is wanted, too much for the others."""
    return StepMemory(base=0 if found == wanted else 9 * GB, lora=0, step=0, overhead=0)


def said_of_runs(folder: Path) -> Iterator[str]:
    step = StepMemory(base=GB, lora=GB, step=GB, overhead=GB)
    for free in (None, 8 * GB, GB):
        yield from choose(TrainingPlan(precision=_TRIED), 1, lambda _: step, free)[1]
    reduced = TrainingPlan(precision=PrecisionPlan(short_memory="reduce"))
    four = replace(reduced, batch_size=4)
    for wanted in savings(four, 4, on_gpu=True):
        yield from choose(four, 4, lambda found, wanted=wanted: _needs(found, wanted), GB, on_gpu=True)[1]
        yield f"as the run began: {replace(wanted, tiles=True).words(four)}"
    for plan in (TrainingPlan(precision=_TRIED), reduced):
        yield from choose_tiles(plan, lambda tiles: GB if tiles else 4 * GB, 2 * GB)[1]
    for plan in (
        TrainingPlan(optimizer=OptimizerPlan(learning_rate=1.0)),
        TrainingPlan(optimizer=OptimizerPlan(name="Prodigy", text_encoder_rate=0)),
        TrainingPlan(optimizer=OptimizerPlan(name="AdamWScheduleFree", prodigy_d_coef=2.0)),
        TrainingPlan(schedule=SchedulePlan(warmup_steps=200, cycles=4)),
        TrainingPlan(schedule=SchedulePlan(name="cosine_with_restarts", cycles=1)),
        TrainingPlan(schedule=SchedulePlan(name="cosine_with_restarts", cycles=80)),
        TrainingPlan(schedule=SchedulePlan(name="constant", floor=0.1)),
    ):
        yield from plan_warnings(plan, 100)
    yield from (_remark(fresh, left) for fresh, left in ((2, 0), (0, 1), (1, 2)))
    for change in ({}, {"compiled": 1.0}, {"compiled_error": 1.0}):
        trial = Trial(blocks=4, kinds=2, **{**_TRIAL, **change})
        yield from (trial.line(steps) for steps in (10, 10_000))
    yield from (f"not compiled: {reason}" for reason in _returned("compiling.py", "_impossible"))
    yield from (f"no CUDA graphs: {reason}" for reason in _returned("memory_choice.py", "against_graphs"))
    yield "no CUDA graphs: a pass could not be recorded"
    for graph, off in ((0.1, 0.0), (0.3, 0.0), (0.1, 1.0)):
        yield GraphTrial(plain=0.2, graph=graph, off=off, most_off=0.01).line()
    yield "the two-prompt test could not be drawn: CUDA error"
    yield cost_remark(1, pictures=20, epochs=200, shown=4000)
    yield cost_remark(1, pictures=20, epochs=3, shown=60)
    yield "memory ran out while the LoRA was measured; the run goes on without that"
    yield "the base model is in nf4, as this run began. Delete the run to train on the whole one."
    dataset = small_job(folder).dataset
    yield hold_out(dataset, ValidationPlan(held_out_share=0)).remark
    yield hold_out(dataset, ValidationPlan(held_out_share=0.5)).remark


@pytest.mark.parametrize("locale", ["zh", "zh-TW"])
def test_the_reasons_of_presets_are_said_in_chinese(locale):
    texts = list(dict.fromkeys(choice.reason for preset in presets() for choice in preset.choices))
    assert [text for text, answer in zip(texts, in_language(texts, locale), strict=True) if text == answer] == []


@pytest.mark.parametrize("locale", ["zh", "zh-TW"])
def test_what_a_run_has_to_say_is_said_in_chinese(tmp_path, locale):
    texts = [text for text in dict.fromkeys(said_of_runs(tmp_path)) if text]
    assert len(texts) > 12 and left_in_english(texts, locale) == []


def test_names_numbers_and_phrases_within_are_taken_over():
    texts = ["skipped: truncated", "7 caption files belong to no picture beside them: a.txt, b.txt and 5 more", "odd"]
    assert in_language(texts, "zh") == [
        "已跳过：文件不完整",
        "7 个标注文件旁边没有对应的图片：a.txt, b.txt等另外 5 个",
        "odd",
    ]
    assert in_language(texts, "en") == in_language(texts, "fr") == texts


def said_below_nodes(datasets: list[Dataset]) -> Iterator[str]:
    """What Smart Crop and Auto Tag say of the pictures, and of what is hard on a crop."""
    for dataset in datasets[:1]:
        for rules in (CropRules(width=512, height=512, enlarge=True), CropRules(width=512, height=64, method="center")):
            yield from health_report(crop_dataset(dataset, rules), batch_size=3).crop_lines()
    for tag in ("blonde hair", "blue eyes", "tall", "red dress", "sitting", "outdoors", "smile"):
        yield from (one.line for one in (_advice(tag, share) for share in (0.95, 1.0)))
    yield from ("1 caption file written", "7 caption files written", f"a.txt is not written: {_CHANGED}")
    yield f"a.txt is not written: {_READ_TWICE}"
    yield from _silence(datasets[0], datasets[0].images[:1], CaptionRules(), None)
    yield from _silence(datasets[0], datasets[0].images[:3], CaptionRules(), None)


@pytest.fixture(scope="module")
def said_below(datasets) -> list[str]:
    return sorted(set(said_below_nodes(datasets)))


@pytest.mark.parametrize("locale", ["zh", "zh-TW"])
def test_what_stands_below_nodes_is_said_in_chinese(said_below, locale):
    texts = said_below
    assert len(texts) > 30 and left_in_english(texts, locale) == []
    half = [text for text in in_language(texts, locale) if re.search(r"[a-z]+ [a-z]+ [a-z]+ [a-z]+", text)]
    assert half == []
