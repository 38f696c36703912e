"""The rules of docs/architecture.md that can be read off the source."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "ifambench"
FILES = sorted(PACKAGE.rglob("*.py"))

BASE = {"errors", "settings", "registry", "progress", "atomic"}
RECORDS = {"rescore", "metrics", "records", "comparable", "comparison", "compare_seeds", "gates"}
RECORDS |= {"board", "ranking", "reports", "verdict", "verified"}
RECORDS |= {"compare_costs", "compare_warnings", "gate_bars", "over_seeds"}
WORK = {"train", "predict", "explain", "battery"}
FLOW = {"pipeline", "plan", "plan_checks", "assemble", "gallery", "loaded", "parts"}
FLOW |= {"plan_explain", "measuring", "reuse", "explain_image", "image_model", "request", "storing"}
FLOW |= {"repeat"}
ALLOWED = {
    **dict.fromkeys(BASE, BASE),
    **dict.fromkeys(RECORDS, BASE | RECORDS | {"suites", "data"}),
    "suites": BASE,
    "data": BASE | {"suites"},
    "models": BASE | RECORDS | {"suites", "data"},
    **dict.fromkeys(WORK, BASE | RECORDS | WORK | {"suites", "data", "models"}),
    **dict.fromkeys(FLOW, BASE | RECORDS | WORK | FLOW | {"suites", "data", "models"}),
    "api": BASE | RECORDS | {"suites", "data"},
    "doctor": BASE | RECORDS | WORK | {"suites", "data", "models"},
    "cli": BASE | RECORDS | WORK | FLOW | {"suites", "data", "models", "doctor"},
    "__main__": {"cli"},
}
HEAVY = {"torch", "torchvision", "timm", "captum", "sklearn", "scipy", "matplotlib", "jinja2"}
TORCH = {"torch", "torchvision", "timm", "captum", "lightning_fabric"}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def part(path: Path) -> str:
    """The part of the package a file belongs to: its folder, or its own name."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def walk(node: ast.AST, *, into_functions: bool = True) -> Iterator[ast.AST]:
    """All nodes that are executed: not those for the type checker."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            continue
        yield child
        if into_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from walk(child, into_functions=into_functions)


def imported(path: Path, *, into_functions: bool = True) -> set[str]:
    """The dotted names of all imported modules."""
    found = set()
    for node in walk(tree(path), into_functions=into_functions):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = str(node.module)
            found |= (
                {f"ifambench.{alias.name}" for alias in node.names}
                if module == "ifambench"
                else {module}
            )
    return found


def tops(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def own_parts(modules: set[str]) -> set[str]:
    own = {module.split(".")[1] for module in modules if module.startswith("ifambench.")}
    return own - {"__version__"}


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef):
            yield node


def length(function: ast.FunctionDef) -> int:
    """Lines of the body after the docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_down_the_flow(path):
    here = part(path)
    if here == "__init__":
        assert not own_parts(imported(path))
        return
    assert here in ALLOWED, f"where in the flow is {here}?"
    above = own_parts(imported(path)) - ALLOWED[here] - {here}
    assert not above, f"{here} imports from {sorted(above)}"


@pytest.mark.parametrize(
    "path", [path for path in FILES if part(path) in RECORDS | BASE], ids=name_of
)
def test_the_side_of_records_never_sees_torch(path):
    assert not tops(imported(path)) & TORCH


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if part(path) in RECORDS | BASE | {"cli", "suites", "doctor"}],
    ids=name_of,
)
def test_heavy_imports_are_inside_functions(path):
    assert not tops(imported(path, into_functions=False)) & HEAVY


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_click_and_no_pickle(path):
    assert not tops(imported(path)) & {"click", "dill", "cloudpickle", "joblib", "shelve"}
    used = {ast.unparse(node) for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
    used |= {name for name in imported(path) if name.startswith("pickle.")}
    pickled = {name for name in used if name.startswith("pickle.")}
    assert pickled <= {"pickle.UnpicklingError"}  # what torch raises for a damaged file


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_loading_runs_no_code(path):
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        assert called not in {"eval", "exec"}
        if called == "torch.load":
            assert given.get("weights_only") == "True", f"line {node.lineno}"
        if called in {"np.load", "numpy.load"}:
            assert given.get("allow_pickle") == "False", f"line {node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_the_command_line_prints(path):
    calls = [ast.unparse(node.func) for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    writers = {"print", "sys.stdout.write", "sys.stderr.write", "typer.echo"}
    assert part(path) == "cli" or not writers & set(calls)


def test_one_broad_except_in_main():
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in FILES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and is_broad(node)
    ]
    assert len(found) == 1, found
    assert found[0].startswith("cli/__init__.py")


def is_broad(node: ast.ExceptHandler) -> bool:
    """`except:`, `except Exception` or `except BaseException`, unless it only raises again."""
    names = set(re.findall(r"\w+", ast.unparse(node.type))) if node.type else {"Exception"}
    last = node.body[-1]
    again = isinstance(last, ast.Raise) and last.exc is None
    return bool(names & {"Exception", "BaseException"}) and not again


def test_functions_are_short():
    lengths = sorted(length(function) for path in FILES for function in functions(path))
    assert statistics.median(lengths) <= 10
    assert lengths[int(0.9 * len(lengths))] <= 30


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_function_is_longer_than_60_lines(path):
    long = {function.name: length(function) for function in functions(path)}
    assert not {name: n for name, n in long.items() if n > 60}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_what_is_public_is_documented(path):
    content = tree(path)
    if content.body:
        assert ast.get_docstring(content), "the module"
    bare = [
        node.name
        for parent in (content, *(n for n in content.body if isinstance(n, ast.ClassDef)))
        for node in parent.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not (isinstance(parent, ast.ClassDef) and parent.name.startswith("_"))
        and not ast.get_docstring(node)
        and "overload" not in [ast.unparse(item) for item in node.decorator_list]
    ]
    assert not bare
