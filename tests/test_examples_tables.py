"""The papers' tables in examples/: one in a minute, and every command of the rest."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import click
import paired_stores
import pytest
from chain import invoke
from makefiles import make
from printed import table
from text_encoders import tiny_roberta

from avaffect.cli.main import group
from avaffect.core import png
from avaffect.data.store.reader import Store

DEMO, SHUKLA, SSVAERR = "examples/demo.mk", "examples/shukla.mk", "examples/ssvaerr.mk"
SOCIAL = "examples/social-mae.mk"
VAVL = "examples/vavl.mk"
CONTINUOUS, SAAML = "examples/continuous.mk", "examples/saaml.mk"
EXPRESSION = "examples/expression.mk"
# Files that exist stand for those of users.
OWN = tuple(
    f"{name}=README.md"
    for name in (
        "STORE_recola",
        "STORE_semaine",
        "MANIFEST_semaine",
        "ENCODER_random",
        "ENCODER_pretrained",
        "ENCODER_adapted",
    )
)
QUICK = (
    "TRAIN=--preset nano --steps 2 --batch-utterances 4", "RUNS=2", "FACES=",
    "HEAD=--head bgru --hidden 4 --frames-per-step 8 --epochs 1",
)  # fmt: skip


@pytest.fixture(autouse=True)
def needs_make() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")


@pytest.mark.slow
def test_table_2_on_few_clips(tmp_path: Path) -> None:
    """Classes and traces: a front-end, an encoder as initialised, a trained one, and it tuned."""
    for name, domain in (("pool", "B"), ("U", "U")):
        invoke(tmp_path, "synth", name, "--domain", domain, "--utterances", 10, "--speakers", 5,
               "--shortest", 0.5, "--longest", 0.6, "-o", f"{name}-all.jsonl")  # fmt: skip
        invoke(
            tmp_path, "split", f"{name}-all.jsonl", "--ratios", 60, 20, 20, "-o", f"{name}.jsonl"
        )
        invoke(tmp_path, "preprocess", f"{name}.jsonl", "--size", 64, "-o", f"{name}.h5")
    rows = "logmel random l1odd finetuned"
    found = make(SHUKLA, f"OUT={tmp_path}", "FRONT_ENDS=logmel", "ENCODERS=random l1odd",
                 f"ROWS={rows}", *QUICK, "table2")  # fmt: skip
    lines = [line.split("\t") for line in found.splitlines() if "\t" in line]
    named = [line[0] for line in lines if line[0] in rows.split()]
    assert named == rows.split() * 2
    assert "Table 2: emotion (f1_macro of 2 runs" in found and "Table 2: affect (ccc" in found


@pytest.mark.slow
def test_tables_of_vavl_on_few_utterances(tmp_path: Path) -> None:
    """Attributes, of utterances that have sound, faces or both, in two partitions."""
    paired_stores.write(tmp_path)
    store = Store(tmp_path / "audio.h5")
    rows = zip(store.ids, store.meta["speaker"])
    lines = ["id,media,speaker", *(f"{name},{name}.wav,{speaker}" for name, speaker in rows)]
    (tmp_path / "u.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    invoke(tmp_path, "manifest", "table", "u.csv", "--id", "id", "--media", "media", "--speaker",
           "speaker", "--no-check-media", "-o", "u.jsonl")  # fmt: skip
    at = f"{tmp_path}/"
    found = make(
        VAVL, f"OUT={at}out", "CORPORA=u", f"MANIFEST_u={at}u.jsonl", f"MEDIA_u={at}audio.h5",
        f"AUDIO_u={at}audio.h5", f"VIDEO_u={at}video.h5", "ATTRIBUTES_u=arousal valence",
        "PARTITIONS=0 1", "BASELINES=vavl uavm", "ABLATIONS=no-av-head", "TRAIN=--steps 2",
    )  # fmt: skip
    lines = [line.split("\t")[0] for line in found.splitlines() if "\t" in line]
    for row, count in {"vavl": 7, "uavm": 4, "acoustic": 1, "visual": 1, "no-av-head": 3}.items():
        assert lines.count(row) == count, found
    distances = table(found[found.index("Figure 2") :].partition("\n")[2])
    assert [row["name"] for row in distances] == ["vavl", "uavm"]
    assert all(0 <= float(row["shared_distance"]) <= 2 for row in distances)
    assert (tmp_path / "out" / "u-figure2.png").read_bytes().startswith(png.SIGNATURE)


@pytest.mark.slow
def test_expression_with_and_without_words(tmp_path: Path, chain: Path) -> None:
    """Films and their transcripts; too few for a score above chance."""
    encoder, out = chain / "fav.safetensors", tmp_path / "out"
    found = make(
        EXPRESSION, f"OUT={out}", "FILM=--utterances 8 --speakers 8 --segments 2 --words 0.9 -j 1",
        "MODALITY=audio", f"PRETRAINED={encoder}", f"ADAPTED={encoder}",
        f"encoder_random={encoder}", f"TEXT_ENCODER={tiny_roberta(tmp_path / 'roberta')}",
        "RUNS=2", "TRAIN=--select f1_macro --epochs 5", "ENCODERS=random pretrained",
    )  # fmt: skip
    tables = found[found.index("Table 3") :].split("\n\n")
    whole, *by_encoder = (table(part.partition("\n")[2]) for part in tables)
    kinds = [name + kind for name in ("random", "pretrained") for kind in ("", "+text", "-text")]
    assert [row["name"] for row in whole] == ["text", *kinds]
    assert [[row["name"] for row in rows] for rows in by_encoder] == [kinds[:3], kinds[3:]]
    assert {row["runs"] for row in whole} == {"2"}
    # The rows of one encoder under two names, of which only those with words have any.
    scores = [row["f1_macro"] for row in whole[1:]]
    assert scores[:3] == scores[3:] and len({*scores[:3]}) == 3


@pytest.mark.parametrize(
    "targets",
    [
        (SHUKLA, "table2", "table4", "table5", "figure7", "figure8"),
        (SSVAERR, "table1", "table2", "table3", "table4"),
        (DEMO, "table"),
        (SOCIAL, "PAPER=1", "all"),
        (VAVL, "tables"),
        (VAVL, "ATTRIBUTES_people=arousal valence", "table1", "table2", "figure2"),
        (SAAML, "table2", "table7", "table8", "table9", "figure4"),
        (SAAML, "table1"),
        (SAAML, "TUNE=--epochs 5", "SPLIT=--by speaker --ratios 70 10 20", "table10"),
        (CONTINUOUS, "PAPER=1", "TASKS=recola semaine", *OWN, "tables"),
        (EXPRESSION, "table3"),
        (
            EXPRESSION,
            "FILMS=README.md",
            "TEXT_ENCODER=tests",
            "TRANSCRIPTS=vtt",
            "PRETRAINED=README.md",
            "ADAPTED=README.md",
            "TEST=development",
            "TRAIN=--select none --epochs 5",
            "table3",
        ),
    ],
    ids=[
        "shukla",
        "ssvaerr",
        "demo",
        "social-mae",
        "vavl",
        "vavl-attributes",
        "saaml",
        "saaml-table-1",
        "saaml-tuned",
        "continuous",
        "expression",
        "expression-own",
    ],
)
def test_every_command_is_one(tmp_path: Path, targets: tuple[str, ...]) -> None:
    """All tables and figures, parsed and not run: options exist, files are made before use."""
    makefile, *tables = targets
    demo = () if makefile == SAAML else (f"DEMO={tmp_path}",)
    found = make(makefile, "-n", f"OUT={tmp_path}", *demo, *tables)
    lines = found.replace("\\\n", " ").splitlines()
    stages = [stage.strip() for line in lines for stage in line.split(" | ")]
    commands = [stage for stage in stages if stage.startswith("avaffect ")]
    assert len(commands) > {DEMO: 70, SOCIAL: 30, CONTINUOUS: 19, SAAML: 80, EXPRESSION: 30}.get(
        makefile, 100
    )
    made: set[str] = set()
    for line in commands:
        _, name, *arguments = shlex.split(line)
        command = group.get_command(None, name)
        context = command.make_context(name, list(arguments))
        output = context.params.get("output")
        assert str(output) not in made or output is None, f"made twice: {output}"
        made.update((str(output), str(context.params.get("last"))))
        for value in arguments:
            path = value.partition("=")[2] or value
            if (
                path.startswith(f"{tmp_path}/")
                and not value.startswith("-")
                and path != str(output)
            ):
                is_made = path in made or Path(path).suffix in (".png", "")
                assert is_made, f"{path} is read before it is made: {line}"
    assert isinstance(context, click.Context)
