"""Parts by name, and those that other packages add through entry points."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from avaffect.core.configuration import read
from avaffect.core.errors import AvaffectError, DataError, UsageError
from avaffect.core.registry import Part, Registry


@dataclass(frozen=True)
class Size:
    width: int = 1

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError("width is at least 1")


class Box:
    def __init__(self, configuration: Size) -> None:
        self.configuration = configuration


BOX = Part(Size, Box)


def registry(group: str | None = None) -> Registry:
    found = Registry("box", group, DataError)
    found.register("box", f"{__name__}:Size", f"{__name__}:Box")
    return found


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that adds two parts: one that is there, one whose module is not."""
    folder = tmp_path / "boxes-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: boxes\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        f"[avaffect.boxes]\ntheirs = {__name__}:BOX\nlost = no_such_module:BOX\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_described_part_is_built_again() -> None:
    boxes = registry()
    description = boxes.describe(Box(Size(3)))
    assert description == {"name": "box", "configuration": {"width": 3}}
    assert boxes.build(description).configuration == Size(3)


@dataclass(frozen=True)
class Crate:
    size: Size
    boxes: tuple[Size, ...] = ()
    strides: tuple[tuple[int, int], ...] = ()
    label: str | None = None
    spare: Size | None = None


def test_a_nested_configuration_survives_json() -> None:
    """Lists become tuples, objects configurations; what does not fit is an error."""
    crate = Crate(Size(3), (Size(1), Size(2)), ((5, 2), (3, 1)), spare=Size(4))
    assert read(Crate, json.loads(json.dumps(asdict(crate)))) == crate
    assert read(Crate, asdict(crate)) == crate
    assert read(Crate, {"size": Size(3)}) == Crate(Size(3))
    for wrong in ({"size": {"height": 1}}, {"size": {"width": 0}}, {"size": {}, "strides": [[1]]},
                  {"size": {}, "boxes": 3}, {"size": {}, "colour": "red"}, {}):  # fmt: skip
        with pytest.raises((KeyError, TypeError, ValueError)):
            read(Crate, wrong)


def test_places_are_imported_when_used() -> None:
    boxes = Registry("box", None)
    boxes.register("far", None, "no_such_module")
    assert list(boxes) == ["far"] and "far" in boxes
    with pytest.raises(ModuleNotFoundError):
        boxes["far"].load()


@pytest.mark.parametrize("configuration", [{"width": 0}, {"height": 1}])
def test_a_configuration_that_does_not_fit(configuration: dict) -> None:
    with pytest.raises(DataError, match="box"):
        registry().build({"name": "box", "configuration": configuration})


def test_names_that_are_unknown_or_taken() -> None:
    with pytest.raises(DataError, match="known: box"):
        registry()["crate"]
    with pytest.raises(UsageError):
        Registry("box", None)["crate"]
    boxes = registry()
    with pytest.raises(ValueError):
        boxes.register("box", Size, Box)
    with pytest.raises(KeyError):
        registry().name_of(Size)


@pytest.mark.usefixtures("installed")
def test_other_packages_add_parts() -> None:
    boxes = Registry("box", "avaffect.boxes")
    boxes.register("own", None, Size)
    assert list(boxes) == ["own", "lost", "theirs"]
    assert boxes["theirs"] is BOX
    assert boxes.name_of(Box) == "theirs"
    assert boxes.build({"name": "theirs", "configuration": {"width": 2}}).configuration == Size(2)


@pytest.mark.usefixtures("installed")
def test_a_package_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(AvaffectError, match="no_such_module:BOX"):
        Registry("box", "avaffect.boxes")["lost"]
