"""Cameras of the domains: framing, light, backgrounds, and mishaps of a pool."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from avaffect.core.seeds import generator
from avaffect.synthetic import features, head
from avaffect.synthetic.expression import Acting, Expression
from avaffect.synthetic.identity import Face, face

NTSC = Fraction(30000, 1001)


@dataclass(frozen=True)
class Camera:
    """sizes (width, height) in pixels and rates in Hz, one of each for a session; ranges
    (low, high): height of the head as a share of the picture's, its offset from the centre as a
    share of the picture, brightness, unevenness of the light over the picture, blur and noise in
    pixels and grey levels (standard deviations), quality (x264's CRF: lower is better); tint: the
    standard deviation of the light's colour; mishaps: share of clips with one.
    """

    sizes: tuple[tuple[int, int], ...]
    rates: tuple[Fraction, ...]
    head: tuple[float, float]
    off_centre: float
    brightness: tuple[float, float]
    unevenness: tuple[float, float]
    blur: tuple[float, float]
    noise: tuple[float, float]
    quality: tuple[int, int]
    tint: float
    mishaps: float


CAMERAS = {
    "A": Camera(
        ((192, 160),), (Fraction(25),), (0.62, 0.68), 0.02, (0.97, 1.03), (0.0, 0.08), (0.0, 0.0),
        (0.5, 1.0), (20, 21), 0.01, 0.0,
    ),
    "B": Camera(
        ((160, 120), (176, 144), (192, 144), (208, 160)), (Fraction(25), NTSC, Fraction(30)),
        (0.48, 0.72), 0.09, (0.6, 1.2), (0.1, 0.6), (0.0, 1.1), (1.0, 6.0), (23, 30), 0.07, 0.08,
    ),
    "U": Camera(
        ((176, 144),), (Fraction(25), Fraction(30)), (0.56, 0.68), 0.04, (0.8, 1.1), (0.05, 0.3),
        (0.0, 0.6), (1.0, 3.0), (22, 25), 0.03, 0.0,
    ),
}  # fmt: skip
MISHAPS = ("leaves", "bystander")
# From the top of the hair to the chin, of the canvas of a head.
HEAD_PIXELS = 170.0
AWAY_S = 0.5
STEP_S = 0.2
# Noise is drawn once and shifted from frame to frame.
NOISE_MARGIN = 16


@dataclass(frozen=True)
class Scene:
    """The constant parts of a clip's pictures: size (width, height), backdrop (H, W, 3) uint8, with
    light, light (H, W, 3) float32 factors, scale of a head's canvas, middle of the head in pixels,
    blur as a standard deviation in pixels, noise (H, W, 3) int8 with a margin, quality as x264's
    CRF, mishap: "" or one of MISHAPS, away: for "leaves" start (s), duration (s), side.
    """

    size: tuple[int, int]
    rate_hz: Fraction
    backdrop: np.ndarray
    light: np.ndarray
    scale: float
    middle: tuple[float, float]
    blur: float
    noise: np.ndarray
    quality: int
    mishap: str
    away: tuple[float, float, float]


def mishap(seed: int, utterance_id: str, camera: Camera) -> str:
    """The mishap of a clip: "leaves" (the head is outside the picture for a moment), "bystander"
    (another, silent face in the background), or ""."""
    random = generator(seed, utterance_id, "mishap")
    return str(random.choice(MISHAPS)) if random.random() < camera.mishaps else ""


def scene(seed: int, utterance_id: str, session: str, camera: Camera, seconds: float) -> Scene:
    """The room and the camera belong to the session; framing, light and noise to the clip."""
    place, random = generator(seed, session, "set"), generator(seed, utterance_id, "camera")
    size = camera.sizes[int(place.integers(len(camera.sizes)))]
    rate = camera.rates[int(place.integers(len(camera.rates)))]
    backdrop = _backdrop(place, size, camera)
    # Lamps are warm, sometimes cool, seldom green.
    warmth, green = camera.tint * np.clip(place.normal(0.0, 1.0, 2), -0.7, 2)
    tint = 1 + np.array([warmth, 0.3 * green, -warmth])
    light = random.uniform(*camera.brightness) * tint * _light(camera, size, random)[:, :, None]
    width, height = size
    off = random.normal(0.0, camera.off_centre, 2).clip(-0.13, 0.13)
    event = mishap(seed, utterance_id, camera)
    grains = random.normal(0.0, random.uniform(*camera.noise),
                           (height + NOISE_MARGIN, width + NOISE_MARGIN, 1))  # fmt: skip
    scale = random.uniform(*camera.head) * height / HEAD_PIXELS
    if event == "bystander":
        _bystander(backdrop, seed, utterance_id, scale, random)
    light = light.astype(np.float32)
    return Scene(
        size=size,
        rate_hz=rate,
        backdrop=cv2.multiply(backdrop, light, dtype=cv2.CV_8U),
        light=light,
        scale=scale,
        middle=(width * (0.5 + off[0]), height * (0.49 + 0.5 * off[1])),
        blur=random.uniform(*camera.blur),
        noise=np.repeat(np.rint(grains).astype(np.int8), 3, axis=2),
        quality=int(random.integers(camera.quality[0], camera.quality[1] + 1)),
        mishap=event,
        away=(random.uniform(0.25, 0.6) * seconds, AWAY_S, float(random.choice([-1.0, 1.0]))),
    )


def render_frames(
    view: Scene, who: Face, acts: Acting, random: np.random.Generator
) -> Iterator[np.ndarray]:
    """The clip's frames, (H, W, 3) uint8 RGB each."""
    cv2.setNumThreads(1)
    bare, body = head.draw_head(who), head.draw_body(who)
    bends = head.bends()
    steps = _steps(view, len(acts.lids))
    still = _over(view.backdrop, body, _body_place(view, 0.0), view.light)
    for t, step in enumerate(steps):
        canvas = bare.copy()
        speech = (acts.lids, acts.opening, acts.rounding, acts.spreading)
        pose = features.Pose(Expression(*acts.look[t].tolist()), *(float(v[t]) for v in speech))
        features.draw_features(canvas, who, pose)
        jaw = 0.75 * pose.opening + 0.6 * max(pose.look.drop, 0.0)
        yaw, pitch, roll = acts.turn[t].tolist()
        amounts = np.array([1.0, yaw, pitch, min(jaw, 1.3)], np.float32)
        bent = (amounts @ bends).reshape(head.HEIGHT, head.WIDTH, 2)
        canvas = cv2.remap(canvas, bent, None, cv2.INTER_LINEAR)  # type: ignore[call-overload]
        stage = still
        if step:
            stage = _over(view.backdrop, body, _body_place(view, step), view.light)
        there = _head_place(view, acts.place[t], roll, step)
        picture = _over(stage, canvas, there, view.light)
        yield _expose(picture, view, random)


def _steps(view: Scene, count: int) -> np.ndarray:
    """Horizontal offset of the person in each frame, in pixels; mostly 0."""
    if view.mishap != "leaves":
        return np.zeros(count)
    start, seconds, side = view.away
    times = np.arange(count) / float(view.rate_hz)
    gone, back = (times - start) / STEP_S + 1, (start + seconds - times) / STEP_S
    out = np.clip(np.minimum(gone, back), 0, 1)
    return np.rint(side * (view.size[0] * 0.5 + 100 * view.scale) * out)


def _head_place(view: Scene, place: np.ndarray, roll: float, step: float) -> np.ndarray:
    """The (2, 3) transform from a head's canvas to the picture, with roll about the neck."""
    scale, (x, y) = view.scale, view.middle
    turned = scale * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    pivot = np.array([head.MIDDLE, head.CHIN_Y])
    width = 2 * head.HALF_WIDTH * scale
    there = np.array([x + step, y + (head.CHIN_Y - 102) * scale]) + width * place
    return np.column_stack([turned, there - turned @ pivot])


def _body_place(view: Scene, step: float) -> np.ndarray:
    scale, (x, y) = view.scale, view.middle
    pivot = np.array([head.MIDDLE + head.WIDTH / 2, head.CHIN_Y])
    there = np.array([x + step, y + (head.CHIN_Y - 102) * scale])
    return np.column_stack([scale * np.eye(2), there - scale * pivot])


def _over(
    below: np.ndarray, layer: np.ndarray, place: np.ndarray, light: np.ndarray | None = None
) -> np.ndarray:
    """A copy of a picture with a (h, w, 4) layer on it, in its light, by a (2, 3) transform."""
    height, width = below.shape[:2]
    rows, columns = layer.shape[:2]
    corners = place @ np.array([[0, columns, 0, columns], [0, 0, rows, rows], [1, 1, 1, 1]])
    left, top = np.clip(np.floor(corners.min(axis=1)), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=1)) + 1, 0, (width, height)).astype(int)
    picture = below.copy()
    if left >= right or top >= bottom:
        return picture
    moved = place - np.array([[0, 0, left], [0, 0, top]])
    laid = cv2.warpAffine(layer, moved, (int(right - left), int(bottom - top)))
    part = cv2.multiply(laid[:, :, 3], 1.0, scale=1 / 255, dtype=cv2.CV_32F)  # type: ignore[call-overload]
    region = picture[top:bottom, left:right]
    colour = cv2.cvtColor(laid, cv2.COLOR_RGBA2RGB)
    if light is not None:
        colour = cv2.multiply(colour, light[top:bottom, left:right], dtype=cv2.CV_8U)
    region[:] = cv2.blendLinear(colour, region, part, 1 - part)
    return picture


