"""The layers hold: a module imports only from those below, and light ones import no torch."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "avaffect"
EVERYWHERE = {"core", "settings"}
BELOW = {
    "core": set(),
    "settings": {"core"},
    "signal": EVERYWHERE,
    "data": EVERYWHERE | {"signal"},
    "synthetic": EVERYWHERE | {"data"},
    "models": EVERYWHERE | {"signal"},
    "objectives": EVERYWHERE | {"signal", "models"},
    "training": EVERYWHERE | {"signal", "models", "objectives"},
    "retrieval": EVERYWHERE,
    "evaluation": EVERYWHERE,
    "recipes": EVERYWHERE
    | {
        "signal",
        "data",
        "synthetic",
        "models",
        "objectives",
        "training",
        "retrieval",
        "evaluation",
    },
    "cli": EVERYWHERE | {"recipes"},
}
# Rooms of recipes: what commands share. Commands import from all rooms, and no room from a command.
ROOMS = {
    "common": set(),
    "media": {"common"},
    "encoding": {"common"},
    "downstream": {"common", "encoding", "media"},
    "pretraining": {"common", "encoding", "downstream"},
    "scoring": {"common", "downstream"},
    "exploring": {"common", "scoring"},
    "diagnosis": {"encoding"},
    "reporting": {"common", "media", "downstream", "scoring", "exploring", "monitoring"},
    "exchange": {"common", "encoding", "downstream"},
    "monitoring": {"common"},
}
# Who may import a library at all; a layer that is not named may not.
LIBRARIES = {
    "click": {"cli"},
    "rich": {"cli"},
    "h5py": {"data"},
    "av": {"data"},
    "cv2": {"data", "synthetic"},
    "torchaudio": {"signal"},
    "opensmile": {"signal"},
    "matplotlib": {"recipes"},
    "torch": {"signal", "models", "objectives", "training", "retrieval", "recipes"},
    "lightning_fabric": {"training", "recipes"},
    "pytorch_metric_learning": {"objectives"},
    "safetensors": {"training"},
    "pickle": {"core"},
    "_compat_pickle": {"training"},
    "transformers": {"training"},
    "onnx": {"recipes"},
    "onnxruntime": {"recipes"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


@functools.cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@functools.cache
def imported(path: Path) -> list[str]:
    """Every module that a file imports, at its top or within a function."""
    found = []
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_point_downwards(path: Path) -> None:
    parts = path.relative_to(PACKAGE).parts
    if len(parts) == 1:
        return
    layer = parts[0]
    for name in imported(path):
        top, *rest = name.split(".")
        if top == "avaffect" and rest and rest[0] in BELOW:
            assert rest[0] == layer or rest[0] in BELOW[layer], f"{layer} imports {name}"
        if top in LIBRARIES:
            assert layer in LIBRARIES[top], f"{layer} imports {name}"


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_of_recipes_import_downwards(room: str) -> None:
    for path in sorted((PACKAGE / "recipes" / room).rglob("*.py")):
        for name in imported(path):
            if name.startswith("avaffect.recipes."):
                there = name.split(".")[2]
                assert there == room or there in ROOMS[room], f"{path} imports {name}"


def test_every_layer_is_known() -> None:
    assert {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()} == set(
        BELOW
    )
    rooms = {path.name for path in (PACKAGE / "recipes").iterdir() if path.is_dir()}
    assert rooms - {"__pycache__"} == set(ROOMS)


def test_only_cli_prints_or_exits() -> None:
    for path in MODULES:
        if path.relative_to(PACKAGE).parts[0] in ("cli", "__main__.py"):
            continue
        for node in nodes(path):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("print", "sys.exit", "exit"), f"{path}:{node.lineno}"


LIGHT = (
    "import sys; {}; print(*[m for m in ('torch', 'h5py', 'sklearn', 'rich') if m in sys.modules])"
)


@pytest.mark.parametrize("layer", ["core", "settings", "data"])
def test_light_layers_import_no_torch(layer: str) -> None:
    names = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in MODULES
        if path.relative_to(PACKAGE).parts[0] == layer
    ]
    code = LIGHT.format("; ".join(f"import {name}" for name in names))
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in found.stdout.split()
