"""`preprocess`: recordings become a store; what is lost on the way is counted and named."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import joblib

from avaffect.core.errors import DataError, UsageError
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import Provenance, provenance, reference
from avaffect.core.shards import Shard, parse_shard
from avaffect.data import artifacts, manifest, media
from avaffect.data.items import label_specs, labels_of, meta_fields
from avaffect.data.manifest import Item, Manifest
from avaffect.data.media import Decoded, Lost
from avaffect.data.schema import LabelSpec
from avaffect.data.writer import StoreWriter, store_writer
from avaffect.settings.base import semantic
from avaffect.settings.preprocess import PreprocessSettings

NAMED = 20


@dataclass
class _Losses:
    """Items that gave no utterance, and why."""

    found: list[tuple[Item, Lost]] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        counts = Counter(lost.reason for _, lost in self.found)
        return dict(sorted(counts.items()))

    @property
    def words(self) -> str:
        return ", ".join(f"{count} {reason}" for reason, count in self.counts.items())


def preprocess(settings: PreprocessSettings, progress: Progress = SILENT) -> Path:
    """Decode the recordings of a corpus manifest into a store; returns its path.

    Raises DataError where a recording is lost under `strict`, or all are; then nothing is written.
    """
    if str(settings.output) == "-":
        raise UsageError("a store cannot go to standard output; name a file with --output")
    if settings.jobs is not None and settings.jobs < 1:
        raise UsageError("--jobs must be at least 1")
    shard = parse_shard(settings.shard) or Shard(0, 1)
    settings = replace(settings, shard=f"{shard.index}/{shard.count}" if settings.shard else None)
    corpus = manifest.read(settings.manifest, expect="corpus")
    items = shard.of(corpus.items)
    record = _provenance(settings, corpus, items)
    if artifacts.is_current(settings.output, record, settings.force, progress):
        _check_strict(settings)
        return settings.output
    specs = label_specs(corpus)
    if settings.dry_run:
        absent = sum(not (corpus.folder / media.source_of(item)).is_file() for item in items)
        progress.say(
            f"would decode {len(items)} utterances of {corpus.name} into {settings.output}; "
            f"{absent} recordings are missing"
        )
        return settings.output
    fields = {name: shard.of(values) for name, values in meta_fields(corpus.items).items()}
    with store_writer(settings.output, record, streams=media.STREAMS, labels=specs) as writer:
        losses = _decode_all(settings, corpus, items, fields, specs, writer, progress)
        if items and not writer.ids:
            raise DataError(f"all {len(items)} utterances of {corpus.name} were lost "
                            f"({losses.words}); nothing was written")  # fmt: skip
        _list_losses(settings.output, corpus, losses, record)
        counts = {"found": len(items), "kept": len(writer.ids), "lost": losses.counts}
        writer.provenance["losses"] = counts
        hours = sum(writer.column("duration_s")) / 3600
        missing = {name: writer.missing(name) for name in specs}
    _summarise(settings.output, counts, hours, missing, losses, progress)
    return settings.output


def _check_strict(settings: PreprocessSettings) -> None:
    """A store made without `strict` may be up to date and yet lack utterances."""
    lost = artifacts.describe(settings.output).provenance.get("losses", {}).get("lost", {})
    if settings.strict and lost:
        raise DataError(
            f"{settings.output} is up to date, but lacks {sum(lost.values())} utterances, which "
            f"{_losses_path(settings.output).name} names"
        )


def _provenance(settings: PreprocessSettings, corpus: Manifest, items: list[Item]) -> Provenance:
    """Recordings are inputs too: one that changed makes another store."""
    if corpus.path is None:
        listed = {"role": "manifest", "path": "", "content_id": corpus.content_id}
    else:
        listed = reference("manifest", corpus.path, corpus.content_id, settings.output)
    recordings = reference(
        "recordings", corpus.folder, media.media_content_id(corpus, items), settings.output
    )
    return provenance("preprocess", semantic(settings), [listed, recordings])


def _decode_all(
    settings: PreprocessSettings, corpus: Manifest, items: list[Item], fields: dict[str, list[Any]],
    specs: dict[str, LabelSpec], writer: StoreWriter, progress: Progress,
) -> _Losses:  # fmt: skip
    jobs = settings.jobs or joblib.cpu_count()
    losses = _Losses()
    progress.start("preprocess", len(items))
    results = media.decode_items(
        corpus.folder, items, writer.folder, min(jobs, len(items) or 1), settings.keep_silent
    )
    with contextlib.closing(results):
        for row, (item, result) in enumerate(zip(items, results)):
            if isinstance(result, Lost):
                _lose(settings, item, result, losses, progress)
            else:
                meta = {name: values[row] for name, values in fields.items()}
                _add(writer, item, result, labels_of(item, specs), meta)
            progress.advance(1, lost=len(losses.found))
    progress.finish()
    return losses


def _add(
    writer: StoreWriter, item: Item, found: Decoded, labels: dict[str, Any], meta: dict[str, Any]
) -> None:
    writer.add(
        item["id"],
        streams=dict(found.streams),
        labels=labels,
        meta={
            **meta,
            "source": media.source_of(item),
            "start_s": float(item.get("start") or 0.0),
            "duration_s": found.duration_s,
            "damaged_packets": found.damaged_packets,
            "filled_s": found.filled_s,
        },
    )
    for path in found.streams.values():
        path.unlink()


def _lose(
    settings: PreprocessSettings, item: Item, lost: Lost, losses: _Losses, progress: Progress
) -> None:
    name = f"{media.source_of(item) or item['id']}: {lost}"
    if settings.strict:
        raise DataError(f"{name}; without --strict it would be skipped")
    if len(losses.found) < NAMED:
        progress.warn(f"lost {name}")
    elif len(losses.found) == NAMED:
        progress.warn(f"more were lost; all are listed in {_losses_path(settings.output)}")
    losses.found.append((item, lost))


def _losses_path(output: Path) -> Path:
    return output.with_name(output.name + ".lost.jsonl")


def _list_losses(output: Path, corpus: Manifest, losses: _Losses, record: Provenance) -> None:
    """A corpus manifest of what was lost: once repaired, it can be preprocessed by itself."""
    path = _losses_path(output)
    if not losses.found:
        path.unlink(missing_ok=True)
        return
    base = manifest.base_for(path, corpus.folder)
    header = {**corpus.header, "base": base, "provenance": record}
    manifest.write(path, header, ({**item, "lost": str(lost)} for item, lost in losses.found))


def _summarise(
    output: Path, counts: dict[str, Any], hours: float, missing: dict[str, int], losses: _Losses,
    progress: Progress,
) -> None:  # fmt: skip
    kept = counts["kept"]
    progress.say(f"{output}: {kept} of {counts['found']} utterances, {hours:.3f} hours")
    if losses.found:
        progress.say(f"lost {len(losses.found)}: {losses.words} (see {_losses_path(output)})")
    for name, count in missing.items():
        if count:
            progress.say(f"label {name} is missing in {count} of {kept} utterances")
