"""What can be known of the pack's code by reading it: which way imports run, what is never called, what is wired."""

from __future__ import annotations

import ast
import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer_core.captions.rules import CaptionRules
from trainer_core.crop.rules import CropRules
from trainer_core.dataset.rules import ReadingRules
from trainer_core.tagging.captioning import CaptionerOptions
from trainer_core.training import plan

PACK = Path(__file__).parents[1]
CORE = sorted((PACK / "trainer_core").rglob("*.py"))
NODES = sorted((PACK / "nodes").glob("*.py"))
SOURCES = [PACK / "__init__.py", *NODES, *CORE]
HOST_MODULES = {
    "comfy", "comfy_api", "comfy_execution", "comfy_extras", "execution", "folder_paths", "nodes", "server"
}  # fmt: skip
PLANS = [cls for cls in map(vars(plan).get, plan.__all__) if dataclasses.is_dataclass(cls)]
NODES_OF_SETTINGS = [
    (ReadingRules, "load_dataset"),
    (CropRules, "smart_crop"),
    (CaptionRules, "auto_tag"),
    (CaptionerOptions, "auto_tag"),
    (plan.AdapterPlan, "lora_network"),
    (plan.NoisePlan, "noise_and_loss"),
    (plan.WeightingPlan, "noise_and_loss"),
    (plan.TimestepPlan, "noise_and_loss"),
    (plan.CaptionPlan, "caption_options"),
    (plan.SamplePlan, "samples"),
]
NODES_OF_SETTINGS += [(cls, "train_lora") for cls in PLANS if cls not in dict(NODES_OF_SETTINGS)]
NODE_NAMES = (
    "load_dataset", "images_to_dataset", "merge_datasets", "dataset_pictures", "smart_crop", "auto_tag",
    "check_dataset", "lora_network", "noise_and_loss", "caption_options", "samples", "train_lora", "train_again",
    "save_lora", "preview_sample", "epoch_sheet",
)  # fmt: skip

by_path = pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACK)))


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(PACK)))
def test_the_core_knows_neither_comfyui_nor_the_nodes(path):
    for node in _walk(path, ast.Import, ast.ImportFrom):
        assert not HOST_MODULES & {name.split(".")[0] for name in _imported(node)}, _place(path, node)
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level <= len(path.relative_to(PACK / "trainer_core").parts), _place(path, node)


@by_path
def test_parts_of_the_pack_import_each_other_relatively(path):
    """ComfyUI loads the pack under a name of its own, and `nodes` is a module of ComfyUI's."""
    for node in _walk(path, ast.Import, ast.ImportFrom):
        assert not {"nodes", "trainer_core"} & set(_imported(node)), _place(path, node)


