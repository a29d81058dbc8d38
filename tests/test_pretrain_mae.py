"""`pretrain-mae`, import of CAV-MAE and Social-MAE, and what reads their tokens."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from chain import check_stopped_and_resumed, invoke
from published import cav_mae, social_mae
from safetensors.torch import load_file
from stores import write_store
from tiny_training import history

from avaffect.core import headers
from avaffect.core.checkpoint_header import read_header
from avaffect.core.headers import EncoderHeader
from avaffect.core.progress import SILENT
from avaffect.core.streams import FACE, WAVEFORM
from avaffect.data.store.reader import Store
from avaffect.models.cavmae import CAVMAE, CAVMAEConfiguration
from avaffect.models.cavmae_decoder import CAVMAEDecoder, DecoderConfiguration
from avaffect.models.cavmae_extension import DECODER, EMBEDDING, extended, extended_decoder
from avaffect.models.published.cavmae import translate
from avaffect.objectives.masked_autoencoding import (
    MaskedAutoencoding,
    MaskedAutoencodingConfiguration,
)
from avaffect.recipes.encoding import checkpoints
from avaffect.recipes.pretraining import methods
from avaffect.recipes.pretraining.kept_objective import load_objective
from avaffect.recipes.pretraining.mae_preview import _versions
from avaffect.settings.pretrain_mae import PretrainMaeSettings

WRITTEN = Path(__file__).parent / "fixtures" / "v0.1"
RUN = ("pretrain-mae", "labelled.h5", "pool.h5", "--preset", "nano", "--split", "all")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Talking faces; mae.safetensors, an encoder of three steps with its picture; social.pt and
    cav.pt, weights under their authors' names."""
    found = Path(shutil.copytree(WRITTEN, tmp_path_factory.mktemp("mae") / "v0.1"))
    invoke(found, *RUN, "--steps", 3, "--pictures", 4, "--preview", "seen.png", "-o",
           "mae.safetensors")  # fmt: skip
    for name, mode in (("social", "pretrain"), ("tuned", "finetune")):
        torch.save(social_mae(mode), found / f"{name}.pt")
    torch.save(cav_mae(), found / "cav.pt")
    return found


def test_the_checkpoint_keeps_encoder_objective_and_statistics(folder: Path) -> None:
    header = headers.read(folder / "mae.safetensors", EncoderHeader)
    assert header.model["name"] == "cavmae" and header.rate_hz == 0.0
    configuration = header.model["configuration"]
    assert (configuration["pictures"], configuration["tube"]) == (4, 2)
    # Those of the corpus, not of a published model.
    assert configuration["face_mean"] != list(CAVMAEConfiguration().face_mean)
    assert configuration["spectrum_mean"] != CAVMAEConfiguration().spectrum_mean
    assert header.objective is not None and header.objective.name == "masked_autoencoding"
    assert header.metrics["last"].keys() >= {
        "audio", "video", "contrast", "reconstruction", "audio_mean", "video_mean", "matched_audio",
        "matched_video", "chance",
    }  # fmt: skip
    lines = history(folder / "mae.safetensors.metrics.jsonl")
    assert lines[0]["learning_rate"] == pytest.approx(1e-4)
    trained = load_objective(folder / "mae.safetensors", "")
    assert trained.configuration.decoder == DecoderConfiguration(64, 2, 4)


def test_the_picture_shows_each_utterance_in_three_rows(folder: Path) -> None:
    picture = cv2.imread(str(folder / "seen.png"))
    assert picture is not None and picture.shape[0] > 12 * 160
    # Up to date: the picture alone is made again.
    (folder / "seen.png").unlink()
    before = (folder / "mae.safetensors").stat().st_ino
    invoke(folder, *RUN, "--steps", 3, "--pictures", 4, "--preview", "seen.png", "-o",
           "mae.safetensors")  # fmt: skip
    assert (cv2.imread(str(folder / "seen.png")) == picture).all()
    assert (folder / "mae.safetensors").stat().st_ino == before


