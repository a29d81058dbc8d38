"""`manifest`: from a corpus's folder or table to a manifest."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from avaffect.core.errors import DataError
from avaffect.core.hashing import content_id
from avaffect.core.inputs import STANDARD_INPUT
from avaffect.core.nouns import count_of, share_of
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import Provenance, path_option, provenance, reference
from avaffect.data import corpora, manifest
from avaffect.data.corpora.common import Corpus
from avaffect.data.tables import numerals, spellings
from avaffect.data.tables.texts import content_of
from avaffect.data.vocabulary import EMOTIONS
from avaffect.recipes.common import publishing, work
from avaffect.settings.base import semantic
from avaffect.settings.manifest import ManifestSettings

NAMED_AT_MOST = 5
# Keys of an item that are no fields of an utterance.
NO_FIELDS = ("kind", "id", "media", "labels", "start", "end", "fold")
# Names that corpora share and commands look for -> the option that gives a column its name.
COMMON = {
    "emotion": "--label emotion=COLUMN",
    **{name: f"--scalar {name}=COLUMN" for name in ("arousal", "valence", "dominance")},
    **{name: f"--{name} COLUMN" for name in ("speaker", "session", "split")},
    **{name: f"--field {name}=COLUMN" for name in ("sex", "age", "language", "text")},
}
# Fewer speakers of an utterance each may well be true.
MANY_SPEAKERS = 10
# More different numbers than a label of classes has.
MOST_NUMBERS = 20
# What makes an utterance a part of its recording.
_PARTS = ("start", "end", "audio_channels", "audio_track")


def make_manifest(settings: ManifestSettings, progress: Progress = SILENT) -> int:
    """Write the manifest of a corpus; returns the number of items.

    Raises DataError if the folder is not that of the corpus, an id occurs twice, or, with `strict`,
    an item is unusable.
    """
    corpus = corpora.read(settings)
    _check_ids(settings, corpus)
    _report(corpus, settings.strict, progress)
    _suggest_options(settings, corpus, progress)
    _suggest_names(corpus, progress)
    _warn_of_one_sound(settings, corpus, progress)
    record = _provenance(settings, corpus)
    if publishing.is_done(
        settings, record, progress, f"write {count_of(len(corpus.items), 'item')}"
    ):
        return len(corpus.items)
    header = manifest.new_header(
        "corpus",
        base=manifest.base_for(settings.output, corpus.root),
        corpus=corpus.name,
        labels=corpus.labels,
        provenance=record,
    )
    return manifest.write(settings.output, header, corpus.items)


def _check_ids(settings: ManifestSettings, corpus: Corpus) -> None:
    twice = [name for name, n in Counter(item["id"] for item in corpus.items).items() if n > 1]
    if twice:
        raise DataError(
            f"{settings.source}: {count_of(len(twice), 'id occurs', 'ids occur')} twice, such as "
            f"{twice[0]}: the tables list an utterance again; keep one line of each"
        )


def _warn_of_one_sound(settings: ManifestSettings, corpus: Corpus, progress: Progress) -> None:
    """Utterances that are the same recording as a whole, as of a table of parts whose times are not
    read."""
    by_sound: dict[str, list[str]] = defaultdict(list)
    for item in corpus.items:
        if not any(item.get(name) for name in _PARTS):
            by_sound[str(item["media"])].append(item["id"])
    same = [name for ids in by_sound.values() if len(ids) > 1 for name in ids]
    if same:
        how = "; --start and --end name the columns of their times" * (settings.corpus == "table")
        progress.warn(
            f"{count_of(len(same), 'utterance')} of a whole recording that is another one's, too: "
            f"{work.some_of(same)}{how}"
        )


def _provenance(settings: ManifestSettings, corpus: Corpus) -> Provenance:
    inputs = [reference("corpus", corpus.root, corpus.content_id, settings.output)]
    for path in corpus.tables:
        # The bytes of a table count, as it has the labels; of media, names and sizes.
        identity = content_id(content_of(path).hex())
        if path == STANDARD_INPUT:
            inputs.append({"role": "table", "path": "", "content_id": identity})
        else:
            inputs.append(reference("table", path, identity, settings.output))
    given = {
        name: value for name, value in semantic(settings).items() if value not in (None, [], False)
    }
    return provenance("manifest", {"corpus": settings.corpus, **given}, inputs, _paths(settings))


def _paths(settings: ManifestSettings) -> dict[str, Any]:
    """Files and folders that were given. The corpus, an input, is where its recordings are."""
    found: dict[str, Any] = {}
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        if item.name == "output" or value is None:
            continue
        several = value if isinstance(value, tuple) else (value,)
        paths = [
            path_option(path, settings.output)
            for path in several
            if isinstance(path, Path) and path != STANDARD_INPUT
        ]
        if paths:
            found[item.name] = paths if isinstance(value, tuple) else paths[0]
    return found


def _report(corpus: Corpus, strict: bool, progress: Progress) -> None:
    for reason, names in corpus.left_out.items():
        progress.say(f"left out, {reason}: {_named(names)}")
    for what, names in corpus.noted.items():
        progress.say(f"{what}: {_named(names)}")
    for reason, names in corpus.lost.items():
        if strict:
            raise DataError(f"{corpus.root}, {reason}: {_named(names)}; without --strict they "
                            "are left out")  # fmt: skip
        progress.warn(f"{reason}: {_named(names)}")
    known = [item["speaker"] for item in corpus.items if "speaker" in item]
    speakers = len(set(known))
    if known and len(known) < len(corpus.items):
        progress.warn(
            f"{len(corpus.items) - len(known)} of "
            f"{count_of(len(corpus.items), 'utterance has', 'utterances have')} no speaker: they "
            "cannot be split by speaker"
        )
    progress.say(
        f"{corpus.name}: "
        f"{share_of(len(corpus.items), corpus.expected or len(corpus.items), 'utterance')}, "
        f"{count_of(speakers, 'speaker')}"
    )
    for name in corpus.counted:
        values = [item[name] for item in corpus.items if name in item]
        progress.say(f"{name}: {_counts(values, sorted(set(values)))}")
    for label, facts in corpus.labels.items():
        values = [item["labels"][label] for item in corpus.items if label in item["labels"]]
        missing = len(corpus.items) - len(values)
        lacking = f"; missing {missing}" if missing else ""
        if facts["kind"] == "class":
            progress.say(f"{label}: {_counts(values, facts['classes'])}{lacking}")
        else:
            progress.say(f"{label}: {len(values)}{lacking}")
    _suggest_spellings(corpus, progress)
    _suggest_numbers(corpus, progress)


def _suggest_options(settings: ManifestSettings, corpus: Corpus, progress: Progress) -> None:
    """Of the user's own corpora: which option gives the labels or speakers that are missing."""
    label, speaker = {
        "folder": ("--layout '{emotion}/*'", "{speaker} in --layout"),
        "table": ("--label NAME=COLUMN", "--speaker COLUMN"),
    }.get(settings.corpus, ("", ""))
    if not label:
        return
    if not corpus.labels and not corpus.noted:
        progress.say(f"no labels: {label} names them; without, the recordings are a pool")
    speakers = [item["speaker"] for item in corpus.items if item.get("speaker")]
    if len(speakers) >= MANY_SPEAKERS and len(set(speakers)) == len(speakers):
        example = work.some_of(speakers, 2)
        hint = "; a name before _ is {speaker}_*" if settings.corpus == "folder" else ""
        progress.warn(
            f"each utterance has a speaker of its own ({example}): is that {speaker} right? A "
            f"voice under several names is in training and in test{hint}"
        )
    elif corpus.labels and not speakers:
        progress.say(
            f"no speakers: {speaker} names them; without, models are tested on voices that they "
            "may know from training"
        )


