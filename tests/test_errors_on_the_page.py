"""Every error that a page may show is there in both Chinese; found in the source, so that none is forgotten."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.test_phrases_on_the_page import in_language
from trainer_core.families import identify
from trainer_core.tagging import captioner_folder, finding
from trainer_core.training.plan import samples
from trainer_core.training.presets import _ADVICE
from trainer_core.training.step_memory import GB, StepMemory

_ROOT = Path(__file__).parents[1]
_NOT_ON_A_PAGE = (
    "trainer_core/kohya",
    "trainer_core/commands",
    "trainer_core/job.py",
    "trainer_core/job_captions.py",
    "trainer_core/fields.py",  # job files and what lies in a run's folder
    "trainer_core/training/team.py",  # torchrun
)
_MEMORY = StepMemory(base=GB, lora=GB, step=GB, overhead=0).line() + "; 2.0 GB are free"
_FILLED = {
    "_what_is_wrong(path)": ["is damaged", "is damaged or not a safetensors file (12 bytes)"]
    + ["is cut short: 1,000 of 2,000 bytes are there (50 %)"],
    "_what_it_is(shapes)": [f"is {name} checkpoint" for _, name in identify._OTHERS]
    + ["is a LoRA, not a base model", "is a VAE, not a base model", "is a text encoder, not a base model"]
    + ["is a bare diffusers UNet; choose its whole folder, the one with model_index.json"]
    + ["is not a checkpoint of a family known here"],
    "' and '.join(missing)": ["a VAE", "a VAE and a text encoder", "a second text encoder"],
    "cause": ["rank 8 where the plan has 16", "another factor"],
    "told": [_MEMORY, "encoding the largest picture needs about 4.0 GB of memory, 2.0 GB are free"],
    "_first_problems(skipped)": ["First: mochi.png: empty file."],
    "_ADVICE[family]": list(_ADVICE.values()),
    "advice": ["", " or take model.safetensors (a .bin needs torch 2.6 or newer)"],
    "work.stage": ["training", "encoding pictures", "encoding captions", "loading the base model", "drawing a preview"]
    + ["drawing the epoch sheet", "tagging with wd-vit-tagger-v3", "measuring", "compiling", "recording CUDA graphs"],
    "wanted": ["a whole number", "a number", "a text", "true or false"],
    "remedy": ["Choose a smaller width and height.", "Choose a smaller tagger, or close what else uses the GPU."],
}
"""What stands in a place that is a phrase itself, by the expression that fills it."""
_FILLED_IN = {
    (captioner_folder.__name__, "what"): ["has no config.json", "is not a folder", "does not exist"],
    (captioner_folder.__name__, "found"): ["a Blip2Model", "no known model"],
    ("trainer_core.lora.block_weights", "what"): ["'MID' has 2 numbers", "there is no block 'IN99'"],
    ("trainer_core.captions.rules", "what"): ["existing captions", "the order of tags", "kinds to remove"],
    (identify.__name__, "kind"): ["an inpainting", "an edit"],
    (samples.__name__, "kind"): ["a whole number", "a number"],
    (samples.__name__, "problem"): ["the seed must be between 0 and 2^63 - 1, got -1. 0 will do."],
}
"""The same, where an expression means something else in each module."""
_MADE_ELSEWHERE = {
    "_nothing_usable(folder, files, skipped)": [
        "no usable picture in /set (found no files). Put pictures there that end in .png, .jpg.",
        "no usable picture in /set (found 2 .txt). First problem: a.png: empty file. "
        "Put pictures there that end in .png.",
    ],
    "NONE_IS_BEST if epoch == BEST else _not_kept(epoch, kept)": [
        "epoch 7 was not kept. Choose one of 1, 2, 0 for the last or -1 for the best."
    ],
    "_how_to_get(known, places.ours)": [finding._how_to_get(known, Path("/models")) for known in finding.CATALOGUE],
    "_reason(run.folder / PROCESS_LOG)": [
        "the processes that train have failed. The end of run/processes.log says why."
    ],
    "str(problem)": [],  # an error that was raised before
    "'nothing is being trained right now.' if run is None else 'this run is not being trained.'": [
        "nothing is being trained right now.",
        "this run is not being trained.",
    ],
}
"""Errors that a function puts together, by its call."""
_MARK = "Q7"

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js on the PATH")


def modules() -> Iterator[tuple[Path, ModuleType | None]]:
    """Every source file that may be heard of on a page; nodes are not imported, for they need ComfyUI."""
    for folder in ("trainer_core", "nodes"):
        for path in sorted((_ROOT / folder).rglob("*.py")):
            name = path.relative_to(_ROOT).with_suffix("")
            if not f"{name.as_posix()}.py".startswith(_NOT_ON_A_PAGE):
                is_core = folder == "trainer_core" and path.stem != "__main__"
                yield path, importlib.import_module(".".join(name.parts)) if is_core else None


class Texts:
    """The texts that an expression may give, in a module: a list, for some places have several phrases."""

    def __init__(self, tree: ast.Module, module: ModuleType | None) -> None:
        self._module, self._tree = module, tree
        self._constants = {
            node.targets[0].id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }

    def of(self, node: ast.expr) -> list[str]:
        written = ast.unparse(node)
        if isinstance(node, ast.Constant):
            return [str(node.value)]
        if isinstance(node, ast.JoinedStr):
            return ["".join(parts) for parts in itertools.product(*map(self.of, node.values))]
        if isinstance(node, ast.FormattedValue):
            return self._filled(node.value)
        if written in _MADE_ELSEWHERE:
            return _MADE_ELSEWHERE[written]
        if isinstance(node, ast.Name):
            return self._named(node.id)
        raise AssertionError(f"{written}: say in this test what it gives")

    def _named(self, name: str) -> list[str]:
        value = getattr(self._module, name, None)
        if isinstance(value, str):
            return [value]
        if name in self._constants:
            return self.of(self._constants[name])
        return [text for row in self._rows_with(name) for text in self.of(row)]

    def _rows_with(self, name: str) -> Iterator[ast.expr]:
        """What a loop over a written table gives a name."""
        for loop in ast.walk(self._tree):
            if isinstance(loop, ast.For) and isinstance(loop.target, ast.Tuple) and isinstance(loop.iter, ast.Tuple):
                names = [ast.unparse(one) for one in loop.target.elts]
                if name in names:
                    yield from (row.elts[names.index(name)] for row in loop.iter.elts)

    def _filled(self, node: ast.expr) -> list[str]:
        written = ast.unparse(node)
        module = getattr(self._module, "__name__", "")
        if filled := _FILLED_IN.get((module, written)) or _FILLED.get(written):
            return filled
        if isinstance(node, ast.Name) and (node.id in self._constants or isinstance(self._global(node.id), str)):
            return self._named(node.id)
        return [_MARK]

    def _global(self, name: str) -> object:
        return getattr(self._module, name, None)


def raised() -> Iterator[str]:
    for path, module in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = Texts(tree, module)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id in ("TrainingError", "StopAsked", "NotThere") and path.name != "checks.py":
                yield from texts.of(node.args[0])
            elif node.func.id == "require":
                _, field, _, rule, advice = node.args
                for one, must, told in itertools.product(texts.of(field), texts.of(rule), texts.of(advice)):
                    yield f"{one} must be {must}, got 5. {told[0].upper()}{told[1:]}."


_UNUSABLE = "cannot use {}: {}. Replace the file or take it out of the folder."
ERRORS = sorted(
    {*raised(), *(_UNUSABLE.format(_MARK, reason) for reason in ("empty file", "truncated", "not a picture"))}
)


def test_the_source_was_read() -> None:
    assert len(ERRORS) > 300
    assert "there is no folder Q7. Check the path." in ERRORS


@pytest.mark.parametrize("locale", ["zh", "zh-TW"])
def test_every_error_is_there_in_chinese(locale: str) -> None:
    answers = in_language(ERRORS, locale)
    assert [error for error, answer in zip(ERRORS, answers, strict=True) if answer == error] == []
    assert [answer for answer in answers if _english_in(answer)] == []


@pytest.mark.parametrize("locale", ["zh", "zh-TW"])
def test_names_and_numbers_are_taken_over(locale: str) -> None:
    lost = [
        (error, answer)
        for error, answer in zip(ERRORS, in_language(ERRORS, locale), strict=True)
        if error.count(_MARK) > answer.count(_MARK)
    ]
    assert lost == []


def test_an_unknown_error_stays_as_it_is() -> None:
    unknown = ["the moon is made of cheese. Choose another tagger.", "Traceback (most recent call last)"]
    assert in_language(unknown, "zh") == unknown


def _english_in(answer: str) -> list[str]:
    """Three English words in a row; what is typed as it stands does not count."""
    plain = re.sub(r"pip install \S+|python -m [\w .-]+|scale v-prediction loss|\([^)]*\)", "", answer)
    return re.findall(r"[A-Za-z']+ [a-z']+ [a-z']+", plain)
