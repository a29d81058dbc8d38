"""What is doubtful in a corpus, for people."""

from __future__ import annotations

from collections.abc import Iterator

from avaffect.core.nouns import count_of
from avaffect.recipes.common import speaker_classes, work
from avaffect.recipes.scoring.reports.exploration import ExplorationReport

# A share of variance between classes that is called large (Cohen, Statistical Power Analysis for
# the Behavioral Sciences, 1988, section 8.2).
LARGE = 0.14
WORDS = {
    "duration_s": "duration", "peak_db": "peak", "level_db": "level", "noise_db": "noise in pauses",
    "snr_db": "SNR", "offset": "DC offset",
}  # fmt: skip
CONSEQUENCE = (
    "a classifier may learn that in its place",
    "what is learned of one may not hold in another",
)


def of(report: ExplorationReport) -> Iterator[str]:
    """What makes scores of such a corpus wrong, in words."""
    if report.speakers_across_splits:
        yield (
            f"{count_of(report.speakers_across_splits, 'speaker is', 'speakers are')} in several "
            "splits: a classifier knows their voices; `avaffect split --by speaker` parts them"
        )
    for name, label in report.labels.items():
        if label.told_by is not None:
            yield speaker_classes.words(name, label.told_by)
    for name, label in report.labels.items():
        lacking = label.by["split"].lacking if "split" in label.by else {}
        if lacking:
            yield (f"{name}: a split has no utterance of {work.some_of(list(lacking))}")
    for name, trace in report.traces.items():
        if trace.constant:
            yield (
                f"{name}: {trace.constant:.0%} of its "
                f"{count_of(trace.count, 'trace is', 'traces are')} constant: the CCC of such a "
                "recording is 0, whatever is predicted"
            )
    alike = report.duplicates
    if alike is not None and alike.across_splits:
        yield (
            f"in several splits: {count_of(alike.across_splits, 'group')} of utterances that sound "
            "the same"
        )
    for name in ("split", *report.labels):
        shares = report.confounded.get(name, {})
        strong = [
            f"{WORDS.get(measure, measure)} {share:.2f}"
            for measure, share in sorted(shares.items(), key=lambda of: -of[1])
            if share > LARGE
        ]
        if strong:
            yield (
                f"{name} explains much of how the recordings differ (share of the variance): "
                f"{', '.join(strong)}; {CONSEQUENCE[name == 'split']}"
            )
    if report.sound is not None and report.sound.unusable:
        reasons = ", ".join(f"{count} {reason}" for reason, count in report.sound.unusable.items())
        yield (f"utterances without usable sound: {reasons}")
