from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import soundfile
from scipy.signal import correlate, resample_poly

from avaffect.core.errors import UsageError
from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.data import manifest
from avaffect.data.decoding.audio import decode_audio
from avaffect.recipes.synth import synth
from avaffect.settings.synth import DOMAINS, SynthSettings
from avaffect.synthetic import camera, clip, corpus, features, head, identity
from avaffect.synthetic.expression import LOOKS, Expression, acting

HAAR = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
ONE_SECOND = (1.0, 1.0)


def faces(picture: np.ndarray) -> list:
    """Boxes that OpenCV's frontal cascade finds in an RGB picture."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return list(HAAR.detectMultiScale(grey, 1.1, 4, minSize=(32, 32)))


def pictures(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.array([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def sound_of(path: Path) -> np.ndarray:
    raw = io.BytesIO()
    decode_audio(path, raw)
    return np.frombuffer(raw.getvalue(), "<i2") / 32768


def acted(utterance: corpus.Utterance):
    times = clip.frame_times(utterance, clip.scene_of(utterance).rate_hz)
    return clip.acting_of(utterance, corpus.perform(utterance), times)


def mouth_activity(utterance: corpus.Utterance, frames: np.ndarray) -> np.ndarray:
    """Contrast around the mouth, relative to its brightness: an open mouth is dark, teeth light."""
    view = clip.scene_of(utterance)
    x, y = view.middle
    y += (head.MOUTH_Y - 98) * view.scale
    reach = np.array([14, 24, 22, 22]) * view.scale
    top, bottom, left, right = (np.array([y, y, x, x]) + reach * (-1, 1, -1, 1)).astype(int)
    box = frames[:, top:bottom, left:right].mean(axis=3)
    return box.std(axis=(1, 2)) / box.mean(axis=(1, 2))


def loudness_at(sound: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Level in bels of 60 ms around each time."""
    spans = (sound[max(int((t - 0.03) * SAMPLE_RATE_HZ), 0) :][:960] for t in times)
    return np.array([np.log10(np.sqrt(np.mean(span**2)) + 1e-3) for span in spans])


@pytest.fixture(scope="module")
def talks(tmp_path_factory) -> list[tuple[corpus.Utterance, np.ndarray, np.ndarray]]:
    """(utterance, decoded frames, decoded sound) of four speakers of each domain."""
    folder = tmp_path_factory.mktemp("talks")
    found = []
    for domain in DOMAINS:
        for utterance in corpus.plan(domain, 4, 0, speakers=4, duration_s=(3.0, 3.0)):
            path = folder / clip.write(utterance, folder)
            found.append((utterance, pictures(path), sound_of(path)))
    return found


def test_equal_seeds_give_equal_bytes_whatever_was_rendered_before(tmp_path):
    def digest(utterance: corpus.Utterance, folder: str) -> str:
        path = tmp_path / folder / clip.write(utterance, tmp_path / folder)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    for domain in DOMAINS:
        plan = corpus.plan(domain, 3, 0, speakers=2, duration_s=(0.4, 0.6))
        first = [digest(u, "first") for u in plan]
        head.draw_head.cache_clear()
        assert digest(plan[2], "again") == first[2]
        assert digest(plan[0], "again") == first[0]
        assert len(set(first)) == 3
        assert digest(replace(plan[0], seed=1), "other") != first[0]


def test_files_are_h264_and_aac_and_last_as_long_as_the_utterance(tmp_path):
    for domain in DOMAINS:
        for utterance in corpus.plan(domain, 3, 1, speakers=6, duration_s=(0.3, 0.9)):
            relative = clip.write(utterance, tmp_path)
            assert relative.as_posix() == f"video/{utterance.id}.mp4"
            view = clip.scene_of(utterance)
            with av.open(str(tmp_path / relative)) as container:
                video, audio = container.streams.video[0], container.streams.audio[0]
                assert (video.codec.name, audio.codec.name) == ("h264", "aac")
                assert (video.width, video.height) == view.size
                assert video.average_rate == view.rate_hz
                assert video.start_time == audio.start_time == 0
                seconds = float(video.duration * video.time_base)
                assert seconds == pytest.approx(utterance.duration_s, abs=0.51 / view.rate_hz)
                heard = float(audio.duration * audio.time_base)
                assert heard == pytest.approx(utterance.duration_s, abs=0.002)
                assert sum(1 for _ in container.decode(video)) == video.frames


