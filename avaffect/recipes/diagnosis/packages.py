"""Packages that avaffect needs, and those of its extras."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from avaffect import __version__
from avaffect.recipes.diagnosis.findings import BROKEN, FINE, OPTIONAL, Finding

ABOUT = "packages"
# Modules that are not called as their packages. Of torchaudio, what is used works without its
# compiled library, which fits one version of torch alone.
MODULES = {
    "pyyaml": "yaml",
    "opencv-python-headless": "cv2",
    "scikit-learn": "sklearn",
    "torchaudio": "avaffect.signal.audio",
}
# Extras that users install, and what each is for.
EXTRAS = {
    "huggingface": "transformers' weights and text encoders (import, extract-text)",
    "opensmile": "openSMILE's features (extract --model egemaps)",
    "plots": "figures (--plot)",
    "exchange": "formats of other programs (export, manifest)",
    "tensorboard": "curves for TensorBoard (monitor --tensorboard)",
    "dask": "work on several machines (--backend dask)",
}


def look() -> Iterator[Finding]:
    yield Finding(ABOUT, "avaffect", FINE, __version__)
    needed = [Requirement(text) for text in requires("avaffect") or ()]
    for item in needed:
        if item.marker is None:
            yield _found(item, None)
    for extra in EXTRAS:
        for item in needed:
            if item.marker is not None and item.marker.evaluate({"extra": extra}):
                yield _found(item, extra)


def _found(item: Requirement, extra: str | None) -> Finding:
    """extra: the one that needs it; None: avaffect itself."""
    target = f"'{item.name}{item.specifier}'"
    mend = f"python -m pip install {target}"
    try:
        held = version(item.name)
    except PackageNotFoundError:
        if extra is None:
            return Finding(ABOUT, item.name, BROKEN, "not installed", mend)
        return Finding(ABOUT, item.name, OPTIONAL, f"not installed: {EXTRAS[extra]}", mend)
    if not item.specifier.contains(held, prereleases=True):
        return Finding(ABOUT, item.name, BROKEN, f"{held}, where {item.specifier} is needed", mend)
    name = item.name if extra is None else f"{item.name} ({extra})"
    try:
        importlib.import_module(MODULES.get(item.name, item.name.replace("-", "_")))
    except Exception as error:
        # Whatever a package raises while it is imported, it cannot be used.
        words = f"{held}, but cannot be imported: {type(error).__name__}: {error}"
        again = f"python -m pip install --force-reinstall {target}"
        return Finding(ABOUT, name, BROKEN, words.splitlines()[0], again)
    return Finding(ABOUT, name, FINE, held)
