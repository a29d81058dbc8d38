"""`extract-text`: vectors of the words spoken in utterances and around frames, and their fusion."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from corpus_folders import Spoken
from text_encoders import LONGEST, tiny_roberta

from avaffect.core.progress import SILENT
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, PooledSpec, StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.data.transcripts import reading
from avaffect.recipes.encoding.spoken import words_of
from avaffect.training import text_encoder
from avaffect.training.text_encoder import TextEncoder

CPU = torch.device("cpu")
CLASSES = ("anger", "happiness")
SAID = {"anger": ("i am so angry", "this is terrible"), "happiness": ("lovely day", "so happy")}
TEXTS = ["i am so angry at you", "hello", "", "what a happy lovely day it is", "hello hello"]


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_roberta(tmp_path_factory.mktemp("models") / "roberta")


def mean_naively(folder: Path, text: str) -> np.ndarray:
    """Of one text by itself, token after token, with transformers alone."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    ids = tokenizer.encode(text, add_special_tokens=False)[: LONGEST - 2]
    whole = torch.tensor([[tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]])
    with torch.no_grad():
        output = model(input_ids=whole).last_hidden_state[0]
    total = np.zeros(output.shape[1])
    for place in range(1, len(ids) + 1):
        total += output[place].numpy()
    return total / max(len(ids), 1)


def test_means_of_tokens_are_those_of_texts_by_themselves(roberta: Path) -> None:
    encoder = text_encoder.load(roberta, CPU, "32")
    assert encoder.dim == 16 and encoder.limit == LONGEST
    long = " ".join(["terrible"] * 40)
    found, truncated = encoder.encode([*TEXTS, long])
    assert truncated == 1 and found.dtype == torch.float32
    for text, row in zip([*TEXTS, long], found):
        np.testing.assert_allclose(row, mean_naively(roberta, text), atol=1e-5)
    assert not found[2].any() and found[0].any()
    # In any batch, in any order.
    alone = torch.cat([encoder.encode([text])[0] for text in TEXTS])
    np.testing.assert_allclose(alone, found[:-1], atol=1e-6)
    turned, _ = encoder.encode(TEXTS[::-1])
    np.testing.assert_allclose(turned.flip(0), alone, atol=1e-6)


