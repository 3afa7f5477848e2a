"""What can be known of the pack's code by reading it: which way imports run, what is never called, what is wired."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer_core.training import plan

PACK = Path(__file__).parents[1]
CORE = sorted((PACK / "trainer_core").rglob("*.py"))
NODES = sorted((PACK / "nodes").glob("*.py"))
SOURCES = [PACK / "__init__.py", *NODES, *CORE]
HOST_MODULES = {
    "comfy", "comfy_api", "comfy_execution", "comfy_extras", "execution", "folder_paths", "nodes", "server"
}  # fmt: skip
PLANS = [cls for cls in vars(plan).values() if dataclasses.is_dataclass(cls) and cls.__module__ == plan.__name__]

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
    for node in _walk(path, ast.Import, ast.ImportFrom):
        assert not refused & {name.split(".")[0] for name in _imported(node)}, _place(path, node)


def test_nothing_of_comfyui_is_imported_with_the_pack():
    tree = ast.parse((PACK / "__init__.py").read_text(encoding="utf-8"))
    assert not [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]


@pytest.mark.parametrize("cls", PLANS, ids=lambda cls: cls.__name__)
def test_every_field_of_the_plan_is_set_from_a_widget(cls):
    tree = ast.parse((PACK / "nodes" / "train_lora.py").read_text(encoding="utf-8"))
    (call,) = [node for node in ast.walk(tree) if _calls(node, cls.__name__)]
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    assert given.keys() == {field.name for field in dataclasses.fields(cls)}
    widgets = _input_ids(PACK / "nodes" / "train_lora_inputs.py")
    for name, value in given.items():
        used = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
        assert used & widgets, f"{cls.__name__}.{name} comes from no widget"


@pytest.mark.parametrize(
    "name", ["load_dataset", "smart_crop", "auto_tag", "train_lora", "save_lora", "preview_sample"]
)
def test_execute_takes_and_uses_every_input(name):
    inputs_file = PACK / "nodes" / ("train_lora_inputs.py" if name == "train_lora" else f"{name}.py")
    (execute,) = [f for f in _walk(PACK / "nodes" / f"{name}.py", ast.FunctionDef) if f.name == "execute"]
    taken = {argument.arg for argument in execute.args.args} - {"cls"}
    assert taken == _input_ids(inputs_file)
    used = {node.id for statement in execute.body for node in ast.walk(statement) if isinstance(node, ast.Name)}
    assert taken - used <= {"method"} if name == "auto_tag" else taken <= used


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


def _input_ids(path: Path) -> set[str]:
    """The ids of all `….Input("id", …)` in a file."""
    calls = [node for node in _walk(path, ast.Call) if ast.unparse(node.func).endswith(".Input")]
    return {ast.literal_eval(call.args[0]) for call in calls}


def _place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(PACK)}:{node.lineno}"
