"""An encoder, or a classifier with its encoder, as ONNX, for `export --to onnx`.

The graph reads one utterance, waveform (1, samples) float32 with full scale at 1.0 at 16 kHz, or
the features that a classifier reads, features (1, steps, dim). An encoder gives frames (1, steps,
dim); a classifier an output for each label: shares of the classes (1, classes), a number (1, 1), or
traces (1, steps, 1).
"""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avaffect.core import checkpoint_header, headers, plain_json
from avaffect.core.batch import Batch
from avaffect.core.errors import DataError, UsageError
from avaffect.core.hashing import canonical_json
from avaffect.core.headers import ClassifierHeader, EncoderHeader
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance, identity
from avaffect.core.sampling import EVERYTHING
from avaffect.core.streams import SAMPLE_RATE_HZ, WAVEFORM
from avaffect.models.encoder import Encoder
from avaffect.models.heads.labels import LabelHead
from avaffect.models.inputs import Inputs
from avaffect.models.whisper import Whisper
from avaffect.recipes.common import work
from avaffect.recipes.downstream import prediction_passes
from avaffect.recipes.downstream.predicted_labels import PredictedLabel, predicted_labels
from avaffect.recipes.encoding import checkpoints
from avaffect.recipes.exchange import outputs, speech
from avaffect.recipes.exchange.transformers_folder import TOLERANCE, difference
from avaffect.settings.export import ExportSettings
from avaffect.training import checkpoint

NEEDS = ("onnx", "onnxruntime", "onnxscript")
LEAST_SAMPLES, MOST_SAMPLES = 800, 1 << 24
MOST_STEPS = 1 << 20
# A file of protobuf holds less than 2 GiB.
MOST_BYTES = (1 << 31) - (1 << 20)
METADATA = "avaffect"
CPU = torch.device("cpu")


class _Graph(nn.Module):
    """One utterance of one stream -> what the graph gives of it."""

    stream: str
    outputs: tuple[str, ...]
    facts: dict[str, Any]

    def batch(self, values: Tensor) -> Batch:
        lengths = torch.full((1,), values.shape[1], dtype=torch.long)
        return Batch(["utterance"], {self.stream: values}, {self.stream: lengths},
                     present={self.stream: torch.ones(1, dtype=torch.bool)})  # fmt: skip


class _EncoderGraph(_Graph):
    outputs = ("frames",)

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.stream = _stream_of(encoder.streams)
        rate = getattr(encoder, "rate_hz", None)
        self.facts = {"frames": {"dim": encoder.dim, "rate_hz": rate}}

    def forward(self, values: Tensor) -> Tensor:
        found: Tensor = self.encoder(self.batch(values)).values
        return found


class _ClassifierGraph(_Graph):
    def __init__(self, inputs: Inputs, head: LabelHead, labels: Sequence[PredictedLabel]) -> None:
        super().__init__()
        self.inputs, self.head, self.labels = inputs, head, tuple(labels)
        self.stream = _stream_of(inputs.streams)
        self.outputs = tuple(label.name for label in labels)
        self.facts = {"labels": {label.name: _described(label) for label in labels}}

    def forward(self, values: Tensor) -> tuple[Tensor, ...]:
        outputs = self.head(self.inputs(self.batch(values)))
        of_utterances = of_traces = values
        if not all(label.over_time for label in self.labels):
            of_utterances = self.head.utterances(outputs)
        if any(label.over_time for label in self.labels):
            of_traces = self.head.traces(outputs).values
        found = []
        for label in self.labels:
            columns = (of_traces if label.over_time else of_utterances)[..., label.columns]
            found.append(columns.softmax(dim=-1) if label.classes else columns)
        return tuple(found)


def _described(label: PredictedLabel) -> dict[str, Any]:
    return {"kind": label.kind, **({"classes": list(label.classes)} if label.classes else {})}


def _stream_of(streams: Sequence[str]) -> str:
    """Raises UsageError where it is not one stream, or one of pictures."""
    if len(streams) == 1 and (streams[0] == WAVEFORM or streams[0].startswith("features")):
        return streams[0]
    raise UsageError(
        f"--to onnx: the model reads {' and '.join(streams)}; models of the waveform alone, and "
        "classifiers of one kind of features, are written"
    )


def run(settings: ExportSettings, progress: Progress) -> None:
    """Write a checkpoint, an encoder or a classifier, as ONNX, compared with torch on speech.

    Raises UsageError for a model of several streams, DataError where torch cannot export it, or
    outputs differ.
    """
    outputs.check_packages(settings, NEEDS)
    kind = checkpoint_header.read_header(settings.artifact)["kind"]
    given = work.file_inputs(kind, [settings.artifact], kind)
    made = work.record("export", settings, given, speech.inputs(settings.speech))

    def is_same(path: Path) -> bool:
        return _identity(path) == identity(made)

    def write(path: Path) -> None:
        with progress.task("export", 3, "steps"):
            graph = _graph(settings, kind)
            progress.advance(step="loaded")
            content = _exported(settings, graph, made)
            progress.advance(step="exported")
            apart = _compared(settings, graph, content, progress)
        if not apart <= TOLERANCE:
            raise DataError(
                f"{settings.artifact}: outputs of onnxruntime differ from torch's by {apart:.2g} "
                "of the largest value, and nothing is written"
            )
        progress.say(
            f"outputs of onnxruntime differ from torch's by at most {apart:.2g} of the largest "
            "value"
        )
        path.write_bytes(content)

    if outputs.write_file(settings, made, progress, write, is_same):
        size = settings.output.stat().st_size / 1e6
        progress.say(f"{settings.output}: {settings.artifact} as ONNX, {size:.1f} MB")


