"""ELAN's annotation format (.eaf), a file a recording: a tier for each label and field.

Brugman and Russel, "Annotating multimedia/multi-modal resources with ELAN", LREC 2004; its schema:
https://www.mpi.nl/tools/elan/EAFv3.0.xsd. Times are whole milliseconds.
"""

from __future__ import annotations

import math
import mimetypes
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from avaffect.core.errors import DataError
from avaffect.data.corpora.common import Corpus
from avaffect.data.exchange import tiers
from avaffect.data.exchange.listing import Listing
from avaffect.data.exchange.tiers import Annotations, Interval
from avaffect.settings.manifest import ManifestSettings

NAME = "elan"
OPTIONS = tiers.OPTIONS
FOLDER = True
TAKEN = tiers.TAKEN
NEEDS = ()
_SCHEMA = "http://www.w3.org/2001/XMLSchema-instance"
_TYPE = "default-lt"
# What no XML can hold.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_QUOTED = re.compile(rb"%([0-9A-Fa-f]{2})")
# The schema requires a date, and equal work has equal files.
_DATE = "1970-01-01T00:00:00+00:00"


def write(listing: Listing, output: Path) -> None:
    names = listing.names()
    for path, own in listing.by_recording().items():
        others = {(listing.folder / one.other).resolve() for one in own if one.other}
        media = [listing.path(own[0]), *sorted(others)]
        tree = _tree(tiers.tiers_of(listing, own), media)
        ElementTree.indent(tree)
        with (output / f"{names[path]}.eaf").open("wb") as stream:
            tree.write(stream, encoding="UTF-8", xml_declaration=True)