def test_the_picture_leaves_the_padding_after_a_sound_as_it_is() -> None:
    """Nothing is learned of it, so that what the decoder makes of it is noise."""
    c = CAVMAEConfiguration(dim=8, heads=2, ffn_dim=8, layers=1, face_size=16, spectrum_frames=32)
    configuration = MaskedAutoencodingConfiguration(DecoderConfiguration(8, 1, 2), masked_audio=0.9)
    trained = MaskedAutoencoding(CAVMAE(c), configuration).eval()
    patches = {WAVEFORM: torch.randn(1, 16, 256)}
    # Rows of bands; of each the first half of the frames is sound.
    there = torch.tensor([[True, False] * 8])
    with torch.no_grad():
        original, masked, reconstructed = (
            version[0]
            for version in _versions(
                trained, patches, {WAVEFORM: torch.rand(1, 16)}, WAVEFORM, there
            )
        )
    for version in (masked, reconstructed):
        assert (version[:, 16:] == original[:, 16:]).all()
        assert (version[:, :16] != original[:, :16]).mean() > 0.5


def test_a_modality_without_one_of_its_streams_is_a_warning(folder: Path, tmp_path: Path) -> None:
    wave = np.random.default_rng(0).integers(-9000, 9000, 4000).astype(np.int16)
    write_store(tmp_path / "sound.h5", {WAVEFORM: (16000.0, [wave])})
    line = ("extract", tmp_path / "sound.h5", "--model", "mae.safetensors", "--pooled-only")
    for modality, warned in (("av", True), ("audio", False)):
        found = invoke(folder, *line, "--modality", modality, "-o", tmp_path / f"{modality}.h5")
        assert ("'face'" in found.stderr) is warned


def test_faces_that_are_smaller_or_grey_are_a_warning(folder: Path, tmp_path: Path) -> None:
    line = ("extract", "faces.h5", "--model", "mae.safetensors", "--pooled-only", "-f")
    for side, channels, warned in ((48, 3, False), (32, 3, True), (48, 1, True)):
        faces = np.full((4, side, side, channels), 90, np.uint8)
        write_store(tmp_path / "faces.h5", {FACE: (25.0, [faces])})
        found = invoke(folder, line[0], tmp_path / line[1], *line[2:], "-o", tmp_path / "x.h5")
        assert ("are converted to 48 x 48, rgb" in found.stderr) is warned, (side, channels)


def test_it_is_extracted_and_fine_tuned_with_audio_video_or_both(folder: Path) -> None:
    vectors = {}
    for modality in ("audio", "video", "av"):
        output = f"{modality}.h5"
        line = ("extract", "labelled.h5", "--model", "mae.safetensors", "--pooled-only")
        invoke(folder, *line, "--modality", modality, "-o", output)
        vectors[modality] = Store(folder / output).pooled_vectors("mean")
        assert vectors[modality].shape[1] == 64 and np.isfinite(vectors[modality]).all()
    assert not np.allclose(vectors["audio"], vectors["av"], atol=1e-3)
    assert not np.allclose(vectors["video"], vectors["av"], atol=1e-3)
    labels = ("--label", "emotion", "--epochs", 1, "--pooled-norm", "-o", "er.safetensors", "-f")
    for modality in ("audio", "video"):
        line = ("finetune", "labelled.h5", "--encoder", "mae.safetensors", "--modality", modality)
        invoke(folder, *line, *labels)
        invoke(folder, "predict", "labelled.h5", "--model", "er.safetensors", "-o", "p.jsonl", "-f")
        assert len((folder / "p.jsonl").read_text().splitlines()) > 2


def test_one_classifier_predicts_from_audio_video_or_both_in_several_views(folder: Path) -> None:
    line = ("finetune", "labelled.h5", "--encoder", "mae.safetensors", "--pooled-norm")
    invoke(folder, *line, "--label", "emotion", "--epochs", 1, "-o", "av.safetensors")
    scores = {}
    for name, options in {
        "both": (), "audio": ("--modality", "audio"), "video": ("--modality", "video"),
        "views": ("--views", 3), "audio views": ("--modality", "audio", "--views", 3),
    }.items():  # fmt: skip
        invoke(folder, "predict", "labelled.h5", "--model", "av.safetensors", *options, "-o",
               "p.jsonl", "-f")  # fmt: skip
        items = map(json.loads, (folder / "p.jsonl").read_text().splitlines()[1:-1])
        scores[name] = np.array([list(item["scores"].values()) for item in items])
    for name in ("audio", "video", "views"):
        assert scores[name].shape == scores["both"].shape
        assert not np.allclose(scores[name], scores["both"], atol=1e-6), name
    # Their sounds are shorter than a section: all views of one are the same.
    np.testing.assert_array_equal(scores["audio"], scores["audio views"])
    found = headers.read(folder / "av.safetensors", headers.ClassifierHeader)
    assert found.model["configuration"]["head"]["configuration"]["pooled_norm"] is True