def _graph(settings: ExportSettings, kind: str) -> _Graph:
    if kind == "encoder":
        headers.read(settings.artifact, EncoderHeader)
        encoder = checkpoints.load_encoder(settings.artifact, CPU)[0]
        if encoder.sampling != EVERYTHING:
            raise UsageError("--to onnx: the encoder reads a section of an utterance")
        return _EncoderGraph(encoder).eval()
    header, tensors = checkpoint.read(settings.artifact, ClassifierHeader)
    numbers = [n for n, run in enumerate(header.runs) if settings.run in (None, run.run)]
    if len(numbers) != 1:
        runs = ", ".join(str(run.run) for run in header.runs)
        raise UsageError(f"{settings.artifact} has the runs {runs}; choose one with --run, of one "
                         "fold")  # fmt: skip
    shared = None if header.mode == "frozen" else numbers[0]
    inputs = prediction_passes.inputs_of_run(settings.artifact, header, tensors, shared, CPU)
    head = prediction_passes.head_of_run(settings.artifact, header, tensors, numbers[0])
    if inputs.sampling != EVERYTHING:
        raise UsageError("--to onnx: the encoder reads a section of an utterance")
    return _ClassifierGraph(inputs, head, predicted_labels(header)).eval()


def _example(graph: _Graph) -> Tensor:
    if graph.stream == WAVEFORM:
        return torch.linspace(-0.5, 0.5, SAMPLE_RATE_HZ)[None]
    assert isinstance(graph, _ClassifierGraph)
    (encoder,) = graph.inputs.encoders.values()
    return torch.linspace(-1, 1, 9 * encoder.dim).view(1, 9, encoder.dim)


def _most(graph: _Graph) -> int:
    """Steps that the graph reads at most: of Whisper one window."""
    if graph.stream != WAVEFORM:
        return MOST_STEPS
    for module in graph.modules():
        if isinstance(module, Whisper):
            return round(module.configuration.positions / module.rate_hz * SAMPLE_RATE_HZ)
    return MOST_SAMPLES


def _exported(settings: ExportSettings, graph: _Graph, made: Provenance) -> bytes:
    """The file. Raises DataError with torch's words where it cannot export the model."""
    import onnx

    example, name = _example(graph), re.sub(r"\W", "_", graph.stream)
    least = LEAST_SAMPLES if graph.stream == WAVEFORM else 1
    steps = torch.export.Dim("samples", min=least, max=_most(graph))
    # It reports packages that it does not need.
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Filters that are computed once are constants of the graph afterwards.
            graph(example)
            program = torch.onnx.export(
                graph, (example,), dynamo=True, dynamic_shapes=({1: steps},), verbose=False,
                input_names=[name], output_names=list(graph.outputs), external_data=False,
            )  # fmt: skip
    except (torch.onnx.OnnxExporterError, RuntimeError, ValueError, TypeError) as error:
        why = error.__cause__ or error
        words = str(why).strip().splitlines() or [type(why).__name__]
        if graph.stream == WAVEFORM and any(isinstance(m, nn.RNNBase) for m in graph.modules()):
            raise UsageError(
                f"--to onnx: {settings.artifact} has recurrent layers (GRU) above the waveform, "
                "which torch exports for one length alone; export its features with --to npy, or "
                "choose an encoder without them"
            ) from error
        raise DataError(f"{settings.artifact}: torch cannot export it ({words[0]})") from error
    finally:
        logger.setLevel(level)
    assert program is not None
    model = program.model_proto
    _strip(model)
    said = {"provenance": made, "sample_rate": SAMPLE_RATE_HZ, "most": _most(graph), **graph.facts}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {METADATA: canonical_json(json.loads(json.dumps(said)))})
    if model.ByteSize() > MOST_BYTES:
        raise DataError(f"{settings.artifact}: ONNX of more than 2 GiB in one file cannot be read")
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _strip(model: Any) -> None:
    """Remove remarks on the code, with the paths of this machine."""
    model.graph.doc_string = ""
    parts = [model.graph, *model.functions]
    for part in parts:
        del part.metadata_props[:]
        for node in part.node:
            node.doc_string = ""
            del node.metadata_props[:]
    for values in (model.graph.input, model.graph.output, model.graph.value_info):
        for value in values:
            value.doc_string = ""
            del value.metadata_props[:]
    for value in model.graph.initializer:
        del value.metadata_props[:]


def _compared(settings: ExportSettings, graph: _Graph, content: bytes, progress: Progress) -> float:
    """The largest difference between torch and onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    apart = 0.0
    for values in _values(settings, graph, progress):
        with torch.no_grad():
            found = graph(torch.from_numpy(values))
        own = found if isinstance(found, tuple) else (found,)
        theirs = session.run(None, {given.name: values})
        for ours, other in zip(own, theirs, strict=True):
            apart = max(apart, difference(ours.numpy(), other))
    return apart


def _values(settings: ExportSettings, graph: _Graph, progress: Progress) -> list[np.ndarray]:
    """What the graph is compared on."""
    if graph.stream != WAVEFORM:
        example = _example(graph).numpy()
        return [example, np.repeat(example, 3, axis=1), example[:, :1]]
    found = speech.waveforms(settings.speech, settings.seed, progress)
    return [wave[None, : _most(graph)] for wave in found if len(wave) >= LEAST_SAMPLES]


def _identity(path: Path) -> str | None:
    """Of the provenance in an ONNX file; None where it has none."""
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
        props = {entry.key: entry.value for entry in model.metadata_props}
        return identity(plain_json.parse(props[METADATA])["provenance"])
    except Exception:
        # Whatever protobuf raises of another file: it is not the same.
        return None