def _tree(
    found: Mapping[str, Sequence[Interval]], media: Sequence[Path]
) -> ElementTree.ElementTree:
    root = ElementTree.Element("ANNOTATION_DOCUMENT", {
        "AUTHOR": "avaffect", "DATE": _DATE, "FORMAT": "3.0", "VERSION": "3.0",
        "xmlns:xsi": _SCHEMA,
        "xsi:noNamespaceSchemaLocation": "http://www.mpi.nl/tools/elan/EAFv3.0.xsd",
    })  # fmt: skip
    header = _child(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    for path in media:
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        _child(header, "MEDIA_DESCRIPTOR", MEDIA_URL=path.as_uri(), MIME_TYPE=kind)
    times = sorted({t for own in found.values() for one in own for t in _milliseconds(one)})
    order = _child(root, "TIME_ORDER")
    slots = {time: f"ts{number}" for number, time in enumerate(times, start=1)}
    for time, slot in slots.items():
        _child(order, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=str(time))
    number = 0
    for name, intervals in found.items():
        tier = _child(root, "TIER", LINGUISTIC_TYPE_REF=_TYPE, TIER_ID=name)
        for one in intervals:
            number += 1
            start, end = _milliseconds(one)
            aligned = _child(
                _child(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION", ANNOTATION_ID=f"a{number}",
                TIME_SLOT_REF1=slots[start], TIME_SLOT_REF2=slots[end],
            )  # fmt: skip
            _child(aligned, "ANNOTATION_VALUE").text = _CONTROL.sub(" ", one.text)
    _child(header, "PROPERTY", NAME="lastUsedAnnotationId").text = str(number)
    _child(root, "LINGUISTIC_TYPE", GRAPHIC_REFERENCES="false", LINGUISTIC_TYPE_ID=_TYPE,
           TIME_ALIGNABLE="true")  # fmt: skip
    return ElementTree.ElementTree(root)


def _child(parent: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, attributes)


def _milliseconds(one: Interval) -> tuple[int, int]:
    """Rounded down, so that none ends after its recording; at least one long."""
    start = math.floor(one.start * 1000 + 1e-6)
    return start, max(math.floor(one.end * 1000 + 1e-6), start + 1)


def read(settings: ManifestSettings) -> Corpus:
    """Files .eaf. A recording is found by the paths in the file's header, or by the file's own.

    Raises DataError where it is no such file, or is damaged.
    """
    files = tiers.files_of(settings.source, (".eaf",))
    annotations = Annotations.of(settings, NAME, files)
    for file in files:
        root = _parsed(file)
        paired = annotations.recordings.pair(file.stem, file, _links(root))
        if paired is not None:
            annotations.add(paired, _tiers(file, root))
    return annotations.corpus()


def _links(root: ElementTree.Element) -> list[str]:
    """Paths of the recordings in the header, those from the folder of the file first."""
    keys = ("RELATIVE_MEDIA_URL", "MEDIA_URL")
    urls = [one.get(key) for one in root.iter("MEDIA_DESCRIPTOR") for key in keys]
    return [_unquoted(url).removeprefix("file://") for url in urls if url]


def _unquoted(url: str) -> str:
    """A URL with its %20 and the like as the signs that they stand for."""
    found = _QUOTED.sub(lambda match: bytes([int(match[1], 16)]), url.encode())
    return found.decode("utf-8", "replace")


def _parsed(path: Path) -> ElementTree.Element:
    content = path.read_bytes()

    def refuse(*_: object) -> None:
        # Entities that it may declare can fill the memory, or name other files.
        raise DataError(f"{path} has a DOCTYPE, which no file of ELAN has")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
        root = ElementTree.fromstring(content)
    except (expat.ExpatError, ElementTree.ParseError, LookupError, ValueError) as error:
        raise DataError(f"{path} is no XML, or is damaged ({error})") from error
    if root.tag != "ANNOTATION_DOCUMENT":
        raise DataError(f"{path} is no file of ELAN: it is a {root.tag}")
    return root


def _tiers(path: Path, root: ElementTree.Element) -> dict[str, list[Interval]]:
    """Tier -> intervals; those that refer to annotations of another tier have their times."""
    times = _times(path, root)
    spans: dict[str, tuple[float, float]] = {}
    refer: dict[str, str] = {}
    texts: list[tuple[str, str, str]] = []
    for tier in root.iter("TIER"):
        for one in tier.iter():
            if one.tag not in ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION"):
                continue
            identifier = one.get("ANNOTATION_ID", "")
            texts.append((tier.get("TIER_ID", ""), identifier,
                          one.findtext("ANNOTATION_VALUE") or ""))  # fmt: skip
            if one.tag == "REF_ANNOTATION":
                refer[identifier] = one.get("ANNOTATION_REF", "")
                continue
            slots = one.get("TIME_SLOT_REF1", ""), one.get("TIME_SLOT_REF2", "")
            if not {*slots} <= times.keys():
                raise DataError(f"{path}: the annotation {identifier} has no time")
            spans[identifier] = times[slots[0]], times[slots[1]]
    found: dict[str, list[Interval]] = {}
    for name, identifier, text in texts:
        seen: set[str] = set()
        aligned = identifier
        while aligned in refer and aligned not in seen:
            seen.add(aligned)
            aligned = refer[aligned]
        if aligned not in spans:
            raise DataError(f"{path}: the annotation {identifier} refers to none with a time")
        found.setdefault(name, []).append(Interval(*spans[aligned], text))
    return {name: sorted(own, key=lambda one: one.start) for name, own in found.items()}


def _times(path: Path, root: ElementTree.Element) -> dict[str, float]:
    """Seconds of each slot; slots without a time, of annotations that share one, are spaced evenly
    between those around them."""
    slots = [(one.get("TIME_SLOT_ID", ""), one.get("TIME_VALUE")) for one in root.iter("TIME_SLOT")]
    try:
        known = [(place, int(time) / 1000) for place, (_, time) in enumerate(slots) if time]
    except ValueError as error:
        raise DataError(f"{path}: a time is no number of milliseconds ({error})") from error
    places = [place for place, _ in known]
    found = {}
    for place, (name, _) in enumerate(slots):
        after = bisect_left(places, place)
        before = after if after < len(places) and places[after] == place else after - 1
        if before < 0 or after == len(places):
            raise DataError(f"{path}: the slot {name} has no time, nor any around it")
        (low, start), (high, end) = known[before], known[after]
        share = (place - low) / max(high - low, 1)
        found[name] = start + share * (end - start)
    return found
