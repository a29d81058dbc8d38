"""`select`: keep the items of a manifest that meet conditions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from avaffect.core import filekind
from avaffect.core.errors import DataError, UsageError
from avaffect.core.hashing import content_id, file_content_id
from avaffect.core.near import meant
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import reference
from avaffect.core.seeds import generator
from avaffect.data import filtering, manifest
from avaffect.data.manifest import Item, Manifest
from avaffect.data.tables.texts import nfc, read_text
from avaffect.recipes.common import derived, work
from avaffect.settings.base import semantic
from avaffect.settings.select import SelectSettings

if TYPE_CHECKING:
    from avaffect.data.faces.pose import Poses


def select(settings: SelectSettings, progress: Progress = SILENT) -> int:
    """Write the manifest of the items that match; returns their number.

    Raises UsageError for an invalid condition, DataError for a field that no item has.
    """
    _check(settings)
    conditions = [filtering.Condition.parse(text) for text in settings.where]
    source = manifest.read(settings.source)
    items = source.items
    for condition in conditions:
        filtering.require_field(source, condition)
        _warn_unmet(source, condition, progress)
        items = [item for item in items if condition.holds(item)]
    facts, inputs = semantic(settings), []
    # Not recorded without poses, so that outputs of earlier versions stay up to date.
    del facts["within"]
    if settings.ids is not None:
        wanted = _listed(settings.ids)
        inputs.append(reference("ids", settings.ids, content_id(sorted(wanted)), settings.output))
        _warn_unknown(source, settings.ids, wanted, progress)
        items = [item for item in items if nfc(filtering.identifier_of(item)) in wanted]
    if settings.poses is not None:
        # Imported here: other conditions need neither NumPy nor h5py.
        from avaffect.data.faces.pose import WITHIN, read_poses

        poses = read_poses(settings.poses)
        facts["within"] = WITHIN if settings.within is None else settings.within
        inputs.append(reference("poses", poses.path, poses.content_id, settings.output))
        items = _looking_ahead(items, poses, facts["within"], progress)
    if settings.faces_in is not None:
        if settings.face_model is not None:
            identity = file_content_id(settings.face_model)
            inputs.append(reference("face model", settings.face_model, identity, settings.output))
        from avaffect.data.recordings import media_content_id

        inputs.append(reference("recordings", source.folder, media_content_id(source, items),
                                settings.output))  # fmt: skip
        # Detection takes hours: an output that is there is looked at before.
        given = tuple(dict(one) for one in inputs)
        if derived.is_current("select", settings, facts, source, given, progress):
            assert settings.output is not None
            return len(manifest.read(settings.output))
        if settings.dry_run:
            progress.say(f"would look for faces in {count_of(len(items), 'recording')}")
            return 0
        items = _with_faces(items, source.folder, settings, progress)
    items = _fewer(items, settings, progress)
    nothing = "; none left: an empty manifest" if not items else ""
    progress.say(f"kept {len(items)} of {count_of(len(source), 'item')}{nothing}")
    return derived.write(
        "select", settings, facts, source, items, progress,
        further_inputs=tuple(dict(given) for given in inputs),
    )  # fmt: skip


def _warn_unmet(source: Manifest, condition: filtering.Condition, progress: Progress) -> None:
    """What is mistyped keeps all items by !=, and none by =."""
    strange, texts = condition.unmet(source.items)
    for value in strange:
        names = {filtering.as_text(own) for item in source.items
                 for own in filtering.candidates_of(item, condition.field)}  # fmt: skip
        progress.warn(
            f"--where {condition.text}: no item has the {condition.field} {value!r}"
            f"{meant(value, names - {''})}"
        )
    if texts:
        progress.warn(
            f"--where {condition.text}: {condition.field} is no number in some items, which it "
            f"leaves out: {work.some_of(texts)}"
        )


def _check(settings: SelectSettings) -> None:
    if settings.limit is not None and settings.sample is not None:
        raise UsageError("--limit and --sample exclude each other")
    if settings.within is None:
        return
    if settings.poses is None:
        raise UsageError("--within needs --poses, a store or a table of head poses")


def _looking_ahead(
    items: list[Item], poses: Poses, within: float, progress: Progress
) -> list[Item]:
    """The items whose faces are turned by at most `within` degrees, in any direction."""
    from avaffect.data.items import video_of

    found = [poses.of(filtering.identifier_of(item), video_of(item)) for item in items]
    unknown = [filtering.identifier_of(i) for i, pose in zip(items, found) if pose is None]
    if items and len(unknown) == len(items):
        raise DataError(f"{poses.path} has the pose of none of the {count_of(len(items), 'item')}: "
                        "its ids "
                        f"differ from ids such as {unknown[0]}")  # fmt: skip
    kept = [item for item, pose in zip(items, found) if pose is not None and pose.within(within)]
    turned = len(items) - len(unknown) - len(kept)
    if turned:
        progress.say(f"left out: {turned} turned by more than {within:g} degrees")
    if unknown:
        progress.warn(
            f"left out: {len(unknown)} without a pose in {poses.path}: {work.some_of(unknown)}"
        )
    return kept


def _with_faces(
    items: list[Item], folder: Path, settings: SelectSettings, progress: Progress
) -> list[Item]:
    """The items with a face in at least `faces_in` of the pictures; others are counted, those that
    cannot be looked at are named."""
    from avaffect.data.faces.detection import check_model
    from avaffect.data.faces.options import FaceOptions
    from avaffect.data.faces.presence import Look, crashed, share_with_face
    from avaffect.data.items import video_of
    from avaffect.data.workers import ordered_map

    if settings.faces == "yunet":
        check_model(settings.face_model)
    options = FaceOptions(settings.faces, settings.face_model, fps=settings.faces_fps)
    looks = [
        Look(folder / video_of(item), options, item.get("start"), item.get("end")) for item in items
    ]
    jobs = min(settings.jobs or os.cpu_count() or 1, max(1, len(looks)))
    kept: list[Item] = []
    unreadable = []
    with progress.task("faces", len(looks)):
        for item, found in zip(items, ordered_map(share_with_face, looks, jobs, crashed)):
            if isinstance(found, str):
                unreadable.append(filtering.identifier_of(item))
            elif found >= (settings.faces_in or 0):
                kept.append(item)
            progress.advance(1)
    few = len(items) - len(kept) - len(unreadable)
    if few:
        progress.say(f"left out: {few} with a face in less than {settings.faces_in:g} of it")
    if unreadable:
        progress.warn(
            f"left out: {len(unreadable)} without pictures that can be read: "
            f"{work.some_of(unreadable)}"
        )
    return kept


def _listed(path: Path) -> set[str]:
    if filekind.kind_of(path) not in (filekind.TABLE, filekind.EMPTY, filekind.BLANK):
        raise filekind.other_kind(path, "ids")
    lines = read_text(path).splitlines()
    return {line.strip() for line in lines if line.strip()}


def _warn_unknown(source: Manifest, path: Path, wanted: set[str], progress: Progress) -> None:
    unknown = sorted(wanted - {nfc(filtering.identifier_of(item)) for item in source.items})
    if unknown:
        shown = ", ".join(unknown[:5])
        progress.warn(f"{count_of(len(unknown), 'id')} of {path} not in {source.name}: {shown}")


def _fewer(items: list[Item], settings: SelectSettings, progress: Progress) -> list[Item]:
    if settings.limit is not None:
        return items[: settings.limit]
    if settings.sample is None:
        return items
    if settings.sample > len(items):
        progress.warn(
            f"--sample {settings.sample}: only "
            f"{count_of(len(items), 'item matches', 'items match')}; all are kept"
        )
        return items
    drawn = generator(settings.seed, "select").permutation(len(items))[: settings.sample]
    return [items[position] for position in sorted(drawn.tolist())]
