"""Reading published weights into an encoder, for `import`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from avaffect.core import faults, seeds
from avaffect.core.errors import DataError
from avaffect.core.headers import Prediction, Published
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import Provenance
from avaffect.models import registry
from avaffect.models.encoder import Encoder
from avaffect.models.published import FAMILIES
from avaffect.models.published.source import (
    Converted,
    ConvertedHead,
    Family,
    Pretext,
    Source,
    Unfit,
)
from avaffect.objectives import registry as objectives
from avaffect.objectives.base import Pretraining
from avaffect.objectives.masked_prediction import (
    MaskedPrediction,
    MaskedPredictionConfiguration,
    Masking,
)
from avaffect.recipes.common import publishing, work
from avaffect.recipes.encoding import checkpoints, imported_head
from avaffect.settings.import_ import ImportSettings
from avaffect.training import foreign

_LISTED = 20
_MISREADINGS = (
    ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, RuntimeError,
    TypeError, ValueError,
)  # fmt: skip


def run(
    settings: ImportSettings, files: Sequence[Path], made: Provenance, progress: Progress
) -> None:
    """Read the files of `settings.weights` and write an encoder.

    Raises DataError where the file cannot be read safely, is of no model that is known, or its
    weights are not those of that model; they are named.
    """
    with progress.task("read", len(files), "files"):
        kind, family, read = _converted(settings, files, progress)
    masking = None if isinstance(read, ConvertedHead) else _masking(read.encoder, read.masking)
    if settings.dry_run:
        plan = f"import {settings.weights} ({family.TITLE})"
        publishing.is_done(settings, made, progress, plan)
        return
    if isinstance(read, ConvertedHead):
        imported_head.save(settings.output, read, made)
        progress.say(f"{settings.output}: {family.TITLE}, {imported_head.summary(read)}")
        _name_what_is_left(read, progress)
        return
    assert masking is not None
    with progress.task("write", 1, "files"):
        _save(settings, kind, read, masking, made)
    encoder, head = read.encoder, read.head
    transformer = getattr(encoder.configuration, "transformer", None)
    layers = "frames of " if transformer is None else f"{count_of(transformer.layers, 'layer')} of "
    random = " at random initialisation" if settings.random else ""
    parameters = sum(p.numel() for m in (encoder, head) if m is not None for p in m.parameters())
    progress.say(
        f"{settings.output}: {family.TITLE} of {read.layout.writer}{random}, "
        f"{layers}{encoder.dim}, "
        f"{parameters / 1e6:.1f} M parameters"
        + (f"; its head predicts {count_of(read.units, 'unit')}" if read.units else "")
    )
    _name_what_is_left(read, progress)


def title(settings: ImportSettings, files: Sequence[Path]) -> str:
    """The authors' name of the model in files that `run` would import. Raises as `run` does."""
    return _converted(settings, files, SILENT)[1].TITLE


def _converted(
    settings: ImportSettings, files: Sequence[Path], progress: Progress
) -> tuple[str, Family, Converted | ConvertedHead]:
    """The name of the family, the family, and the model. Raises as `run` does."""
    found = foreign.read(files)
    source = Source(**vars(found), assignments=settings.assignments)
    try:
        kind, family = _family(settings, source)
        torch.manual_seed(seeds.derive(settings.seed, "initialise"))
        read = family.convert(source, progress.warn)
        if settings.random:
            # From the start again, whatever was drawn for what the file lacks.
            torch.manual_seed(seeds.derive(settings.seed, "initialise"))
            read = _random_twin(read)
        if isinstance(read, Converted):
            # Settings of a pre-training that nobody knows are found here.
            _masking(read.encoder, read.masking)
    except Unfit as error:
        raise DataError(f"{settings.weights}: {_explained(error, progress)}") from error
    except DataError as error:
        raise DataError(f"{settings.weights}: {error}") from error
    except _MISREADINGS as error:
        faults.check_machine(settings.weights, error)
        # A file that others wrote may say anything anywhere.
        raise DataError(
            f"{settings.weights} is of no model that is known ({type(error).__name__}: {error})"
        ) from error
    return kind, family, read


