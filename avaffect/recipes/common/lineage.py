"""From a retrieval manifest to its stores and models, by references alone.

manifest -> embedding stores -> their media stores and their projector -> the encoder before the
projector's training -> its quantiser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from avaffect.core import headers
from avaffect.core.errors import DataError
from avaffect.core.headers import CheckpointHeader, EncoderHeader
from avaffect.core.provenance import Reference, of_role
from avaffect.data import artifacts
from avaffect.data.manifest import Manifest
from avaffect.data.store.reader import Store

ROLES = ("query", "pool")


@dataclass(frozen=True)
class Lineage:
    """query, pool: embedding stores; *_media: their media stores; the models' paths.

    quantiser: None where it was not requested. labelled_speakers: speakers whose labels trained any
    of the models; those of the projector, which chose the pool, only with the pool.
    """

    query: list[Store]
    pool: list[Store]
    query_media: list[Store]
    pool_media: list[Store]
    projector: Path
    encoder: Path
    quantiser: Path | None
    labelled_speakers: tuple[str, ...]

    def media(self, role: str) -> list[Store]:
        """The media stores of the query or the pool."""
        return self.query_media if role == "query" else self.pool_media


def encoder_of(path: Path, header: CheckpointHeader) -> Path:
    """The encoder that a projector or classifier was trained on, found by reference.

    Raises DataError where the checkpoint does not name it, or it is missing or changed.
    """
    parents = header.parents("encoder")
    if not parents:
        raise DataError(f"{path} does not name the encoder that it was trained on")
    return artifacts.locate_parent(parents[0], path)


def trace_lineage(
    manifest: Manifest,
    encoder: Path | None,
    with_quantiser: Callable[[Path, EncoderHeader], bool],
    otherwise: str,
    roles: Sequence[str] = ROLES,
) -> Lineage:
    """Find the inputs of a retrieval manifest; `encoder` replaces the one under the projector.

    with_quantiser: whether the quantiser of an encoder (path, header) is looked for; otherwise: the
    advice where it is missing. roles: those whose stores are looked for. Raises DataError naming
    the file that is missing, has changed, or does not fit the others; for a quantiser it names the
    commands that make units.
    """
    stores = {role: embedding_stores(manifest, role) if role in roles else [] for role in ROLES}
    projector = _projector([*stores["query"], *stores["pool"]])
    header = headers.read(projector, CheckpointHeader)
    if encoder is None:
        encoder = encoder_of(projector, header)
    encoder_header = headers.read(encoder, EncoderHeader)
    trained = [header, encoder_header] if "pool" in roles else [encoder_header]
    quantiser = None
    if with_quantiser(encoder, encoder_header):
        quantiser = _quantiser(encoder, encoder_header, otherwise)
    return Lineage(
        stores["query"],
        stores["pool"],
        media_of(stores["query"]),
        media_of(stores["pool"]),
        projector,
        encoder,
        quantiser,
        headers.labelled_speakers(*trained),
    )


def embedding_stores(manifest: Manifest, role: str) -> list[Store]:
    """The stores that a retrieval manifest names as `role`: query or pool.

    Raises DataError where it names none, or one is missing or has changed.
    """
    references = (manifest.header.stores or {}).get(role, ())
    if not references:
        raise DataError(f"{manifest.name} names no {role} store; make it with `avaffect retrieve`")
    return [
        Store(artifacts.locate({"role": role, **entry.to_dict()}, manifest.folder, manifest.path))
        for entry in references
    ]


def _projector(stores: list[Store]) -> Path:
    found = [(store, parent) for store in stores for parent in _parents(store, "model")]
    for store, parent in found:
        if parent["content_id"] != found[0][1]["content_id"]:
            raise DataError(
                f"{stores[0].path} and {store.path} hold embeddings of different projectors; "
                "extract both with one"
            )
    return artifacts.locate_parent(found[0][1], stores[0].path)


def _quantiser(encoder: Path, header: EncoderHeader, otherwise: str) -> Path:
    found = header.parents("quantiser")
    try:
        if not found:
            raise DataError(
                f"{encoder} does not name the quantiser of the units that it was trained on"
            )
        return artifacts.locate_parent(found[0], encoder)
    except DataError as error:
        raise DataError(
            f"{error}. Or make units with `avaffect cluster MEDIA.h5 --features mfcc -o "
            "kmeans.safetensors` and `avaffect extract MEDIA.h5 --model kmeans.safetensors -o "
            "units.h5` for both corpora and give them with --units, or "
            f"{otherwise}"
        ) from error


def media_of(stores: list[Store]) -> list[Store]:
    """The media stores of embedding stores, each once.

    Raises DataError where a store does not record its inputs, or one is missing.
    """
    found: dict[str, Store] = {}
    for store in stores:
        for parent in _parents(store, "media"):
            if parent["content_id"] not in found:
                path = artifacts.locate_parent(parent, store.path)
                found[parent["content_id"]] = Store(path)
    return list(found.values())


def _parents(store: Store, role: str) -> list[Reference]:
    found = of_role(store.provenance, role)
    if not found:
        raise DataError(
            f"{store.path} does not name the {role} that it was made from; make it with "
            "`avaffect extract MEDIA.h5 --model PROJECTOR`"
        )
    return found
