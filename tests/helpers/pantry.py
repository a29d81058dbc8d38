"""What `kitchen` needs besides: corpora, tables and models of other programs, small ones."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import published
import soundfile
import torch
from chain import closed, invoke
from corpus_folders import touch
from text_encoders import tiny_roberta

from avaffect.models.hubert import PRESETS, Hubert
from avaffect.training.state import METRICS_SUFFIX

YUNET = Path(__file__).resolve().parents[3] / "shared" / "models" / "yunet_n_640_640.onnx"
EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2020-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="s1" TIME_VALUE="100"/>
<TIME_SLOT TIME_SLOT_ID="s2" TIME_VALUE="400"/></TIME_ORDER>
<TIER TIER_ID="Affect"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="s1"
TIME_SLOT_REF2="s2"><ANNOTATION_VALUE>anger</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
</TIER></ANNOTATION_DOCUMENT>"""


def fill(folder: Path) -> None:
    """Corpora, tables, and files of other programs."""
    touch(folder, "corpora/emodb/03a01Wa.wav", "corpora/emodb/08a02Na.wav",
          "VoxCeleb2/dev/mp4/id00012/21Uxsk56VDQ/00001.mp4")  # fmt: skip
    (folder / "lang_vox2_final.csv").write_text(
        "filename,lang,confidence\nid00012/21Uxsk56VDQ/00001.wav,English,0.99\n"
    )
    films = sorted((folder / "films" / "video").glob("*.mp4"))
    names = [path.stem for path in films]
    items = [json.loads(line) for line in (folder / "all.jsonl").read_text("utf-8").splitlines()]
    rows = []
    for item in items[1:-1]:
        emotion = item["labels"]["emotion"].replace("anger", "angry")
        rows += [f"{item['id']},films/{item['media']},{item['speaker']},{emotion},0.5"]
    _table(folder / "clips.csv", "utt,path,spk,emo,val", rows)
    felt = ("Wut", "Freude")
    rows = [f"films/video/{name}.mp4;Jörg;{felt[k % 2]}" for k, name in enumerate(names)]
    text = "\n".join(["Datei;Person;Emotion", *rows, ""])
    (folder / "aufnahmen.csv").write_text(text, encoding="cp1252")
    _items(folder, "all.jsonl", "emodb.jsonl", lambda number: {"recognised": 90})
    _items(folder, "all.jsonl", "iemocap.jsonl", lambda number: {
        "speaker": f"s{number % 5}", "session": f"d{number % 5}"})  # fmt: skip
    _items(folder, "a.jsonl", "corpus.jsonl", lambda number: {"sex": "mf"[number % 2]})
    _items(folder, "p.jsonl", "frozen.jsonl", lambda number: {"prediction": "anger"})
    for run, made in enumerate(("seed1.jsonl", "seed2.jsonl"), 1):
        _items(folder, "p.jsonl", made, lambda number, run=run: {"run": run})
    for made in ("vavl.jsonl", "uavm.jsonl"):
        _items(folder, "p.jsonl", made, lambda number: {"shared_distance": 0.1 * number})
    _folders(folder, films)
    _traces(folder)
    _models(folder)
    # Pool utterances with the queries' label.
    text = (folder / "b.jsonl").read_text("utf-8").replace("hidden_emotion", "emotion")
    (folder / "vox-labels.jsonl").write_text(closed(text))
    line = {"step": 1, "epoch": 0, "done": 1.0, "loss": 1.0, "seconds": 1.0}
    (folder / "runs").mkdir()
    for name in ("runs/er-0", "er"):
        (folder / f"{name}.safetensors{METRICS_SUFFIX}").write_text(json.dumps(line) + "\n")
    (folder / "split01").mkdir()
    _table(folder / "split01" / "train.csv", None, names[::2])
    _table(folder / "split01" / "test.csv", None, names[1::2])
    _table(folder / "theirs.csv", "filename,predicted", [f"{name}.wav,anger" for name in names])
    _table(folder / "labels.csv", "filename,emo", [f"{name}.wav,anger" for name in names])
    ratings = [f"{name}.wav,{place % 7}" for place, name in enumerate(names)]
    for name in ("ratings.csv", "their-ratings.csv"):
        _table(folder / name, "filename,arousal", ratings)