def test_the_sound_in_the_file_is_the_voice_at_its_time(talks):
    for utterance, _, heard in talks:
        voice, rate = corpus.render(utterance)
        step = np.gcd(rate, SAMPLE_RATE_HZ)
        voice = resample_poly(voice, SAMPLE_RATE_HZ // step, rate // step)
        count = min(len(voice), len(heard))
        lags = correlate(heard[:count], voice[:count], method="fft")
        assert abs(int(lags.argmax()) - (count - 1)) <= 2
        assert np.corrcoef(heard[:count], voice[:count])[0, 1] > 0.99


def test_the_mouth_opens_with_the_loudness_of_the_decoded_sound_and_at_that_moment(talks):
    shifts = (-4, -2, -1, 0, 1, 2, 4)
    agreement = []
    for utterance, frames, heard in talks:
        if clip.mishap(utterance):
            continue
        times = clip.frame_times(utterance, clip.scene_of(utterance).rate_hz)
        mouth, loud = mouth_activity(utterance, frames), loudness_at(heard, times)
        inner = slice(5, -5)
        agreement.append(
            [np.corrcoef(np.roll(mouth, shift)[inner], loud[inner])[0, 1] for shift in shifts]
        )
    mean = np.mean(agreement, axis=0)
    assert mean[3] > 0.6
    assert mean.argmax() in (2, 3, 4)
    assert mean[3] > mean[0] + 0.2 and mean[3] > mean[-1] + 0.2


@pytest.mark.parametrize("domain", ["A", "U"])
def test_a_common_detector_finds_nearly_every_face(talks, domain):
    shown = [p for u, frames, _ in talks if u.domain == domain for p in frames[::6]]
    assert np.mean([len(faces(picture)) > 0 for picture in shown]) >= 0.97


def test_a_better_detector_finds_them_too(talks):
    model = Path(__file__).resolve().parent.parent.parent / "shared/models/yunet_n_640_640.onnx"
    if not model.is_file():
        pytest.skip(f"no YuNet at {model}")
    shown = [p for u, frames, _ in talks if u.domain == "A" for p in frames[::6]]
    detector = cv2.FaceDetectorYN.create(str(model), "", shown[0].shape[1::-1], 0.7)
    found = [detector.detect(cv2.cvtColor(p, cv2.COLOR_RGB2BGR))[1] is not None for p in shown]
    assert np.mean(found) >= 0.97


def test_domains_look_different():
    views = {
        d: [clip.scene_of(u) for u in corpus.plan(d, 40, 0, speakers=20, duration_s=ONE_SECOND)]
        for d in DOMAINS
    }
    assert {v.rate_hz for v in views["A"]} == {25}
    assert {float(v.rate_hz) for v in views["B"]} == {25.0, 30000 / 1001, 30.0}
    assert len({v.size for v in views["A"]}) == 1 and len({v.size for v in views["B"]}) > 2
    assert all(side % 2 == 0 for scenes in views.values() for v in scenes for side in v.size)
    for quantity in (
        lambda v: v.blur,
        lambda v: v.noise.std(),
        lambda v: np.ptp(v.light.mean(axis=2)),
        lambda v: v.quality,
    ):
        means = {d: np.mean([quantity(v) for v in scenes]) for d, scenes in views.items()}
        assert means["A"] < means["U"] < means["B"]


def test_people_have_faces_of_their_own_and_keep_them():
    plan = corpus.plan("A", 24, 0, speakers=8, duration_s=ONE_SECOND)
    by_speaker = {}
    for utterance in plan:
        who = clip.face_of(utterance, corpus.perform(utterance))
        assert by_speaker.setdefault(utterance.speaker, who) == who
    assert len(set(by_speaker.values())) == 8
    drawn = [head.draw_head(who)[:, :, :3].astype(float) for who in by_speaker.values()]
    apart = [np.abs(a - b).mean() for i, a in enumerate(drawn) for b in drawn[:i]]
    assert min(apart) > 4


def drawn_with(look: Expression, **speech: float) -> np.ndarray:
    who = identity.face(0, "someone", True)
    pose = {"lids": 0.0, "opening": 0.0, "rounding": 0.0, "spreading": 0.0, **speech}
    canvas = head.draw_head(who).copy()
    features.draw_features(canvas, who, features.Pose(look, **pose))
    assert (canvas[:, :, 3] == head.draw_head(who)[:, :, 3]).all()
    return canvas[:, :, :3].astype(float)


@pytest.mark.parametrize("felt", [name for name in LOOKS if name != "neutral"])
def test_every_emotion_changes_brows_or_eyes_and_mouth(felt):
    change = np.abs(drawn_with(LOOKS[felt]) - drawn_with(Expression())).mean(axis=2)
    assert change[70:112].max() > 60
    assert change[135:172].max() > 40
    assert change[:60].max() == 0


def test_speech_and_blinks_show_where_they_should():
    rest = drawn_with(Expression())
    talking = np.abs(drawn_with(Expression(), opening=1.0) - rest).mean(axis=2)
    assert talking[int(head.MOUTH_Y) - 8 : int(head.MOUTH_Y) + 20].max() > 60
    assert talking[:120].max() == 0
    blinking = np.abs(drawn_with(Expression(), lids=1.0) - rest).mean(axis=2)
    assert blinking[90:108].max() > 60
    assert blinking[120:].max() == 0


def test_looks_follow_emotions_and_traces_but_not_blindly():
    means = {}
    plan = corpus.plan("A", 160, 2, speakers=8, duration_s=ONE_SECOND)
    for utterance in plan:
        means.setdefault(utterance.emotion, []).append(Expression(*acted(utterance).look.mean(0)))

    def of(felt: str, field: str) -> np.ndarray:
        return np.array([getattr(look, field) for look in means[felt]])

    assert of("happiness", "corner").mean() > 0.5 > of("neutral", "corner").mean()
    assert of("sadness", "corner").mean() < -0.3
    assert of("anger", "brow_lower").mean() > 0.5 > of("neutral", "brow_lower").mean() + 0.2
    # Some faces belie what is felt.
    assert (of("happiness", "corner") < 0.2).any()
    (sad,) = corpus.plan("A", 1, 1, speakers=1, emotions=("sadness",), duration_s=(30, 30))
    valence = corpus.trajectory(sad, 25.0)[:, 1]
    corner = acted(sad).look[:, Expression._fields.index("corner")]
    assert abs(np.corrcoef(valence, corner)[0, 1]) > 0.95


def test_the_face_does_not_change_the_voice(tmp_path):
    (utterance,) = corpus.plan("B", 1, 0, speakers=1, duration_s=(0.5, 0.5))
    before = corpus.render(utterance)[0]
    clip.write(utterance, tmp_path)
    np.testing.assert_array_equal(corpus.render(utterance)[0], before)


def mishaps(domain: str, count: int) -> dict[str, list[corpus.Utterance]]:
    found: dict[str, list[corpus.Utterance]] = {}
    for utterance in corpus.plan(domain, count, 0, speakers=16, duration_s=(1.5, 1.5)):
        found.setdefault(clip.mishap(utterance), []).append(utterance)
    return found


def test_a_small_share_of_a_pool_is_harder():
    found = mishaps("B", 600)
    assert set(found) == {"", "leaves", "bystander"}
    assert 0.04 < 1 - len(found[""]) / 600 < 0.12
    assert set(mishaps("A", 200)) == set(mishaps("U", 200)) == {""}


def test_who_leaves_is_gone_for_a_while_and_comes_back():
    gone = mishaps("B", 300)["leaves"][0]
    view = clip.scene_of(gone)
    performance = corpus.perform(gone)
    frames = list(
        camera.render_frames(
            view, clip.face_of(gone, performance), acted(gone), np.random.default_rng(0)
        )
    )
    empty = [np.abs(f.astype(float) - view.backdrop).mean() < 6 for f in frames]
    start, seconds, _ = view.away
    middle = int((start + seconds / 2) * view.rate_hz)
    assert empty[middle] and not empty[0] and not empty[-1]
    assert 0.2 < sum(empty) / float(view.rate_hz) < 0.8


def test_a_bystander_is_a_second_smaller_face():
    utterance = mishaps("B", 300)["bystander"][0]
    view = clip.scene_of(utterance)
    alone = replace(camera.CAMERAS["B"], mishaps=0.0)
    without = camera.scene(
        utterance.seed, utterance.id, utterance.session, alone, utterance.duration_s
    )
    changed = np.abs(view.backdrop.astype(float) - without.backdrop).mean(axis=2) > 8
    columns = np.flatnonzero(changed.any(axis=0))
    assert changed.mean() > 0.03
    assert columns.max() < view.size[0] / 2 or columns.min() > view.size[0] / 2


def settings(folder: Path, **changed) -> SynthSettings:
    facts = {"utterances": 3, "speakers": 2, "shortest": 0.4, "longest": 0.5, "jobs": 1, **changed}
    return SynthSettings(folder=folder, output=folder.parent / "made.jsonl", **facts)


def test_traces_lie_beside_the_videos_at_the_stated_rate(tmp_path):
    synth(settings(tmp_path / "A", trace_rate=10.0, longest=1.5))
    made = manifest.read(tmp_path / "made.jsonl")
    assert made.header.to_dict()["labels"]["valence"] == {"kind": "trace", "rate_hz": 10.0}
    for item in made.items:
        assert item["media"] == f"video/{item['id']}.mp4"
        table = np.genfromtxt(tmp_path / "A" / item["traces"], delimiter=",", names=True)
        assert table.dtype.names == ("time", "arousal", "valence")
        seconds = seconds_of(tmp_path / "A" / item["media"])
        assert len(table) == pytest.approx(10 * seconds, abs=1.3)
        np.testing.assert_allclose(np.diff(table["time"]), 0.1, atol=1e-6)
        for name in ("arousal", "valence"):
            np.testing.assert_allclose(item["labels"][name], table[name], atol=1e-9)
            assert table[name].mean() == pytest.approx(item["labels"][f"{name}_mean"], abs=0.3)


def seconds_of(path: Path) -> float:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        return float(video.duration * video.time_base)


def test_a_pool_keeps_its_traces_to_itself_and_names_its_mishaps(tmp_path):
    synth(settings(tmp_path / "B", domain="B", utterances=24, shortest=0.3, longest=0.3))
    items = manifest.read(tmp_path / "made.jsonl").items
    assert not any("traces" in item or "arousal" in item["labels"] for item in items)
    assert not (tmp_path / "B" / "traces").exists()
    plan = corpus.plan(
        "B", 24, 0, speakers=2, emotions=("anger", "happiness", "neutral", "sadness"),
        duration_s=(0.3, 0.3), neutral_fraction=0.7,
    )  # fmt: skip
    assert [item.get("mishap", "") for item in items] == [clip.mishap(u) for u in plan]


def test_voices_alone_are_wav_files_as_before(tmp_path):
    synth(settings(tmp_path / "A", modality="audio"))
    items = manifest.read(tmp_path / "made.jsonl").items
    assert not (tmp_path / "A" / "video").exists()
    plan = corpus.plan(
        "A", 3, 0, speakers=2, emotions=("anger", "happiness", "neutral", "sadness"),
        duration_s=(0.4, 0.5),
    )  # fmt: skip
    for item, utterance in zip(items, plan, strict=True):
        assert item["media"] == f"wav/{item['id']}.wav"
        samples, _ = soundfile.read(tmp_path / "A" / item["media"])
        np.testing.assert_allclose(samples, corpus.render(utterance)[0], atol=1 / 16000)


def test_jobs_and_numbers_change_no_byte(tmp_path):
    synth(settings(tmp_path / "few", domain="U"))
    synth(replace(settings(tmp_path / "many", domain="U", utterances=5, jobs=2), force=True))
    for path in (tmp_path / "few/video").iterdir():
        assert path.read_bytes() == (tmp_path / "many/video" / path.name).read_bytes()


def test_nothing_half_written_is_left(tmp_path):
    synth(settings(tmp_path / "A"))
    names = sorted(path.name for path in (tmp_path / "A").rglob("*") if path.is_file())
    assert all(not name.startswith(".") for name in names)
    assert len(names) == 3 * 2 + 1


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), 1e6])
def test_trace_rates_that_cannot_be_are_refused(tmp_path, rate):
    with pytest.raises(UsageError, match="trace-rate"):
        synth(settings(tmp_path / "A", trace_rate=rate))
    assert not (tmp_path / "A").exists()


def test_one_frame_can_be_acted():
    (utterance,) = corpus.plan("A", 1, 0, speakers=1, duration_s=(0.3, 0.3))
    performance = corpus.perform(utterance)
    one = acting(
        0, utterance.id, utterance.speaker, "anger", 1.0, 1.0, np.zeros(1), performance.course,
        performance.parameters, performance.voice, performance.syllables,
    )  # fmt: skip
    assert one.look.shape == (1, len(Expression._fields))
    assert one.opening.shape == one.lids.shape == (1,)