def _suggest_names(corpus: Corpus, progress: Progress) -> None:
    """Of labels and fields whose names differ from another's, or from a common one, in case
    alone."""
    fields = {name for item in corpus.items for name in item} - {*NO_FIELDS}
    alike: dict[str, set[str]] = defaultdict(set)
    for name in (*corpus.labels, *fields):
        alike[name.casefold()].add(name)
    for folded, names in sorted(alike.items()):
        if len(names) > 1:
            progress.warn(
                f"{' and '.join(sorted(names))} are {count_of(len(names), 'name')}, spelled alike "
                "but for "
                "case: give one of them another name"
            )
        elif folded in COMMON and folded not in names:
            progress.warn(
                f"{names.pop()} is not {folded}, which other corpora have and commands look for: "
                f"{COMMON[folded]} names it so"
            )


def _suggest_spellings(corpus: Corpus, progress: Progress) -> None:
    for label, facts in corpus.labels.items():
        if facts["kind"] != "class":
            continue
        counts = Counter(item["labels"].get(label) for item in corpus.items)
        groups = spellings.alike(facts["classes"])
        hint = " ".join(spellings.map_hint(group, counts) for group in groups)
        work.warn_of_alike(label, facts["classes"], progress, hint)
    classes = corpus.labels.get("emotion", {}).get("classes", [])
    others = [name for name in classes if name not in EMOTIONS]
    if others:
        progress.say(
            f"emotion has names that other corpora do not use: {', '.join(others)}. They can be "
            f"learned as they are; {spellings.emotion_hint(others[:NAMED_AT_MOST])} maps them, for "
            f"use with other corpora, to {', '.join(EMOTIONS)}"
        )


def _suggest_numbers(corpus: Corpus, progress: Progress) -> None:
    """Of labels whose classes are a scale: nothing is learned of a class of one number."""
    for label, facts in corpus.labels.items():
        classes = facts.get("classes", [])
        if len(classes) > MOST_NUMBERS and all(map(numerals.is_number, classes)):
            progress.warn(
                f"{label} has {count_of(len(classes), 'class', 'classes')}, all of them numbers, "
                f"such as {work.some_of(classes, 2)}: --scalar in place of --label makes it a "
                "numeric label"
            )


def _counts(values: Iterable[str], classes: Iterable[str]) -> str:
    counts = Counter(values)
    return ", ".join(f"{name} {counts[name]}" for name in classes if counts[name]) or "none"


def _named(names: list[str]) -> str:
    shown = ", ".join(names[:NAMED_AT_MOST])
    more = len(names) - NAMED_AT_MOST
    return f"{len(names)}: {shown}" + (f" and {more} more" if more > 0 else "")