@pytest.mark.parametrize("path", NODES, ids=lambda path: path.name)
def test_the_core_is_imported_when_comfyui_starts(path):
    """By its main thread. Of two that import diffusers at a time, the page's and the queue's, one fails."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("trainer_core"):
            assert node in tree.body, _place(path, node)


@by_path
def test_no_code_is_run_from_data(path):
    for node in _walk(path, ast.Call):
        name = ast.unparse(node.func)
        arguments = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        assert name not in ("eval", "exec", "compile", "__import__", "os.system", "os.popen"), _place(path, node)
        assert name not in ("yaml.load", "np.load", "numpy.load"), _place(path, node)
        assert arguments.get("shell") != "True", _place(path, node)
        if name == "torch.load":
            assert arguments.get("weights_only") == "True", _place(path, node)


@by_path
def test_no_pickles_no_subprocesses_no_network(path):
    refused = {
        "pickle", "cloudpickle", "dill", "marshal", "shelve", "subprocess", "requests", "socket", "ftplib", "urllib",
        "httpx", "aiohttp",
    }  # fmt: skip
    if path.parent.name == "nodes" and path.name.endswith("routes.py"):
        refused -= {"aiohttp", "urllib"}  # they answer requests and send none
    if path == PACK / "trainer_core" / "tagging" / "download.py":
        refused.remove("urllib")  # the one file that fetches, and only when asked
    if path == PACK / "trainer_core" / "training" / "launch.py":
        refused.remove("subprocess")  # a process has one GPU: this file starts torchrun, with this Python
    for node in _walk(path, ast.Import, ast.ImportFrom):
        assert not refused & {name.split(".")[0] for name in _imported(node)}, _place(path, node)


def test_nothing_of_comfyui_is_imported_with_the_pack():
    tree = ast.parse((PACK / "__init__.py").read_text(encoding="utf-8"))
    assert not [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]


@pytest.mark.parametrize(("cls", "name"), NODES_OF_SETTINGS, ids=lambda value: getattr(value, "__name__", value))
def test_every_setting_comes_from_a_widget(cls, name):
    (call,) = [node for node in _walk(PACK / "nodes" / f"{name}.py", ast.Call) if _calls(node, cls.__name__)]
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    assert given.keys() == {field.name for field in dataclasses.fields(cls)}
    widgets = _inputs_of(name)
    for field, value in given.items():
        used = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
        assert used & widgets, f"{cls.__name__}.{field} comes from no widget"


def test_every_node_is_looked_at():
    (listed,) = [f for f in _walk(PACK / "nodes" / "__init__.py", ast.AsyncFunctionDef) if f.name == "get_node_list"]
    classes = {node.id for node in ast.walk(listed.body[-1]) if isinstance(node, ast.Name)}
    assert classes == {name.title().replace("_", "") for name in NODE_NAMES}


@pytest.mark.parametrize("name", NODE_NAMES)
def test_execute_takes_and_uses_every_input(name):
    execute = _method(name, "execute")
    taken = _taken(execute)
    assert taken == _inputs_of(name)
    used = {node.id for statement in execute.body for node in ast.walk(statement) if isinstance(node, ast.Name)}
    assert taken <= used


def test_the_fingerprint_takes_every_input():
    """ComfyUI gives it all of them; what it does not take makes every run read the folder anew, without a word."""
    assert _taken(_method("load_dataset", "fingerprint_inputs")) == _inputs_of("load_dataset")


@pytest.mark.parametrize("page", ["job-file.md", "job-file.zh.md"])
def test_the_job_files_pages_list_every_field_of_the_plan(page):
    *_, of_the_plan = _listed_fields(page)
    assert of_the_plan == [*_field_names(plan.TrainingPlan)]


@pytest.mark.parametrize("page", ["job-file.md", "job-file.zh.md"])
def test_the_job_files_pages_list_no_field_twice(page):
    listed = [name for section in _listed_fields(page) for name in section]
    assert len(listed) == len(set(listed))


def test_both_languages_of_the_job_files_page_list_the_same_fields():
    assert _listed_fields("job-file.md") == _listed_fields("job-file.zh.md")


def _listed_fields(page: str) -> list[list[str]]:
    """For each section, what stands in back quotes at the beginning of the lines of its tables, in their order."""
    sections = (PACK / "docs" / page).read_text(encoding="utf-8").split("\n## ")
    return [[line.split("`")[1] for line in section.splitlines() if line.startswith("| `")] for section in sections]


def _field_names(cls: type, prefix: str = "") -> Iterator[str]:
    """Every field of a plan as "network.rank"."""
    for name, kind in typing.get_type_hints(cls).items():
        yield from _field_names(kind, f"{name}.") if dataclasses.is_dataclass(kind) else [prefix + name]


def _walk(path: Path, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return (node for node in ast.walk(tree) if isinstance(node, kinds))


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Absolute module names that a statement imports."""
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""] if node.level == 0 else []
    return [alias.name for alias in node.names]


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _method(name: str, method: str) -> ast.FunctionDef:
    (found,) = [f for f in _walk(PACK / "nodes" / f"{name}.py", ast.FunctionDef) if f.name == method]
    return found


def _taken(method: ast.FunctionDef) -> set[str]:
    return {argument.arg for argument in method.args.args} - {"cls"}


def _inputs_of(name: str) -> set[str]:
    """The ids of a node's inputs, from its file and those that it takes its widgets from."""
    path = PACK / "nodes" / f"{name}.py"
    modules = [node.module for node in _walk(path, ast.ImportFrom) if node.level == 1 and node.module]
    taken = [_inputs_of(module) for module in modules if module.endswith("_inputs")]
    return _input_ids(path).union(*taken)


def _input_ids(path: Path) -> set[str]:
    """The ids of all `….Input("id", …)` in a file. What Autogrow makes its sockets of is no input by itself."""
    calls = list(_walk(path, ast.Call))
    templates = [ast.unparse(call.args[0]) for call in calls if ".Template" in ast.unparse(call.func)]
    for statement in _walk(path, ast.Assign):
        if ast.unparse(statement.targets[0]) in templates:
            templates.append(ast.unparse(statement.value))
    inputs = [call for call in calls if ast.unparse(call.func).endswith(".Input")]
    return {ast.literal_eval(call.args[0]) for call in inputs if ast.unparse(call) not in templates}


def _place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(PACK)}:{node.lineno}"