def test_views_of_an_encoder_that_reads_all_are_refused(folder: Path) -> None:
    invoke(folder, "extract", "labelled.h5", "--model", "logmel", "-o", "logmel.h5")
    invoke(
        folder, "finetune", "logmel.h5", "--label", "emotion", "--epochs", 1, "-o", "b.safetensors"
    )
    line = ("predict", "logmel.h5", "--model", "b.safetensors", "--views", 2, "-o", "n.jsonl")
    assert "--views 2" in invoke(folder, *line, status=2).stderr
    assert not (folder / "n.jsonl").exists()


@pytest.mark.parametrize(
    "name, pictures, order", [("social", 8, "released"), ("cav", 1, "encoder")]
)
def test_published_weights_are_imported_with_their_pre_training(
    folder: Path, name: str, pictures: int, order: str
) -> None:
    output = folder / f"{name}.safetensors"
    invoke(folder, "import", f"{name}.pt", "--set", "heads=4", "-o", output)
    encoder, header = checkpoints.load_encoder(output, torch.device("cpu"))
    assert isinstance(encoder, CAVMAE) and header.published is not None
    c = encoder.configuration
    assert (c.dim, c.heads, c.layers, c.pictures, c.face_size) == (32, 4, 11, pictures, 32)
    assert c.spectrum_frames == 64 and c.positions == "trained"
    assert c.colours == ("bgr" if pictures == 8 else "rgb")
    expected, decoder, _ = translate(torch.load(folder / f"{name}.pt"), "module.")
    assert all(torch.equal(encoder.state_dict()[key], value) for key, value in expected.items())
    kept = load_objective(output, "")
    assert kept.configuration.video_order == order
    assert kept.configuration.normalise == (pictures == 1)
    assert all(torch.equal(kept.decoder.state_dict()[key], value) for key, value in decoder.items())
    assert encoder.state_dict().keys() == expected.keys()


def test_fine_tuned_weights_are_imported_without_their_head(folder: Path) -> None:
    words = invoke(folder, "import", "tuned.pt", "--set", "heads=4", "-o", "tuned.st").stderr
    assert "4 weights" in words
    assert headers.read(folder / "tuned.st", EncoderHeader).objective is None


def test_weights_that_are_not_whole_are_refused(folder: Path, tmp_path: Path) -> None:
    for missing in ("module.blocks_a.3.norm1_v.bias", "module.decoder_norm.weight"):
        tensors = social_mae("pretrain")
        del tensors[missing]
        torch.save(tensors, tmp_path / "cut.pt")
        invoke(tmp_path, "import", "cut.pt", "--set", "heads=4", "-o", "x", status=65)
        assert not (tmp_path / "x").exists()