def _expose(picture: np.ndarray, view: Scene, random: np.random.Generator) -> np.ndarray:
    if view.blur > 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), view.blur)
    down, right = random.integers(0, NOISE_MARGIN, 2)
    height, width = picture.shape[:2]
    grains = view.noise[down : down + height, right : right + width]
    return cv2.add(picture, grains, dtype=cv2.CV_8U)


def _light(camera: Camera, size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """(H, W) brightness around 1: light that falls from a side, steepest across the face."""
    width, height = size
    angle, uneven = random.uniform(0, 2 * np.pi), random.uniform(*camera.unevenness)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    along = np.cos(angle) * (x / width - 0.5) + 0.5 * np.sin(angle) * (y / height - 0.5)
    return 1 + uneven * np.tanh(4 * along)


def _backdrop(random: np.random.Generator, size: tuple[int, int], camera: Camera) -> np.ndarray:
    """A plain wall for a studio; a room out of focus where cameras go anywhere."""
    width, height = size
    grey = random.uniform(120, 190)
    wall = np.clip(grey + random.normal(0, 7, 3), 40, 230)
    y = np.linspace(1.06, 0.9, height)[:, None, None]
    picture = (np.ones((height, width, 1)) * y * wall).clip(0, 255).astype(np.uint8)
    # A studio's light is even: its wall is bare.
    for _ in range(round(12 * camera.unevenness[1] ** 0.5) if camera.unevenness[1] > 0.1 else 0):
        left, top = random.uniform(-0.2, 0.9, 2)
        wide, high = random.uniform(0.1, 0.5, 2)
        box = np.array([left * width, top * height, (left + wide) * width, (top + high) * height])
        first, last = (tuple(map(int, corner)) for corner in (box[:2], box[2:]))
        colour = np.clip(wall * random.uniform(0.5, 1.3) + random.normal(0, 14, 3), 10, 245)
        cv2.rectangle(picture, first, last, colour.tolist(), -1)
    return cv2.GaussianBlur(picture, (0, 0), 0.02 * width + 1)


def _bystander(
    backdrop: np.ndarray, seed: int, name: str, scale: float, random: np.random.Generator
) -> None:
    """Draw another person, smaller, at rest, at one side, slightly out of focus; in place."""
    who = face(seed, f"{name} bystander", bool(random.random() < 0.5))
    canvas = head.draw_head(who).copy()
    features.draw_features(canvas, who, features.Pose(Expression(), 0.0, 0.0, 0.0, 0.0))
    height, width = backdrop.shape[:2]
    small = scale * random.uniform(0.4, 0.55)
    x = width * (0.12 if random.random() < 0.5 else 0.88)
    y = height * random.uniform(0.3, 0.42)
    shift = np.array([x, y])
    at_head = np.column_stack([small * np.eye(2), shift - small * np.array([head.MIDDLE, 102])])
    at_body = at_head - np.array([[0, 0, small * head.WIDTH / 2], [0, 0, 0]])
    picture = _over(_over(backdrop, head.draw_body(who), at_body), canvas, at_head)
    backdrop[:] = cv2.GaussianBlur(picture, (0, 0), 0.6)
