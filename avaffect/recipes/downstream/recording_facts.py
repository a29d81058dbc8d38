"""How recordings become what a classifier reads: recorded by finetune, used by predict."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from avaffect.core.errors import DataError
from avaffect.core.hashing import file_content_id
from avaffect.core.headers import ClassifierHeader, FaceCrops, Recordings
from avaffect.core.provenance import of_role
from avaffect.core.streams import FACE, FEATURES, WAVEFORM
from avaffect.data import artifacts
from avaffect.data.store.reader import Store
from avaffect.recipes.encoding.front_ends import FRONT_ENDS

FACE_MODEL_ROLE = "face model"
# Options of `preprocess` that streams do not show.
_UNSEEN = ("keep_silent", "channels", "audio_track")


def recordings_of(stores: Sequence[Store], streams: Sequence[str]) -> Recordings | None:
    """How these streams of the stores were made; None where they are no recordings'.

    Of several stores, the first that has faces.
    """
    if not {WAVEFORM, FACE} & set(streams):
        return None
    with_faces = [store for store in stores if FACE in store.streams]
    store = next(iter(with_faces if FACE in streams else stores), stores[0])
    unseen: dict[str, Any] = {}
    if store.provenance.get("command") == "preprocess":
        made = store.provenance.get("settings", {})
        unseen = {name: made[name] for name in _UNSEEN if made.get(name)}
    return Recordings.from_dict({**unseen, "faces": _crops(store) if FACE in streams else None})


def _crops(store: Store) -> dict[str, Any] | None:
    """None where the store does not say how its faces were found."""
    spec = store.streams.get(FACE)
    if spec is None or "detector" not in spec.made:
        return None
    made = spec.made
    files = of_role(store.provenance, FACE_MODEL_ROLE)
    return FaceCrops(
        detector=made["detector"],
        size=spec.shape[0],
        color="rgb" if spec.shape[2] == 3 else "grey",
        fps=spec.rate_hz,
        margin=made.get("margin"),
        face=made.get("which"),
        align=bool(made.get("align", False)),
        model=made.get("model"),
        model_file=files[0]["path"] if files else None,
        width=spec.shape[1] if spec.shape[1] != spec.shape[0] else None,
        fit=made.get("fit"),
    ).to_dict()


def facts_of(model: Path, header: ClassifierHeader) -> Recordings:
    """How recordings are prepared for a classifier.

    A classifier of an earlier version does not say; the stores that it was trained on do, where
    they are found. Raises DataError where it reads faces, and nothing says how they were cropped.
    """
    found = header.recordings
    if found is None and {WAVEFORM, FACE} & set(header.streams):
        found = recordings_of(media_stores(model, header), header.streams)
    found = found or Recordings()
    check_known(model, found, header.streams)
    return found


def check_known(model: Path, found: Recordings | None, streams: Sequence[str]) -> None:
    """Raises DataError where faces are read, and nothing says how they were cropped."""
    if FACE in streams and (found is None or found.faces is None):
        raise DataError(
            f"{model} reads faces, and neither it nor a store that it was trained on says how they "
            "were cropped: recordings would get other crops; give stores of `avaffect preprocess`"
        )


def media_stores(model: Path, header: ClassifierHeader) -> list[Store]:
    """The stores that a classifier was trained on. Raises DataError where none is found."""
    missing: DataError | None = None
    stores = []
    for parent in header.parents("media"):
        try:
            stores.append(Store(artifacts.locate_parent(parent, model)))
        except DataError as error:
            missing = error
    if not stores and FACE in header.streams:
        raise missing or DataError(f"{model} does not name the stores that it was trained on")
    return stores


def face_model_file(
    model: Path, header: ClassifierHeader, crops: FaceCrops, given: Path | None = None
) -> Path:
    """The file of the face detector's weights, recognised by its content.

    given: where it is; None: it is searched for from the classifier's media stores, and as any
    input is. Raises DataError where it is at none of these places, or another file is given.
    """
    if given is not None:
        if not given.is_file():
            raise DataError(f"--face-model {given}: no such file")
        if file_content_id(given) != crops.model:
            raise DataError(
                f"--face-model {given}: other weights than those of {crops.model_file}, with which "
                f"{crops.detector} found the faces that {model} was trained on"
            )
        return given
    named = Path(crops.model_file or "the detector's weights (.onnx)")
    here = model.resolve().parent
    folders = [(here / parent["path"]).parent for parent in header.parents("media")]
    for place in [p for f in [*folders, here] for p in artifacts.places_of(named, f, model)]:
        if file_content_id(place) == crops.model:
            return Path(os.path.relpath(place))
    raise DataError(
        f"{model} reads faces that {crops.detector} found, and {named.name}, its weights, is not "
        f"beside it: put it there, or add its folder to {artifacts.SEARCH_PATH}; `avaffect bundle` "
        "makes a classifier that needs no other file"
    )


def front_ends_of(
    model: Path, header: ClassifierHeader, without: Sequence[str] = ()
) -> tuple[dict[str, str], str | None]:
    """Name of features -> the front-end that makes them of a waveform; and that of the features in
    the place of an encoder, None where there are none. without: names that are not read.

    Raises DataError for features that no front-end makes, or whose package is not installed.
    """
    own = header.preprocessing.features if FEATURES in header.streams else None
    read = {n: made for n, made in (header.features or {}).items() if n not in without}
    return computed(model, read, own)


def computed(
    model: Path, features: Mapping[str, Mapping[str, Any]], own: Mapping[str, Any] | None
) -> tuple[dict[str, str], str | None]:
    """`front_ends_of` by how features were made."""
    named = {
        name: _front_end(
            model, f"the features {name}", made, f", or do without: --without-features {name}"
        )
        for name, made in features.items()
    }
    return named, None if named or own is None else _front_end(model, "features", own)


def _front_end(model: Path, what: str, made: Mapping[str, Any], else_: str = "") -> str:
    name = made.get("front_end")
    if not isinstance(name, str) or name not in FRONT_ENDS:
        by = "a model that is not in its file" if "model" in made else "another program"
        by = "extract-text" if "text_encoder" in made else by
        raise DataError(
            f"{model} reads {what}, which {by} made: a recording does not give them; predict from "
            f"a store of these features{else_}"
        )
    package = FRONT_ENDS[name].needs
    if package is not None and find_spec(package) is None:
        raise DataError(
            f"{model} reads {what} of {name}: install {package} (pip install {package})"
        )
    return name