@pytest.mark.parametrize("kind", ["BertModel", "RobertaForMaskedLM", "T5ForConditionalGeneration"])
def test_other_text_encoders(tmp_path: Path, roberta: Path, kind: str) -> None:
    """Of other families, with the head that they are published with: what is read is the encoder's
    output."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(roberta)
    model_class = getattr(transformers, kind)
    of_t5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2,
             "decoder_start_token_id": 0}  # fmt: skip
    of_others = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
                 "intermediate_size": 32, "max_position_embeddings": 40}  # fmt: skip
    sizes = of_t5 if kind.startswith("T5") else of_others
    config = model_class.config_class(vocab_size=len(tokenizer), pad_token_id=1, **sizes)
    torch.manual_seed(0)
    model = model_class(config).eval()
    model.save_pretrained(tmp_path / "x")
    tokenizer.save_pretrained(tmp_path / "x")
    encoder = text_encoder.load(tmp_path / "x", CPU, "32")
    limits = {"BertModel": 40, "RobertaForMaskedLM": 38}
    assert (encoder.dim, encoder.limit) == (16, limits.get(kind))
    found, _ = encoder.encode(TEXTS)
    ids = torch.tensor([tokenizer.encode(TEXTS[0])])
    inner = {"BertModel": model, "RobertaForMaskedLM": getattr(model, "roberta", None)}.get(kind)
    with torch.no_grad():
        whole = (inner or model.get_encoder())(input_ids=ids).last_hidden_state[0]
    np.testing.assert_allclose(found[0], whole[1:-1].mean(dim=0), atol=1e-5)


def clips(path: Path) -> Path:
    """Two utterances of one file, and one of another, whose name is its id."""
    specs = {"waveform": StreamSpec("waveform", "int16", 16000.0)}
    labels = {"emotion": LabelSpec("class", CLASSES), "valence": LabelSpec("trace", rate_hz=5.0)}
    with store_writer(path, {}, streams=specs, labels=labels) as writer:
        for name, source, start in (("a1", "v/a.mp4", 0.0), ("a2", "v/a.mp4", 2.0),
                                    ("b", "v/other.mp4", 5.0)):  # fmt: skip
            writer.add(
                name, streams={"waveform": np.zeros(32000, "int16")},
                labels={"emotion": "anger", "valence": np.arange(10.0)},
                meta={"source": source, "start_s": start, "duration_s": 2.0, "speaker": "s"},
            )  # fmt: skip
    return path


def transcript(path: Path, rows: list[tuple[str, float, float]], *columns: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{start},{end},{word}" for word, start, end in rows]
    path.write_text("\n".join(["start,end,word", *lines, ""]), encoding="utf-8")
    return path


def test_utterances_have_the_words_spoken_in_them(tmp_path: Path, roberta: Path) -> None:
    clips(tmp_path / "m.h5")
    transcript(tmp_path / "t" / "a.csv", [("i", 0, 0.5), ("am", 1.8, 2.2), ("angry", 3, 3.5)])
    # Named as the utterance it counts from there, not from the file's beginning.
    transcript(tmp_path / "t" / "b.csv", [("lovely", 0.5, 1), ("day", 2.5, 3)])
    run = ("extract-text", "m.h5", "--transcripts", "t", "--model", roberta, "-o", "x.h5")
    said = invoke(tmp_path, *run).stderr
    assert "3 different texts" in said and "warning" not in said
    found = Store(tmp_path / "x.h5")
    expected = {"a1": "i am", "a2": "am angry", "b": "lovely"}
    vectors = found.pooled_vectors("mean")
    for name, text in expected.items():
        row = found.rows[name]
        np.testing.assert_allclose(vectors[row], mean_naively(roberta, text), atol=1e-5)
        assert found.meta["words"][row] == len(text.split()) and found.label("emotion")[row] == 0
    assert found.trace("valence", 1).tolist() == list(range(10))
    assert found.pooled["mean"].made["around"] == 0
    assert "up to date" in invoke(tmp_path, *run).stderr
    invoke(tmp_path, *run[:-1], "y.h5", "--around", 1)
    assert list(Store(tmp_path / "y.h5").meta["words"]) == [3 - 1, 3 - 1, 2]
    # Other words or another model are other inputs.
    transcript(tmp_path / "t" / "b.csv", [("lovely", 0.5, 1)])
    invoke(tmp_path, *run, status=73)


def film_store(path: Path, films: int = 6) -> Path:
    """Frames of noise, five a second for four seconds: their class is in the words alone, a text of
    SAID in each second; the last film has no transcript."""
    folder = path.parent / "words"
    random = np.random.default_rng(0)
    labels = {"expression": LabelSpec("class", CLASSES)}
    pooled = {"mean": PooledSpec(8, {"front_end": "noise"})}
    with store_writer(path, {}, labels=labels, pooled=pooled) as writer:
        for film in range(films):
            order = random.permutation([0, 1, 0, 1])
            rows = []
            for second, value in enumerate(order):
                words = SAID[CLASSES[value]][int(random.integers(2))].split()
                for place, word in enumerate(words):
                    start, end = (second + (place + k) / len(words) for k in (0, 1))
                    rows.append((word, start, end))
            if film < films - 1:
                transcript(folder / f"f{film}.csv", rows)
            for step in range(20):
                writer.add(
                    f"film{film}_{step}", pooled={"mean": random.normal(size=8)},
                    labels={"expression": CLASSES[order[step // 5]]},
                    meta={"recording": f"film{film}", "source": f"v/f{film}.mp4",
                          "start_s": step / 5, "duration_s": 0.2, "speaker": f"s{film}",
                          "split": ("train" if film < 3 else "test" if film > 3
                                    else "development")},
                )  # fmt: skip
    return path


def counted_texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are encoded from now on."""
    found: list[str] = []
    encode = TextEncoder.encode

    def count(self: TextEncoder, texts: list[str]) -> tuple[torch.Tensor, int]:
        found.extend(texts)
        return encode(self, texts)

    monkeypatch.setattr(TextEncoder, "encode", count)
    return found


def score(folder: Path, *options: object) -> float:
    invoke(folder, "predict", "f.h5", "--model", "c.safetensors", *options, "--split", "test",
           "-f", "-o", "p.jsonl")  # fmt: skip
    return float(json.loads(invoke(folder, "eval-class", "p.jsonl", "--json").stdout)["f1_macro"])