def changed(name: str, value: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """Social-MAE's weights with one of them changed, or without it."""
    found = social_mae("pretrain")
    del found[f"module.{name}"]
    return found if value is None else found | {f"module.{name}": value}


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (changed("blocks_a.3.attn.qkv.weight", torch.ones(5, 32)), "of other shapes"),
        (changed("blocks_a.3.attn.qkv.weight", torch.ones(1, 32)), "missing"),
        (changed("patch_embed_v.proj.weight", torch.ones(32, 3)), "of no model that is known"),
        (changed("patch_embed_v.proj.weight", None), "patch_embed_v.proj.weight is missing"),
        (changed("patch_embed_a.proj.weight", torch.ones(32, 1, 0, 16)), "of no model"),
        (changed("modality_a", torch.ones(32)), "of no model"),
        (changed("modality_a", None), "holds no"),
        (changed("pos_embed_v", torch.ones(1, 15, 32)), "of other shapes: pos_embed_v"),
        (changed("norm.weight", torch.full((32,), torch.nan)), "no numbers"),
        (changed("blocks_u.0.mlp.fc1.weight", torch.ones(128, 32, dtype=torch.int8)), "types"),
        (changed("mask_token", torch.ones(1, 1, 7)), "of no model"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_odd_files_of_social_mae_are_refused(tmp_path: Path, weights: dict, said: str) -> None:
    torch.save(weights, tmp_path / "odd.pt")
    found = invoke(tmp_path, "import", "odd.pt", "--set", "heads=4", "-o", "x", status=65)
    assert said in found.stderr and "odd.pt" in found.stderr
    assert not (tmp_path / "x").exists()


def test_names_under_two_prefixes_are_those_of_one(folder: Path) -> None:
    """Parallel training within parallel training writes them."""
    twice = {f"module.{name}": value for name, value in social_mae("pretrain").items()}
    torch.save({"model": twice, "epoch": 25}, folder / "twice.pt")
    for name in ("twice", "social"):
        invoke(folder, "import", f"{name}.pt", "--set", "heads=4", "-o", f"{name}.st", "-f")
    one, other = (load_file(folder / f"{name}.st") for name in ("twice", "social"))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_another_number_of_pictures_has_another_face_size(folder: Path) -> None:
    """The published 8 pictures of 32 pixels are 16 positions in tubes of 2; so are 2 of 64."""
    for said in ("pictures=2", "face_size=64"):
        line = ("import", "social.pt", "--set", "heads=4", "--set", said, "-o", "two.st", "-f")
        invoke(folder, *line)
        encoder, _ = checkpoints.load_encoder(folder / "two.st", torch.device("cpu"))
        assert isinstance(encoder, CAVMAE)
        assert (encoder.configuration.pictures, encoder.configuration.face_size) == (2, 64)
    for said in ("pictures=16", "pictures=0", "face_size=48", 'pictures="x"'):
        line = ("import", "social.pt", "--set", "heads=4", "--set", said, "-o", "none.st")
        assert said.partition("=")[0] in invoke(folder, *line, status=65).stderr
        assert not (folder / "none.st").exists()


def test_the_rates_of_adam_are_those_that_are_asked_for(folder: Path) -> None:
    """Social-MAE is fine-tuned with .95 and .999."""
    line = ("finetune", "labelled.h5", "--encoder", "mae.safetensors", "--label", "emotion",
            "--mode", "frozen", "--modality", "audio", "--steps", 2)  # fmt: skip
    for name, options in (("a", ()), ("b", ("--betas", 0.9, 0.999)), ("c", ("--betas", 0.1, 0.2))):
        invoke(folder, *line, *options, "-o", f"{name}.st", "-f")
    same, other, third = (load_file(folder / f"{name}.st") for name in "abc")
    weights = [name for name in same if name.endswith(".weight")]
    assert all(torch.equal(same[name], other[name]) for name in same)
    assert any(not torch.equal(same[name], third[name]) for name in weights)
    invoke(folder, *line, "--betas", 0.9, 1.0, "-o", "d.st", status=2)


def test_cavmae_becomes_social_mae(folder: Path) -> None:
    """The six keys that depend on the number of pictures begin anew; the others stay."""
    invoke(folder, "import", "cav.pt", "--set", "heads=4", "-o", "start.safetensors")
    before = load_file(folder / "start.safetensors")
    line = ("pretrain-mae", "pool.h5", "--init", "start.safetensors", "--steps", 0)
    outcomes = {}
    for name, options in (("reset", ()), ("inflated", ("--inflate",))):
        words = invoke(folder, *line, "--pictures", 8, *options, "-o", f"{name}.st").stderr
        assert "new heads" not in words
        outcomes[name] = load_file(folder / f"{name}.st")
    changed = {*EMBEDDING, *(f"objective.decoder.{name}" for name in DECODER)}
    for after in outcomes.values():
        assert before.keys() == after.keys()
        others = before.keys() - changed
        assert all(torch.equal(before[name], after[name]) for name in others)
        assert after["pos_embed_v"].shape == (1, 16, 32)
        assert after["objective.decoder.pred_v.weight"].shape == (1536, 16)
    bias = "patch_embed_v.proj.bias"
    assert torch.equal(outcomes["inflated"][bias], before[bias])
    assert not torch.equal(outcomes["reset"][bias], before[bias])
    invoke(folder, *line, "--inflate", "-o", "x", status=2)
    for pictures in (4, 8):
        invoke(folder, *line[:3], "reset.st", *line[4:], "--pictures", pictures, "--inflate", "-o",
               "x", status=2)  # fmt: skip
    # Patches are the same among fewer pictures: their places alone begin anew.
    invoke(folder, *line[:3], "reset.st", *line[4:], "--pictures", 4, "-o", "fewer.st")
    fewer = load_file(folder / "fewer.st")
    assert fewer["pos_embed_v"].shape == (1, 8, 32)
    for name in changed - {"pos_embed_v", "objective.decoder.pos_embed_v"}:
        assert torch.equal(fewer[name], outcomes["reset"][name]), name


@torch.no_grad()
def test_inflation_keeps_what_a_still_video_gives() -> None:
    torch.manual_seed(0)
    c = CAVMAEConfiguration(dim=16, heads=2, ffn_dim=32, layers=1, pictures=1, tube=1, face_size=32)
    one = CAVMAE(c)
    eight = extended(one, 8, inflate=True)
    patch = torch.randn(1, 1, 768)
    still = eight.patch_embed_v(patch.repeat(1, 1, 2))
    torch.testing.assert_close(still, one.patch_embed_v(patch))
    places = eight.pos_embed_v.view(4, 4, 16) - one.pos_embed_v.view(4, 1, 16)
    torch.testing.assert_close(places, places[:1].expand(4, -1, -1))
    decoder = DecoderConfiguration(8, 1, 2)
    before = CAVMAEDecoder(decoder, c).state_dict()
    after = extended_decoder(before, decoder, eight.configuration, inflate=True)
    larger = CAVMAEDecoder(decoder, eight.configuration)
    larger.load_state_dict(after)
    token = torch.randn(1, 1, 8)
    values = larger.pred_v(token).view(2, 768)
    assert torch.equal(values[0], values[1])
    assert eight.configuration == replace(c, pictures=8, tube=2)
    assert eight.sampling.steps == {FACE: 8}


def test_a_stopped_run_ends_as_one_that_was_not(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Masks and pictures are drawn again as they were."""
    check_stopped_and_resumed(
        folder, *RUN, "--steps", 3, "--pictures", 2, "--recompute", folder=tmp_path, stops=2,
        monkeypatch=monkeypatch,
    )  # fmt: skip


def test_pictures_are_drawn_in_training_and_even_on_development(folder: Path) -> None:
    stores = [Store(folder / "labelled.h5")]
    objective = load_objective(folder / "mae.safetensors", "")
    settings = PretrainMaeSettings(media=(folder / "labelled.h5",))
    method = SimpleNamespace(others=())
    held_out = methods._development(settings, stores, method, objective)
    learned = methods._training_data(settings, method, stores, objective, SILENT)
    assert learned.sampling.drawn and held_out is not None
    faces = stores[0].read(FACE, stores[0].rows[held_out.dataset.ids[0]])
    assert len(faces) == 8
    read = held_out.batch(np.array([0]), 0).streams[FACE][0]
    assert np.array_equal(read, faces[[1, 3, 5, 7]])


def test_seconds_of_a_new_encoder(folder: Path, tmp_path: Path) -> None:
    for seconds, frames in ((0.64, 64), (1.22, 128), (0.01, 16)):
        line = (*RUN, "--steps", 0, "--seconds", seconds, "-o", tmp_path / "x", "-f")
        invoke(folder, *line)
        configuration = headers.read(tmp_path / "x", EncoderHeader).model["configuration"]
        assert configuration["spectrum_frames"] == frames


def test_bad_use(folder: Path, tmp_path: Path) -> None:
    line = (*RUN, "--steps", 1, "-o", tmp_path / "x")
    (folder / "taken.png").mkdir()
    for options in (
        ("--pictures", 3), ("--mask-audio", 1), ("--accumulate", 2), ("--inflate",),
        ("--preview", "folder"), ("--init", "mae.safetensors", "--positions", "fixed"),
        ("--temperature", 0), ("--pictures", 0), ("--preview", "missing/seen.png"),
        ("--preview", "taken.png"), ("--seconds", 0),
        ("--init", "mae.safetensors", "--seconds", 1),
    ):  # fmt: skip
        words = RUN[:3] if "--init" in options else line
        invoke(folder, *words, *options, "-o", tmp_path / "x", status=2)
    other = ("--init", "hubert.safetensors", "--steps", 1, "-o", tmp_path / "x")
    invoke(folder, *RUN[:3], *other, status=65)
    assert not (tmp_path / "x").exists()
    assert read_header(folder / "mae.safetensors")["kind"] == "encoder"