def _family(settings: ImportSettings, source: Source) -> tuple[str, Family]:
    """The name of the family that the weights are of, and the family.

    Raises DataError where it is none, or not the one that --as says.
    """
    families: dict[str, Family] = {name: FAMILIES[name].load() for name in FAMILIES}
    said = {name: family.recognise(source) for name, family in families.items()}
    possible = [name for name in said if said[name] is not False]
    if not possible:
        *others, last = (family.TITLE for family in families.values())
        raise DataError(
            f"it holds no {', '.join(others)} or {last}: none of its "
            f"{count_of(len(source.tensors), 'weight')} is named as fairseq, transformers, "
            f"torchaudio, torchvision or timm name them (the first is {next(iter(source.tensors))})"
        )
    # The first that is sure, or the last that may be, of avaffect's own before other packages'.
    likely = sorted(possible, key=FAMILIES.owns)[-1]
    name = settings.kind or next((name for name in possible if said[name]), likely)
    if name not in possible:
        titles = " or ".join(families[one].TITLE for one in possible)
        raise DataError(f"--as {name}: its weights are those of {titles}")
    return name, families[name]


def _random_twin(read: Converted | ConvertedHead) -> Converted | ConvertedHead:
    """The same model before any training, which predicts no units."""
    if isinstance(read, ConvertedHead):
        return replace(read, head=imported_head.random_twin(read.head), left=[])
    encoder = registry.build(registry.describe(read.encoder))
    return replace(read, encoder=encoder, head=None, units=0, left=[], pretext=None)


def _explained(unfit: Unfit, progress: Progress) -> str:
    """What does not fit, in a sentence; every weight in the details."""
    for what, names in unfit.faults.items():
        for name in names:
            progress.detail(f"{what}: {name}")
    return "it does not hold the whole of a model that is known; " + "; ".join(
        f"{len(names)} {what}: {work.some_of(names, _LISTED)}"
        for what, names in unfit.faults.items()
    )


def _masking(encoder: Encoder, said: Mapping[str, Any]) -> Masking:
    masking = Masking(kind=checkpoints.masking_kind(encoder))
    for name, value in said.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise DataError(f"what its pre-training hid is no number ({name}: {value!r})")
    known = {name: type(getattr(masking, name))(value) for name, value in said.items()}
    return replace(masking, **known)


def _pretrained(encoder: Encoder, pretext: Pretext) -> Pretraining:
    """Its pre-training as it was published, so that it can go on."""
    objective = objectives.build(pretext.name, pretext.configuration, encoder)
    objective.load_state_dict({**objective.state_dict(), **pretext.weights})
    return objective


def _save(
    settings: ImportSettings, kind: str, read: Converted, masking: Masking, made: Provenance
) -> None:
    facts: dict[str, Any] = {}
    objective: Pretraining | None = None
    if read.pretext is not None:
        objective = _pretrained(read.encoder, read.pretext)
    if read.head is not None:
        rows = len(read.head.label_embs_concat)
        objective = MaskedPrediction(read.encoder, MaskedPredictionConfiguration(rows, masking))
        objective.head = read.head
        facts["prediction"] = Prediction(units=read.units, rows=rows)
    checkpoints.save_encoder(
        settings.output,
        read.encoder,
        objective,
        provenance=made,
        metrics={},
        published=None if settings.random else Published(kind=kind, names=read.layout.writer),
        **facts,
    )


def _name_what_is_left(read: Converted | ConvertedHead, progress: Progress) -> None:
    prefix = read.layout.prefix
    if read.left:
        parts = sorted({name.removeprefix(prefix).split(".", 1)[0] for name in read.left})
        of_head = isinstance(read, ConvertedHead)
        which = "that its program never reads" if of_head else "on top of the encoder"
        progress.say(
            f"left out: {count_of(len(read.left), 'weight')} {which} "
            f"({work.some_of(parts, _LISTED)})"
        )
    for name in sorted(read.left):
        progress.detail(f"left out: {name}")
