"""What SECURITY.md promises of the code itself, and that the tests that it names exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
MODULES = sorted((ROOT / "avaffect").rglob("*.py"))
# Of Python's library and of packages that come with the dependencies. `socket` gives the host's
# name to locks.
NETWORK = {"urllib", "http", "ftplib", "smtplib", "requests", "aiohttp", "httpx", "huggingface_hub",
           "xmlrpc", "socketserver", "asyncio"}  # fmt: skip
RUNS = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml"}
OF_YAML = "data/exchange/audformat.py"
UNPICKLERS = {"core/plain_pickles.py"}
CALLS_RUN = {"eval", "exec", "compile", "__import__"}


@cache
def _trees() -> list[tuple[str, ast.Module]]:
    return [
        (path.relative_to(ROOT / "avaffect").as_posix(), ast.parse(path.read_text("utf-8")))
        for path in MODULES
    ]


def _imported(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").split(".")[0])
    return found


def _calls(tree: ast.Module) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def _named(call: ast.Call) -> str:
    return ast.unparse(call.func)


def _given(call: ast.Call, name: str) -> str | None:
    return next((ast.unparse(k.value) for k in call.keywords if k.arg == name), None)


def test_every_promise_names_tests_that_exist() -> None:
    rows = [row for row in TEXT.split("## Where")[0].splitlines() if row.startswith("| ")][1:]
    promises = [row for row in rows if not row.startswith("| ---")]
    assert len(promises) >= 10
    for row in promises:
        named = re.findall(r"`(tests/\w+\.py)`", row)
        assert named and all((ROOT / name).is_file() for name in named), row


def test_contributing_points_to_it() -> None:
    assert "`SECURITY.md`" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_nothing_imports_what_reaches_the_network() -> None:
    found = {(name, module) for name, tree in _trees() for module in _imported(tree) & NETWORK}
    assert found == set()


def test_transformers_read_local_files_alone() -> None:
    tree = dict(_trees())["training/text_encoder.py"]
    calls = [call for call in _calls(tree) if _named(call).endswith("from_pretrained")]
    options = next(
        ast.literal_eval(node.value) for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "options"
    )  # fmt: skip
    assert options == {"local_files_only": True, "trust_remote_code": False}
    assert len(calls) == 2 and all(_given(call, "None") is None for call in calls)
    for call in calls:
        assert any(k.arg is None and ast.unparse(k.value) == "options" for k in call.keywords)


def test_exported_encoders_are_loaded_from_their_folder_alone() -> None:
    from avaffect.training.transformers_models import LOCAL

    tree = dict(_trees())["training/transformers_models.py"]
    calls = [call for call in _calls(tree) if _named(call).endswith("from_pretrained")]
    assert LOCAL == {"local_files_only": True, "trust_remote_code": False} and len(calls) == 2
    for call in calls:
        assert any(k.arg is None and ast.unparse(k.value) == "LOCAL" for k in call.keywords)


def test_one_module_unpickles_and_none_runs_texts() -> None:
    trees = _trees()
    assert {name for name, tree in trees if _imported(tree) & (RUNS - {"yaml"})} == UNPICKLERS
    assert {name for name, tree in trees if "yaml" in _imported(tree)} == {OF_YAML}
    of_yaml = [_named(c) for c in _calls(dict(trees)[OF_YAML]) if _named(c).startswith("yaml.")]
    assert of_yaml == ["yaml.safe_load"]
    for name, tree in trees:
        assert not [c for c in _calls(tree) if _named(c) in CALLS_RUN], name


@pytest.mark.parametrize(
    ("function", "option", "value"),
    [("torch.load", "weights_only", "True"), ("np.load", "allow_pickle", "False")],
)
def test_loaders_read_plain_values(function: str, option: str, value: str) -> None:
    calls = [call for _, tree in _trees() for call in _calls(tree) if _named(call) == function]
    assert calls and all(_given(call, option) == value for call in calls)
