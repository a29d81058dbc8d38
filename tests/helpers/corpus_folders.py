"""Folders that look like corpora, and the manifests made of them."""

from __future__ import annotations

from pathlib import Path

from avaffect.core.progress import Progress
from avaffect.data import manifest
from avaffect.recipes.manifest import make_manifest
from avaffect.settings.manifest import ManifestSettings


class Spoken(Progress):
    """Keeps what a user would have read."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.say = self.warn = self.lines.append  # type: ignore[method-assign]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def touch(folder: Path, *names: str, content: bytes = b"x") -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def made(output: Path, corpus: str, source: Path, **options) -> tuple[manifest.Manifest, str]:
    said = Spoken()
    make_manifest(ManifestSettings(corpus=corpus, source=source, output=output, **options), said)
    return manifest.read(output, expect="corpus"), said.text


def by_id(found: manifest.Manifest) -> dict[str, dict]:
    return {item["id"]: item for item in found.items}