def test_fusion_of_frames_with_words(
    tmp_path: Path, roberta: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film_store(tmp_path / "f.h5")
    encoded = counted_texts(monkeypatch)
    said = invoke(tmp_path, "extract-text", "f.h5", "--transcripts", "words", "--model", roberta,
                  "--around", 0.2, "--batch-texts", 3, "-o", "t.h5").stderr  # fmt: skip
    assert "1 of 6 recordings have no transcript: film5" in said
    found = Store(tmp_path / "t.h5")
    # Of 100 frames with words, neighbours share theirs: each text once.
    assert len(encoded) == len(set(encoded)) < 40
    silent = np.array(found.meta["words"]) == 0
    assert silent.sum() == 20 and not found.pooled_vectors("mean")[silent].any()
    av, text = ("--features", "av=f.h5"), ("--features", "text=t.h5")
    train = ("finetune", "f.h5", "--label", "expression", "--epochs", 60, "-f",
             "-o", "c.safetensors")  # fmt: skip
    invoke(tmp_path, *train, *av)
    alone = score(tmp_path, *av)
    invoke(tmp_path, *train, *av, *text)
    fused = score(tmp_path, *av, *text)
    # Chance on noise, and on the film without words.
    assert alone + 0.1 < fused
    items = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()[1:-1]]
    with_words = [item for item in items if item["id"].startswith("film4")]
    assert len(items) == 40 and sum(i["prediction"] == i["gold"] for i in with_words) >= 17
    # Without text each utterance is predicted as one that has none.
    silent_scores = {i["id"]: i["scores"] for i in items if i["id"].startswith("film5")}
    for given in (av, (*av, *text)):
        without = score(tmp_path, *given, "--without-features", "text")
        rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()[1:-1]]
        assert len(rows) == 40 and without < fused
        for item in rows:
            if item["id"] in silent_scores:
                assert item["scores"] == pytest.approx(silent_scores[item["id"]], abs=1e-5)
    predict = ("predict", "f.h5", "--model", "c.safetensors", "-f", "-o", "p.jsonl", *av)
    invoke(tmp_path, *predict, status=65)
    invoke(tmp_path, *predict, "--without-features", "audio", status=2)
    invoke(tmp_path, *predict, "--without-features", "text", "--without-features", "av", status=2)
    # The store's own features are not joined without a name.
    said = invoke(tmp_path, *train, *text).stderr
    assert "--features NAME=f.h5" in said