def _folders(folder: Path, films: list[Path]) -> None:
    """Recordings, annotations, transcripts and features, one file each."""
    for place in ("clips", "recordings", "annotations", "vtt", "e2v", "openface",
                  "video2gif/videos", "emodb", "new", "musan/noise"):  # fmt: skip
        (folder / place).mkdir(parents=True)
    noise = np.random.default_rng(0).normal(0, 0.05, 8000)
    for name in ("emodb/03a01Wa.wav", "emodb/08a02Na.wav", "musan/noise/hum.wav", "pink.wav",
                 "talk.wav", "new/one.wav", "recordings/one.wav"):  # fmt: skip
        soundfile.write(folder / name, noise, 16000)
    os.link(films[0], folder / "talk.mp4")
    for line in (folder / "all.jsonl").read_text("utf-8").splitlines()[1:-1]:
        item = json.loads(line)
        speaker, emotion = item["speaker"].replace("_", ""), item["labels"]["emotion"]
        (folder / "clips" / emotion).mkdir(exist_ok=True)
        film = folder / "films" / item["media"]
        os.link(film, folder / "clips" / emotion / f"{speaker}_{film.name}")
    os.link(films[0], folder / "video2gif" / "videos" / "x.mp4")
    (folder / "video2gif" / "metadata.txt").write_text(
        "youtube_id;\tis_creative_commons;\tgif_id;\tgif_start_sec;\tgif_end_sec;\tgif_title;\t"
        "video_duration;\tvideo_category\nx;\t0;\t1;\t0;\t5;\ta;\t12;\tb\n"
    )
    (folder / "annotations" / "one.eaf").write_text(EAF)
    words = ["recording,word,start,end"]
    for number, film in enumerate(films):
        name, marks = film.stem, "00:00:00.100 --> 00:00:00.400"
        (folder / "vtt" / f"{name}.vtt").write_text(f"WEBVTT\n\n{marks}\nhappy day\n")
        np.save(folder / "e2v" / f"{name}.npy", np.full((35, 4), number, np.float32))
        _table(folder / "openface" / f"{name}.csv", "frame,timestamp,success,AU01_r,AU02_r",
               [f"{k + 1},{k / 25:.3f},1,{k % 3},{number}" for k in range(15)])  # fmt: skip
    for path in sorted((folder / "long" / "words").glob("*.csv")):
        for row in path.read_text().splitlines()[1:]:
            start, end, word = row.split(",")
            words.append(f"{path.stem},{word},{start},{end}")
    _table(folder / "words.csv", None, words)
    _table(folder / "embeddings.csv", "utterance,x1,x2",
           [f"{film.stem},{k},{k % 3}" for k, film in enumerate(films)])  # fmt: skip


def _traces(folder: Path) -> None:
    """Predictions and gold of three recordings of ten seconds, as tables and as a manifest."""
    items = []
    for number in range(3):
        waves = {name: np.sin(np.arange(250) / (20 + number + shift)).round(4).tolist()
                 for shift, name in enumerate(("arousal", "valence"))}  # fmt: skip
        rows = [f"{k / 25:.2f},{a},{v}" for k, (a, v) in enumerate(zip(*waves.values()))]
        for place in ("predictions", "gold"):
            (folder / place).mkdir(exist_ok=True)
            _table(folder / place / f"r{number}.csv", "time,arousal,valence", rows)
        items.append({"kind": "item", "id": f"r{number}", "labels": waves})
    spec = {"kind": "trace", "rate_hz": 25.0}
    header = {"kind": "header", "format": "avaffect-manifest", "version": "1.1",
              "content": "corpus", "labels": {"arousal": spec, "valence": spec}}  # fmt: skip
    end = {"kind": "end", "count": len(items)}
    lines = [json.dumps(line) + "\n" for line in (header, *items, end)]
    (folder / "recola.jsonl").write_text(closed("".join(lines)))


def _models(folder: Path) -> None:
    """Published weights, small ones of random values; those of a face detector where it lies."""
    with contextlib.suppress(ImportError):
        tiny_roberta(folder / "roberta-base")
        _of_transformers(folder)
    settings = published.avhubert_settings()
    av_hubert = published.golden_weights(published.AV_KEYS["tiny"])
    symbols = [*published.SPECIAL, *map(str, range(20))]
    published.save_fairseq(folder / "base_vox_iter5.pt", av_hubert, settings, symbols)
    torch.save(
        published.to_torchaudio(Hubert(PRESETS["tiny"]).state_dict()),
        folder / "hubert_fairseq_base_ls960.pth",
    )
    torch.save(published.cav_mae(), folder / "cav-mae-scale++.pth")
    if YUNET.is_file():
        for name in ("yunet.onnx", "face_detection_yunet_2023mar.onnx"):
            os.link(YUNET, folder / name)
        invoke(folder, "preprocess", "two.jsonl", "--faces", "yunet", "--face-model", "yunet.onnx",
               "-j", 1, "-o", "faces.h5")  # fmt: skip


def _of_transformers(folder: Path) -> None:
    import transformers

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
             "intermediate_size": 64}  # fmt: skip
    hubert = transformers.HubertConfig(**sizes, conv_dim=(32,) * 7)
    transformers.HubertModel(hubert).save_pretrained(folder / "facebook" / "hubert-base-ls960")
    whisper = transformers.WhisperConfig(
        d_model=32, encoder_layers=3, encoder_attention_heads=4, encoder_ffn_dim=64,
        decoder_layers=1, decoder_attention_heads=4, decoder_ffn_dim=64, vocab_size=100,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    transformers.WhisperModel(whisper).save_pretrained(folder / "openai" / "whisper-tiny.en")
    invoke(folder, "import", "openai/whisper-tiny.en", "-o", "whisper.safetensors")
    b2 = transformers.EfficientNetConfig(
        width_coefficient=1.1, depth_coefficient=1.2, hidden_dim=1408, image_size=260,
        depthwise_padding=[5, 8, 16],
    )  # fmt: skip
    transformers.EfficientNetModel(b2).save_pretrained(folder / "google" / "efficientnet-b2")


def _table(path: Path, head: str | None, rows: list[str]) -> None:
    path.write_text("\n".join([*([head] if head else []), *rows, ""]))


def _items(folder: Path, source: str, made: str, changes: Callable[[int], dict[str, Any]]) -> None:
    """A manifest with other values in its items."""
    lines = [json.loads(line) for line in (folder / source).read_text("utf-8").splitlines()]
    for number, item in enumerate(line for line in lines if line["kind"] == "item"):
        item.update(changes(number))
    (folder / made).write_text(closed("".join(json.dumps(line) + "\n" for line in lines)))
