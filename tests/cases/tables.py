"""Tables, file names and checkpoints as other programs spell them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import torch
from corpus_folders import made, touch

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoder
from avaffect.recipes.encoding.checkpoints import load_encoder
from avaffect.recipes.eval_class import eval_class
from avaffect.recipes.import_ import import_
from avaffect.settings.eval_class import EvalClassSettings
from avaffect.settings.import_ import ImportSettings
from cases import SHARED, Case, Seen

SPELLED = "table-spellings"


def _row(item: dict) -> tuple:
    """What a row of a table came to: recording, start, end, split, label or score."""
    values = next(iter(item["labels"].values()), None)
    return item["media"], item.get("start"), item.get("end"), item.get("split"), values


def _seen(table: Path, folder: Path, right: list[tuple], **options) -> Seen:
    options = {"label": ("emotion",)} | options
    found, _ = made(folder / "m.jsonl", "table", table, media_column="file", **options)
    rows = [_row(item) for item in found.items]
    words = "; ".join(
        " ".join(str(v) for v in row if v is not None).replace("wav/", "") for row in rows
    )
    ids = {item["id"] for item in found.items}
    return Seen(words, rows == right and len(ids) == len(rows))


def _given(name: str, rows: list[tuple], **options) -> Case:
    """A table of shared/cases."""

    def measure(folder: Path) -> Seen:
        return _seen(SHARED / "cases" / SPELLED / name, folder, rows, **options)

    words = f"{len(rows)} rows, each value as in the table"
    return Case(SPELLED, name, words, measure, needs=f"cases/{SPELLED}/{name}")


def _own(name: str, text: str | bytes, rows: list[tuple], **options) -> Case:
    """A table made in the folder, with recordings wav/a.wav and wav/b.wav."""

    def measure(folder: Path) -> Seen:
        touch(folder, "wav/a.wav", "wav/b.wav")
        data = text if isinstance(text, bytes) else text.encode()
        (folder / "t.csv").write_bytes(data)
        return _seen(folder / "t.csv", folder, rows, **options)

    return Case(SPELLED, name, f"{len(rows)} rows, each value as in the table", measure)


def _scored(name: str, predicted: str, gold: str = "", **options) -> Case:
    """Predictions of another program, of which three in four are right."""

    def measure(folder: Path) -> Seen:
        files = []
        for file, text in (("predicted.csv", predicted), ("gold.csv", gold)):
            if text:
                (folder / file).write_text(text, encoding="utf-16" if "\t" in text else "utf-8")
                files.append(folder / file)
        settings = EvalClassSettings(predictions=tuple(files[:1]), gold=tuple(files[1:]), **options)
        (report,) = eval_class(settings)
        accuracy, count = report.accuracy, report.count
        return Seen(f"accuracy {accuracy:.2f} of {count}", (accuracy, count) == (0.75, 4))

    return Case("eval-class tables", name, "accuracy 0.75 of 4", measure)


def _named(
    disk: str, table: str, right: str, change: Callable[[str], str] = lambda text: text
) -> Case:
    """A recording whose name on the disk is another form of that in the table."""

    def measure(folder: Path) -> Seen:
        touch(folder, change(disk))
        (folder / "t.csv").write_text(f"file,emotion\n{table},joy\n", encoding="utf-8")
        found, _ = made(
            folder / "m.jsonl", "table", folder / "t.csv", media_column="file", label=("emotion",)
        )
        media = found.items[0]["media"]
        there = (folder / media).is_file()
        return Seen(f"{found.items[0]['id']}, {'' if there else 'not '}there", there)

    return Case("file-names", f"{change(disk)!a} for {table!a}", right, measure)


CHECKPOINTS = "s3prl-checkpoint"


def _imported(folder: Path, name: str) -> Encoder:
    output = folder / f"{name}.safetensors"
    import_(ImportSettings(weights=SHARED / "cases" / CHECKPOINTS / name, output=output))
    return load_encoder(output, torch.device("cpu"))[0].eval()


def _same_encoder(folder: Path) -> Seen:
    wave = torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
    batch = Batch(["a"], {"waveform": wave}, {"waveform": torch.tensor([16000])})
    with torch.no_grad():
        ours, theirs = (_imported(folder, n)(batch).values for n in ("s3prl.pt", "fairseq.pt"))
    apart = float((ours - theirs).abs().max())
    return Seen(f"frames differ by {apart:g}", apart == 0.0 and ours.shape[1] == 49)


def _batch_norm(folder: Path) -> Seen:
    """The positions of random frames, by torch's own layers with the weights of the file."""
    name = "mhubert_25hz_batchnorm.pt"
    path = SHARED / "cases" / CHECKPOINTS / name
    theirs = torch.load(path, weights_only=True)["model"]
    part = {n.removeprefix("encoder.pos_conv."): v for n, v in theirs.items() if "pos_conv" in n}
    dim, within, kernel = part["1.weight"].shape
    layers = torch.nn.Sequential(
        torch.nn.BatchNorm1d(dim),
        torch.nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=dim // within),
    ).eval()
    layers.load_state_dict(part)
    x = torch.randn(1, 40, dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        # An even kernel gives one frame too many.
        right = torch.nn.functional.gelu(layers(x.transpose(1, 2))[..., :40]).transpose(1, 2)
        ours = _imported(folder, name).encoder.pos_conv(x, torch.ones(1, 40, dtype=torch.bool))
    apart = float((ours - right).abs().max())
    return Seen(f"positions differ by {apart:.0e}", apart < 1e-5)


TIMES = {"start": "start", "end": "end"}
A, B = "wav/a.wav", "wav/b.wav"
FA, NC = "wav/03a01Fa.wav", "wav/03a01Nc.wav"
TRUE = ("joy", "joy", "anger", "fear")
PREDICTED = ("joy", "anger", "anger", "fear")


def _lines(names: str, line: str) -> str:
    """line: of the number of a recording, its true class and its prediction."""
    rows = (line.format(k, *pair) for k, pair in enumerate(zip(TRUE, PREDICTED, strict=True)))
    return "\n".join([names, *rows, ""])


PLAIN = [(A, None, None, None, "anger"), (B, None, None, None, "joy")]
TEXT = "file,emotion\nwav/a.wav,anger\nwav/b.wav,joy\n"
PARTS = [(A, 0.5, 1.25, None, 1.5), (B, 1.0, None, None, -2.0)]
SPLIT = [(A, None, None, "train", "anger"), (B, None, None, "test", "joy")]

CASES: list[Case] = [
    _given(
        "audformat.csv",
        [
            (FA, 0.0, 0.9, None, "anger"),
            (FA, 0.9, 1.89825, None, "joy"),
            (NC, 0.0, None, None, "joy"),
        ],
        **TIMES,
    ),
    _given(
        "backslash.csv",
        [(FA, None, None, None, "anger"), (NC, None, None, None, "joy")],
    ),
    _given(
        "decimal_comma.csv",
        [(FA, 0.5, 1.2, None, 3.25), (NC, 0.0, 1.0, None, 4.0)],
        label=(), scalar=("valence",), **TIMES,
    ),
    _given(
        "kaldi_end.csv",
        [(FA, 0.5, None, None, "anger"), (NC, 0.5, 1.0, None, "joy")],
        **TIMES,
    ),
    _given(
        "utf16.csv",
        [(FA, None, None, None, "anger"), (NC, None, None, None, "joy")],
    ),
    _given(
        "splits.csv",
        [
            (FA, None, None, "train", "anger"),
            (NC, None, None, "development", "joy"),
            ("wav/03a01Wa.wav", None, None, "test", "joy"),
        ],
        split="set",
        map=("Train=train", "Test1=test"),
    ),
    _own("UTF-16, big endian", TEXT.replace(",", "\t").encode("utf-16-be"), PLAIN),
    _own("UTF-16, little endian, no mark", TEXT.encode("utf-16-le"), PLAIN),
    _own("UTF-16, big endian, marked", b"\xfe\xff" + TEXT.encode("utf-16-be"), PLAIN),
    _own("UTF-8 with a mark, sep=;", "\ufeffsep=;\r\n" + TEXT.replace(",", ";"), PLAIN),
    _own("old ends of lines", TEXT.replace("\n", "\r"), PLAIN),
    _own("blank lines and empty rows first", "\n;;\n\n" + TEXT.replace(",", ";") + ";\n", PLAIN),
    _own("comments", "# made by x\n" + TEXT.replace("wav/b", "# wav/c.wav,joy\nwav/b"), PLAIN),
    _own("names behind #", "#" + TEXT.replace(",", "|"), PLAIN),
    _own("backslashes in Windows-made tabs", TEXT.replace("/", "\\").replace(",", "\t"), PLAIN),
    _own(
        "decimal commas in quotes",
        'file,start,end,v\nwav/a.wav,"0,5","1,250","1,5"\nwav/b.wav,"1,000",,"-2,0"\n',
        PARTS, label=(), scalar=("v",), **TIMES,
    ),
    _own(
        "timedeltas, clocks, units",
        "file,start,end,v\nwav/a.wav,00:00:00.5,1250 ms,1.5\nwav/b.wav,0:01,NaT,-2\n",
        PARTS, label=(), scalar=("v",), **TIMES,
    ),
    _own(
        "thousands with points, true minus",
        "file;start;end;v\nwav/a.wav;0,5;1.234,5;1.234,25\nwav/b.wav;1,0;-1;\u22122\n",
        [(A, 0.5, 1234.5, None, 1234.25), (B, 1.0, None, None, -2.0)],
        label=(), scalar=("v",), **TIMES,
    ),
    _own("Training, TEST", "file,emotion,s\nwav/a.wav,anger,Training\nwav/b.wav,joy,TEST\n",
         SPLIT, split="s"),
    _scored("both sides in one", _lines("file,prediction,emotion", "wav/{0}.wav,{2},{1}")),
    _scored(
        "gold beside it, Windows, UTF-16", _lines("path\tpred", "C:\\x\\{0}.wav\t{2}"),
        _lines("sep=;\nfile;emo", "audio/{0}.wav;{1}"), label="pred=emo",
    ),
    _scored(
        "parts of one recording", _lines("file,start,end,predicted", "a.wav,{0},-1,{2}"),
        _lines("file,start,end,emotion", "a.wav,0 days 00:00:0{0},NaT,{1}"),
    ),
    _named("wav/Müller.wav", "wav/Müller.wav", "found", lambda t: unicodedata.normalize("NFD", t)),
    _named("wav/Müller.wav", unicodedata.normalize("NFD", "wav/Müller.wav"), "found"),
    _named("Wav/A.WAV", "wav/a.wav", "found"),
    Case(CHECKPOINTS, "s3prl.pt", "the encoder of fairseq.pt: no difference", _same_encoder,
         needs=f"cases/{CHECKPOINTS}/s3prl.pt"),
    Case(CHECKPOINTS, "mhubert_25hz_batchnorm.pt", "batch norm, then convolution, as torch's",
         _batch_norm, needs=f"cases/{CHECKPOINTS}/mhubert_25hz_batchnorm.pt"),
]  # fmt: skip
