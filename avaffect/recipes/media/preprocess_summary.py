"""The summary of `preprocess`: usable and unusable recordings, faces, levels."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avaffect.core.errors import DataError
from avaffect.core.faults import CRASHED
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance, identity
from avaffect.core.streams import FACE
from avaffect.data import artifacts, manifest
from avaffect.data.manifest import Item, Manifest
from avaffect.data.store.writer import StoreWriter
from avaffect.recipes.common import work

# As in `preprocess`.
if TYPE_CHECKING:
    from avaffect.data.faces.preview import Preview
    from avaffect.data.faces.spool import Sums
    from avaffect.data.media import Lost

# Audio and video whose lengths differ by more may not belong together.
APART_S = 1.0


@dataclass
class Found:
    """Results of the items: unusable ones, utterances without audio or a face, with reasons;
    numbers of missing modalities and remarks; ids whose audio and video, or traces, differ in
    length; sums of the pixels of all crops, None without any."""

    lost: list[tuple[Item, Lost]] = field(default_factory=list)
    without: dict[str, Counter[str]] = field(
        default_factory=lambda: {"sound": Counter(), "face": Counter()}
    )
    named: int = 0
    noted: int = 0
    apart: list[str] = field(default_factory=list)
    mislabelled: list[str] = field(default_factory=list)
    sums: Sums | None = None

    def join(self, sums: Sums) -> None:
        """Add the sums of an utterance's crops."""
        if self.sums is None:
            self.sums = sums
        else:
            self.sums.join(sums)

    @property
    def counts(self) -> dict[str, int]:
        return _sorted(Counter(lost.reason for _, lost in self.lost))

    @property
    def words(self) -> str:
        return _words(self.counts)


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counts.items())


def losses_path(output: Path) -> Path:
    return output.with_name(output.name + ".lost.jsonl")


def list_losses(output: Path, corpus: Manifest, found: Found, record: Provenance) -> None:
    """A corpus manifest of the unusable items, which can be preprocessed alone after a repair."""
    path = losses_path(output)
    if not found.lost:
        path.unlink(missing_ok=True)
        return
    base = manifest.base_for(path, corpus.folder)
    header = replace(corpus.header, base=base, provenance=record)
    manifest.write(path, header, ({**item, "lost": str(lost)} for item, lost in found.lost))


def summarise(
    output: Path, counts: dict[str, Any], hours: float, missing: dict[str, int], found: Found,
    progress: Progress,
) -> None:  # fmt: skip
    kept = counts["kept"]
    progress.say(f"{output}: {kept} of {count_of(counts['found'], 'utterance')}, {hours:.3f} hours")
    if found.lost:
        progress.say(f"lost {len(found.lost)}: {found.words} (see {losses_path(output)})")
    for what, reasons in found.without.items():
        if reasons:
            progress.say(f"without {what} {reasons.total()}: {_words(_sorted(reasons))}")
    if found.apart:
        progress.warn(
            "audio and video of "
            f"{count_of(len(found.apart), 'utterance differs', 'utterances differ')} in length by "
            f"more than {APART_S:g} s; check that they belong together: {work.some_of(found.apart)}"
        )
    if found.mislabelled:
        progress.warn(
            "traces of "
            f"{count_of(len(found.mislabelled), 'utterance differs', 'utterances differ')} from "
            f"them in length by more than a second and a tenth: {work.some_of(found.mislabelled)}"
        )
    for name, count in missing.items():
        if count:
            progress.say(f"label {name} is missing in {count} of {count_of(kept, 'utterance')}")


def summarise_sound(writer: StoreWriter, progress: Progress) -> None:
    """Report utterances with faults of channels, with floats on another scale, and with
    clipping."""
    from avaffect.data.decoding.mixing import CANCEL, LOW_SPEECH

    mixing = writer.column("mixing")
    for why, taken in (
        (CANCEL, "their difference or the loudest is used"),
        (LOW_SPEECH, "the mean of all is used"),
    ):
        found = [name for name, words in zip(writer.ids, mixing) if why in words]
        if found:
            progress.warn(f"{count_of(len(found), 'utterance')} with {why}: {taken} (field mixing; "
                          "--channels "
                          f"chooses): {work.some_of(found)}")  # fmt: skip
    scales = writer.column("full_scale")
    scaled = [name for name, scale in zip(writer.ids, scales) if scale != 1]
    if scaled:
        progress.warn(f"{count_of(len(scaled), 'utterance')} with float samples whose full scale "
                      "is not 1: "
                      f"they were scaled (field full_scale): {work.some_of(scaled)}")  # fmt: skip
    counts = writer.column("clipped_samples")
    clipped = [name for _, name in sorted((-n, name) for name, n in zip(writer.ids, counts) if n)]
    if clipped:
        progress.say(
            f"{count_of(len(clipped), 'utterance')} with clipped samples ({sum(counts)} in all; "
            f"field clipped_samples): {work.some_of(clipped)}"
        )


def summarise_faces(
    writer: StoreWriter, preview: Preview | None, detector: str, progress: Progress
) -> None:
    """Report pictures, how their faces were found, and the contact sheets."""
    from avaffect.data.media import FACE_COUNTS

    totals = {name: sum(writer.column(name)) for name in FACE_COUNTS}
    with_cuts = sum(map(bool, writer.column("cuts")))
    if with_cuts:
        progress.say(
            f"{count_of(with_cuts, 'utterance has', 'utterances have')} cuts ({totals['cuts']} in "
            "all): one person of each is kept; see the field cuts"
        )
    if totals["face_frames"]:
        pictures = count_of(totals["face_frames"], "picture")
        progress.say(
            f"{pictures}, whole: --faces none looks for no face"
            if detector == "none"
            else f"{pictures}: faces detected in {totals['faces_detected']}, "
            f"tracked in {totals['faces_tracked']}, interpolated in "
            f"{totals['faces_interpolated']}, absent in {totals['faces_absent']}"
        )
        statistics = writer.streams[FACE].statistics
        mean, std = (", ".join(f"{v:.4f}" for v in statistics[name]) for name in ("mean", "std"))
        progress.say(f"pixels of the crops / 255: mean {mean}, std {std}")
    if preview and preview.pages:
        progress.say(f"contact sheets: {preview.pages[0]} ({len(preview.pages)} in all)")


def lacks_crashed(output: Path, made: Provenance, progress: Progress) -> bool:
    """Whether the output is current except for recordings on which the decoder crashed: these are
    decoded again, as the reason may have been a lack of memory.

    Recordings that were missing, and may exist now, are other inputs: a message says so."""
    try:
        there = artifacts.describe(output).provenance if output.is_file() else {}
    except DataError:
        return False
    lost = there.get("losses", {}).get("lost", {})
    crashed = lost.get(CRASHED, 0)
    if identity(there) != identity(made):
        if lost.get("missing"):
            progress.say(
                f"{output} lacks {count_of(lost['missing'], 'recording')} that were missing when "
                "it was made; --force decodes again with those that are there now"
            )
        return False
    if not crashed:
        return False
    progress.say(
        f"{output} lacks {count_of(crashed, 'recording')} whose decoder crashed: decoded again"
    )
    return True