def test_both_parts_are_standardised(tmp_path: Path, roberta: Path) -> None:
    from avaffect.training import checkpoint

    film_store(tmp_path / "f.h5")
    invoke(tmp_path, "extract-text", "f.h5", "--transcripts", "words", "--model", roberta,
           "-o", "t.h5")  # fmt: skip
    invoke(tmp_path, "finetune", "f.h5", "--label", "expression", "--features", "av=f.h5",
           "--features", "text=t.h5", "--steps", 1, "-o", "c.safetensors")  # fmt: skip
    _, tensors = checkpoint.load(tmp_path / "c.safetensors")
    train = np.array(Store(tmp_path / "f.h5").meta["split"]) == "train"
    both = np.concatenate(
        [Store(tmp_path / name).pooled_vectors("mean")[train] for name in ("f.h5", "t.h5")], axis=1
    )
    (mean,) = (v for name, v in tensors.items() if name.endswith("standardisation.mean"))
    (std,) = (v for name, v in tensors.items() if name.endswith("standardisation.std"))
    np.testing.assert_allclose(mean, both.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(std, both.std(axis=0), atol=1e-5)


def test_transcripts_that_do_not_fit(tmp_path: Path, roberta: Path) -> None:
    clips(tmp_path / "m.h5")
    run = ("extract-text", "m.h5", "--model", roberta, "-o", "x.h5", "--transcripts")
    late = transcript(tmp_path / "late" / "a.csv", [("late", 900, 901)])
    said = invoke(tmp_path, *run, "late", status=65).stderr
    assert "900 to 901" in said and not (tmp_path / "x.h5").exists()
    transcript(tmp_path / "none" / "c.csv", [("other", 0, 1)])
    said = invoke(tmp_path, *run, "none", status=65).stderr
    assert "of c," in said and "a1, a2, b" in said
    (tmp_path / "silent").mkdir()
    (tmp_path / "silent" / "a.vtt").write_text("WEBVTT\n")
    invoke(tmp_path, *run, "silent", status=65)
    # Some of them: counted and listed.
    shutil.copy(late, tmp_path / "none" / "a.csv")
    transcript(tmp_path / "none" / "b.csv", [("hello", 0, 1), ("bad", 1, 0)])
    said = invoke(tmp_path, *run, "none").stderr
    assert "1 of 2 transcripts do not overlap" in said and ": a\n" in said
    assert "of no recording here: c" in said and "2 of 3 utterances have no words" in said
    assert "b.csv: 1 cue is left out" in said and "(lines 3)" in said
    # A file of one recording, of whatever name, for a store of one alone.
    one = transcript(tmp_path / "any.csv", [("hello", 0, 1)])
    invoke(tmp_path, *run, one, "-f", status=65)
    waveform = StreamSpec("waveform", "int16", 16000.0)
    with store_writer(tmp_path / "m.h5", {}, streams={"waveform": waveform}) as writer:
        writer.add("alone", streams={"waveform": np.zeros(32000, "int16")})
    invoke(tmp_path, *run, one, "-f")
    assert list(Store(tmp_path / "x.h5").meta["words"]) == [1]


def test_transcripts_of_a_part_of_a_file(tmp_path: Path) -> None:
    """Frames of an utterance that begins ten seconds into its file: the transcript of the file
    counts from there, that of the utterance from its own beginning."""
    with store_writer(tmp_path / "f.h5", {}, pooled={"mean": PooledSpec(1)}) as writer:
        for step in range(4):
            writer.add(
                f"talk_{step}", pooled={"mean": np.ones(1)},
                meta={"recording": "talk", "source": "v/a.mp4", "recording_start_s": 10.0,
                      "start_s": step / 2, "duration_s": 0.5},
            )  # fmt: skip
    store = Store(tmp_path / "f.h5")
    transcript(tmp_path / "file" / "a.csv", [("early", 0, 2), ("here", 10.5, 11)])
    transcript(tmp_path / "own" / "talk.csv", [("here", 0.5, 1), ("late", 10, 12)])
    for folder in ("file", "own"):
        found = words_of(store, reading.find(tmp_path / folder), 0.0, SILENT)
        assert found.distinct == ["here"] and found.texts.tolist() == [-1, 0, -1, -1]
    # What extract --frames-of writes of it.
    films = tmp_path / "m.h5"
    labels = {"e": LabelSpec("trace", CLASSES, 2.0)}
    specs = {"waveform": StreamSpec("waveform", "int16", 16000.0)}
    with store_writer(films, {}, streams=specs, labels=labels) as writer:
        writer.add("talk", streams={"waveform": np.ones(32000, "int16")},
                   labels={"e": np.zeros(4)}, meta={"start_s": 10.0})  # fmt: skip
    invoke(tmp_path, "extract", films, "--model", "logmel", "--frames-of", "e", "-o", "x.h5")
    meta = Store(tmp_path / "x.h5").meta
    assert set(meta["recording_start_s"]) == {10.0} and max(meta["start_s"]) == 1.5


def test_a_name_of_an_utterance_and_its_file_is_that_of_the_file(tmp_path: Path) -> None:
    with store_writer(tmp_path / "m.h5", {}, pooled={"mean": PooledSpec(1)}) as writer:
        writer.add("talk", pooled={"mean": np.ones(1)},
                   meta={"source": "v/talk.mp4", "start_s": 10.0, "duration_s": 2.0})  # fmt: skip
    transcript(tmp_path / "talk.csv", [("early", 0, 2), ("here", 10.5, 11)])
    found = words_of(Store(tmp_path / "m.h5"), reading.find(tmp_path / "talk.csv"), 0.0, SILENT)
    assert found.distinct == ["here"]


def test_folders_tell_transcripts_of_one_name_apart(tmp_path: Path) -> None:
    """Of whole recordings, by their ids; of parts of them, by the paths of their files."""
    for part in ("s1", "s2"):
        transcript(tmp_path / "t" / part / "take.csv", [(part, 10.5, 11)])
    for ids in (("s1/take", "s2/take"), ("a", "b"), ("a",)):
        store = tmp_path / f"{len(ids)}{ids[0][:1]}.h5"
        with store_writer(store, {}, pooled={"mean": PooledSpec(1)}) as writer:
            for part, name in zip(("s1", "s2"), ids):
                writer.add(name, pooled={"mean": np.ones(1)}, meta={
                    "source": f"{part}/take.wav", "start_s": 10.0, "duration_s": 2.0})  # fmt: skip
        found = words_of(Store(store), reading.find(tmp_path / "t"), 0.0, SILENT)
        assert found.distinct == ["s1", "s2"][: len(ids)]


def test_words_in_no_utterance_are_counted(tmp_path: Path) -> None:
    """As where times are numbers of pictures: the first of them are within the recording."""
    clips(tmp_path / "m.h5")
    words = [(f"w{k}", k * 5.0, k * 5.0 + 4) for k in range(8)]
    length = float(Store(tmp_path / "m.h5").meta["duration_s"].max())
    within = sum(start < length for _, start, _ in words)
    assert 0 < within < 4
    for count in (8, within + 1):
        transcript(tmp_path / f"t{count}" / "a.csv", words[:count])
        heard = Spoken()
        found = words_of(Store(tmp_path / "m.h5"), reading.find(tmp_path / f"t{count}"), 0.0, heard)
        assert (found.words, found.beside) == (count, count - within)
        assert f"{count - within} of {count} words" in heard.text
        assert ("check that times are seconds" in heard.text) == (count == 8)


def test_recordings_without_their_words(chain: Path) -> None:
    """A classifier of an encoder and of text predicts a recording by the encoder alone."""
    media = Store(chain / "a.h5")
    with store_writer(chain / "t.h5", {}, pooled={"mean": PooledSpec(3)}) as writer:
        for number, identifier in enumerate(media.ids):
            writer.add(identifier, pooled={"mean": np.eye(3)[number % 3]})
    invoke(chain, "finetune", "a.h5", "--encoder", "fav.safetensors", "--mode", "frozen",
           "--features", "text=t.h5", "--steps", 2, "-o", "c.safetensors")  # fmt: skip
    (wav,) = (chain / "wav-a").rglob(f"{media.ids[0]}.wav")
    model = ("--model", "c.safetensors")
    assert "--without-features text" in invoke(chain, "predict", wav, *model, status=65).stderr
    without = (*model, "--without-features", "text")
    invoke(chain, "predict", wav, *without, "-o", "wav.jsonl")
    invoke(chain, "predict", "a.h5", *without, "-o", "store.jsonl")
    of_file, of_store = (
        json.loads((chain / name).read_text().splitlines()[1])
        for name in ("wav.jsonl", "store.jsonl")
    )
    assert of_store["id"] == media.ids[0]
    assert of_file["scores"] == pytest.approx(of_store["scores"], abs=1e-4)


def test_models_that_are_no_text_encoder(
    tmp_path: Path, roberta: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips(tmp_path / "m.h5")
    transcript(tmp_path / "t" / "a.csv", [("hello", 0, 1)])

    def refused(model: object, status: int = 65) -> str:
        return invoke(tmp_path, "extract-text", "m.h5", "--transcripts", "t", "--model", model,
                      "-o", "x.h5", status=status).stderr  # fmt: skip

    def copied(name: str) -> Path:
        shutil.copytree(roberta, tmp_path / name)
        return tmp_path / name

    assert "hf download roberta-base" in refused("roberta-base")
    assert "is a file" in refused("m.h5")
    for file in roberta.glob("tokenizer*"):
        (folder := tmp_path / "no-tokenizer").exists() or copied("no-tokenizer")
        (folder / file.name).unlink()
    assert "no tokenizer" in refused("no-tokenizer")
    (copied("no-weights") / "model.safetensors").unlink()
    assert "no weights" in refused("no-weights")
    (tmp_path / "no-weights" / "pytorch_model.bin").write_bytes(b"PK\x03\x04 pickled")
    assert "safetensors" in refused("no-weights")
    (copied("no-configuration") / "config.json").unlink()
    assert "config.json" in refused("no-configuration")
    # Weights of fewer layers, and of fewer words.
    deeper = copied("deeper") / "config.json"
    layers = '"num_hidden_layers": '
    deeper.write_text(deeper.read_text().replace(f"{layers}2", f"{layers}3"))
    assert "missing" in refused("deeper")
    shallower = copied("shallower") / "config.json"
    shallower.write_text(shallower.read_text().replace(f"{layers}2", f"{layers}1"))
    assert "layers" in refused("shallower")
    # Numbers of tokens beyond the model's table, though there are not more tokens than rows.
    gaps = copied("gaps") / "tokenizer.json"
    tokenizer = json.loads(gaps.read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary[max(vocabulary, key=vocabulary.get)] += 1000
    gaps.write_text(json.dumps(tokenizer))
    assert "tokenizer" in refused("gaps")
    smaller = tiny_roberta(tmp_path / "smaller", vocab_size=280)
    assert "tokenizer" in refused(smaller)
    (copied("garbage") / "config.json").write_text('{"model_type": "nobody knows"}')
    assert "transformers cannot read" in refused("garbage")
    assert not (tmp_path / "x.h5").exists()
    monkeypatch.setattr("avaffect.recipes.extract_text.find_spec", lambda name: None)
    assert "huggingface" in refused(roberta, status=2)
