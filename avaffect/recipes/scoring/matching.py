"""Matching labels and ids whose names differ between predictions and gold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from avaffect.core.errors import UsageError

# Fields of utterances whose numbers are names.
IDENTITIES = ("speaker", "session", "fold", "run")


def parse_labels(wanted: Iterable[str]) -> dict[str, str]:
    """Name in the predictions -> name in the gold, of --label NAME or NAME=OTHER.

    Raises UsageError where one is empty, or a name is there twice.
    """
    chosen: dict[str, str] = {}
    for text in wanted:
        name, equals, other = (part.strip() for part in text.partition("="))
        if not name or (equals and not other) or name in chosen:
            raise UsageError(f"--label {text}: expected a NAME or NAME=OTHER, each once")
        chosen[name] = other or name
    return chosen


def but_for_prefix(predicted: Iterable[str], gold: Iterable[str]) -> dict[str, str]:
    """Id of a prediction -> id in the gold, for ids that differ by a prefix on one side, as
    `manifest` puts a corpus's name before the names of files; only where no id is in both.

    Empty where ids agree, or where two ids would become the same.
    """
    own_ids = list(predicted)
    true, prefixed = set(gold), defaultdict(list)
    if not true.isdisjoint(own_ids):
        return {}
    for other in true:
        prefixed[other.partition("_")[2]].append(other)
    pairs = []
    for own in own_ids:
        bare = own.partition("_")[2]
        pairs += [(own, other) for other in [*prefixed[own], *([bare] if bare in true else [])]]
    if any(len(set(side)) < len(pairs) for side in zip(*pairs, strict=True)):
        return {}
    return dict(pairs)
