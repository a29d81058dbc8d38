"""`split`: speaker- or session-disjoint splits or folds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from avaffect.core.errors import DataError, UsageError
from avaffect.core.hashing import file_content_id
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import reference
from avaffect.data import manifest, splitting
from avaffect.data.manifest import Item, Manifest
from avaffect.data.vocabulary import SPLITS
from avaffect.recipes.common import derived, speaker_classes, work
from avaffect.settings.base import semantic
from avaffect.settings.split import DEFAULT_RATIOS, SPEAKER, SplitSettings


def split(settings: SplitSettings, progress: Progress = SILENT) -> int:
    """Write the manifest with a split or fold for each item; returns the number of items.

    Raises UsageError for invalid ratios or folds; DataError if an item has no group, there are
    fewer groups than parts, a speaker would be in two parts, or splits exist and `replace` is not
    set.
    """
    if settings.lists:
        return _by_lists(settings, progress)
    ratios = _ratios(settings)
    source = manifest.read(settings.source, expect="corpus")
    _refuse_existing(source, settings.replace)
    parts = _parts(settings, source, ratios)
    for words in speaker_classes.doubts(source):
        progress.warn(words)
    if settings.by != SPEAKER:
        _check_speakers(source, parts, settings.allow_speaker_overlap, progress)
    items = [_with_part(item, part, settings.folds) for item, part in zip(source.items, parts)]
    _report(source, parts, ratios, settings, progress)
    facts = {**semantic(settings), "ratios": None if settings.folds else list(ratios)}
    return derived.write("split", settings, facts, source, items, progress)


def _by_lists(settings: SplitSettings, progress: Progress) -> int:
    """A published division. Items of no list have no part."""
    from avaffect.data import part_lists

    source = manifest.read(settings.source, expect="corpus")
    _refuse_existing(source, settings.replace)
    found = part_lists.read_parts(source, settings.parts)
    for part, entries in found.unknown.items():
        progress.warn(
            f"{settings.parts[part]}: {len(entries)} of its entries are not in {source.name}: "
            f"{work.some_of(entries)}"
        )
    order = list(settings.parts)
    folds = None if set(order) <= set(SPLITS) else len(order)
    known = [number for number in range(len(source.items)) if number in found.parts]
    listed = replace(source, items=[source.items[number] for number in known])
    places = [
        int(part) if folds else SPLITS.index(part) for part in (found.parts[n] for n in known)
    ]
    for words in speaker_classes.doubts(source):
        progress.warn(words)
    _check_speakers(listed, places, settings.allow_speaker_overlap, progress, lists=True)
    left = len(source.items) - len(known)
    if left:
        progress.warn(
            f"{left} of {count_of(len(source.items), 'utterance is', 'utterances are')} in no "
            "list, and get no part"
        )
    plain = [
        {key: value for key, value in item.items() if key not in ("split", "fold")}
        for item in source.items
    ]
    for number, place in zip(known, places):
        plain[number] = _with_part(source.items[number], place, folds)
    for part in order:
        items = [source.items[n] for n in known if found.parts[n] == part]
        speakers = len({item["speaker"] for item in items if item.get("speaker")})
        name = f"fold {part}" if folds else part
        progress.say(
            f"{name}: {count_of(len(items), 'utterance')}, {count_of(speakers, 'speaker')}"
        )
    # Which file is which part counts, not where it lies.
    contents = {part: file_content_id(path) for part, path in settings.parts.items()}
    given = tuple(
        dict(reference("ids", path, contents[part], settings.output))
        for part, path in settings.parts.items()
    )
    facts = {"lists": contents}
    return derived.write("split", settings, facts, source, plain, progress, further_inputs=given)


def _ratios(settings: SplitSettings) -> tuple[float, ...]:
    if settings.folds is not None:
        if settings.ratios:
            raise UsageError("--ratios and --folds exclude each other")
        return (1.0,) * settings.folds
    ratios = settings.ratios or DEFAULT_RATIOS
    if len(ratios) != len(SPLITS):
        raise UsageError("--ratios takes three numbers: train, development and test")
    if ratios[0] == 0:
        raise UsageError("--ratios 0: the share of train must be above 0")
    return ratios


def _refuse_existing(source: Manifest, replace: bool) -> None:
    for item in source.items:
        for key in ("split", "fold"):
            if item.get(key) is not None and not replace:
                raise DataError(
                    f"{source.name}: {item['id']} has a {key} already ({item[key]}), perhaps the "
                    "corpus's official one; --replace replaces them"
                )


def _parts(settings: SplitSettings, source: Manifest, ratios: tuple[float, ...]) -> list[int]:
    if not source.items:
        return []
    groups = splitting.groups_of(source, settings.by)
    weights = splitting.class_weights(source, groups, settings.stratify)
    try:
        assigned = splitting.assign(weights, ratios, settings.seed, settings.by)
    except DataError as error:
        raise DataError(f"{source.name}: {error}") from error
    parts = [0] * len(source.items)
    for group, rows in groups.items():
        for row in rows:
            parts[row] = assigned[group]
    return parts


def _check_speakers(
    source: Manifest, parts: list[int], allowed: bool, progress: Progress, lists: bool = False
) -> None:
    """lists: the parts are those of published lists, and any utterance may be in any of them."""
    unknown = sum(item.get("speaker") in (None, "") for item in source.items)
    if unknown:
        progress.warn(
            f"{count_of(unknown, 'item has', 'items have')} no speaker: leakage of speakers cannot "
            "be checked"
        )
    shared = splitting.shared_speaker(source, parts)
    if shared is None:
        return
    speaker, one, other = shared
    of_session = [
        None if lists else source.items[position].get("session") for position in (one, other)
    ]
    first, second = (
        f"session {session}" if session else source.items[position]["id"]
        for session, position in zip(of_session, (one, other))
    )
    said = f"speaker {speaker} is in {first} and in {second}, which went to different parts"
    if not allowed:
        instead = "" if lists else "use --by speaker, or "
        raise DataError(
            f"{source.name}: {said}: models would be tested on training speakers; {instead}"
            "--allow-speaker-overlap if this is intended"
        )
    progress.warn(said)


def _with_part(item: Item, part: int, folds: int | None) -> Item:
    rest = {key: value for key, value in item.items() if key not in ("split", "fold")}
    return {**rest, "fold": part} if folds else {**rest, "split": SPLITS[part]}


def _report(
    source: Manifest,
    parts: list[int],
    ratios: tuple[float, ...],
    settings: SplitSettings,
    progress: Progress,
) -> None:
    total = max(len(parts), 1)
    label = settings.stratify or _first_class_label(source)
    for part, ratio in enumerate(ratios):
        items = [item for item, at in zip(source.items, parts) if at == part]
        name = f"fold {part}" if settings.folds else SPLITS[part]
        groups = len({splitting.unit_of(item, settings.by) for item in items})
        said = [
            f"{name}: {count_of(len(items), 'utterance')} ({len(items) / total:.1%}, requested "
            f"{ratio / sum(ratios):.1%}), {count_of(groups, settings.by)}"
        ]
        counts = Counter((item.get("labels") or {}).get(label) for item in items)
        said.append(", ".join(f"{c} {counts[c]}" for c in sorted(filter(None, counts))))
        progress.say("; ".join(filter(None, said)))


def _first_class_label(source: Manifest) -> str | None:
    labels = source.header.labels or {}
    return next((name for name, facts in labels.items() if facts.kind == "class"), None)
