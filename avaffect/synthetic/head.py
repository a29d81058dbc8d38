"""A head without its features, drawn once for each person, and its deformations.

It is drawn on a canvas of HEIGHT x WIDTH pixels, which `camera` places in a picture. Proportions
are those of the classical canon: eyes in the middle of the head, which is five eyes wide.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from avaffect.synthetic.identity import Colour, Face

WIDTH, HEIGHT = 160, 208
MIDDLE = 80.0
BROW_Y, EYE_Y, NOSE_Y, MOUTH_Y, CHIN_Y = 84.0, 98.0, 132.0, 151.0, 184.0
EYE_X = 25.0
HALF_WIDTH = 56.0
HAIRLINE_Y = 50.0
# Drawn larger and reduced, so that edges are smooth.
FINER = 2
# A person's canvas goes down to the chest.
CHEST = 96


def polygon(canvas: np.ndarray, points: np.ndarray, colour: Colour | float, scale: int = 1) -> None:
    """Fill (N, 2) points, x and y in canvas pixels, with smooth edges finer than a pixel."""
    places = np.rint((points + 0.5) * scale * 16 - 8).astype(np.int32)
    cv2.fillPoly(canvas, [places], _solid(colour), cv2.LINE_AA, 4)


def line(canvas: np.ndarray, points: np.ndarray, colour: Colour, width: int = 1) -> None:
    """An open line through (N, 2) points."""
    places = np.rint(points * 16).astype(np.int32)
    cv2.polylines(canvas, [places], False, _solid(colour), width, cv2.LINE_AA, 4)


def disc(canvas: np.ndarray, x: float, y: float, radius: float, colour: Colour) -> None:
    """A filled circle."""
    middle = (round(x * 16), round(y * 16))
    cv2.circle(canvas, middle, round(radius * 16), _solid(colour), -1, cv2.LINE_AA, 4)


def _solid(colour: Colour | float) -> tuple[float, ...] | float:
    """With full opacity, for canvases that have it."""
    return (*colour, 255) if isinstance(colour, tuple) else colour


def darker(colour: Colour, factor: float) -> Colour:
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def mixed(first: Colour, second: Colour, part: float) -> Colour:
    """`first` with `part` of it replaced by `second`."""
    a, b = first, second
    return tuple((1 - part) * x + part * y for x, y in zip(a, b))  # type: ignore[return-value]


def lower_y(who: Face, y: float) -> float:
    """The y coordinate of a height below the eyes on this face."""
    return EYE_Y + (y - EYE_Y) * who.length


@lru_cache(maxsize=8)
def draw_head(who: Face) -> np.ndarray:
    """(HEIGHT, WIDTH, 4) uint8: RGB and opacity of a head without brows, eyes and mouth."""
    outline = _outline(who)
    skull = _skull(who)
    texture = _strands(who)
    opacity = _mask(outline)
    behind = _mask(_behind(who, skull))
    for side in (-1, 1):
        opacity = np.maximum(opacity, _mask(_ear(who, side)))
    skin = np.array(who.skin) * _shading(who)[:, :, None] * _blush()
    colour = np.array(who.hair) * (0.8 * texture)[:, :, None]
    colour += opacity[:, :, None] * (skin - colour)
    for cover, shade in _covers(who, skull, outline):
        cover = cover[:, :, None]
        colour += cover * (np.array(who.hair) * (shade * texture)[:, :, None] - colour)
        opacity = np.maximum(opacity, cover[:, :, 0])
    opacity = np.maximum(opacity, behind)
    _nostrils(colour, who)
    return np.dstack([np.clip(colour, 0, 255), 255 * opacity]).astype(np.uint8)


@lru_cache(maxsize=8)
def draw_body(who: Face) -> np.ndarray:
    """(HEIGHT + CHEST, 2 * WIDTH, 4) uint8: neck and shoulders below a head in the upper middle."""
    size = (HEIGHT + CHEST, 2 * WIDTH)
    middle, chin = MIDDLE + WIDTH / 2, lower_y(who, CHIN_Y)
    neck = 31.0 * who.width * who.jaw
    x = np.linspace(-1, 1, 41)
    slope = np.abs(x) ** 1.7
    top = chin + 16 + 46 * slope
    shoulders = np.stack([middle + 128 * x, top], axis=1)
    shoulders = np.vstack([shoulders, [[middle + 135, size[0] + 5], [middle - 135, size[0] + 5]]])
    throat = np.array([
        (middle - neck, chin - 40), (middle + neck, chin - 40), (middle + neck * 1.12, chin + 24),
        (middle, chin + 42), (middle - neck * 1.12, chin + 24),
    ])  # fmt: skip
    y = np.arange(size[0])[:, None]
    shadow = 0.58 + 0.25 * np.clip((y - chin) / 40, 0, 1) + 0 * np.arange(size[1])[None, :]
    cloth = 0.75 + 0.35 * np.exp(-(((np.arange(size[1])[None, :] - middle) / 90) ** 2)) + 0 * y
    colour = np.array(who.clothes) * cloth[:, :, None]
    cover = _mask(throat, size)
    colour += cover[:, :, None] * (np.array(who.skin) * shadow[:, :, None] - colour)
    opacity = np.maximum(cover, _mask(shoulders, size))
    return np.dstack([np.clip(colour, 0, 255), 255 * opacity]).astype(np.uint8)


@lru_cache(maxsize=1)
def bends() -> np.ndarray:
    """(4, HEIGHT * WIDTH * 2) float32: source coordinates (x, y) of each pixel of a deformed head.

    Those of the frontal head, and the differences for yaw 1 (to the right), pitch 1 (downwards) and
    a fully open jaw. Protruding parts of the face move most, its edge does not move.
    """
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    across, down = (x - MIDDLE) / HALF_WIDTH, (y - 112) / 78
    relief = np.exp(-1.1 * (across**2 + 0.8 * down**2))
    fields = np.zeros((4, HEIGHT, WIDTH, 2), np.float32)
    fields[0] = np.stack([x, y], axis=2)
    fields[1, :, :, 0] = -11 * relief
    fields[2, :, :, 1] = -8 * relief
    below = np.clip((y - MOUTH_Y) / (CHIN_Y - MOUTH_Y), 0, 1) ** 0.8
    fields[3, :, :, 1] = -11 * below * np.clip(1.25 - 0.5 * across**2, 0, 1)
    return fields.reshape(4, -1)


def _mask(points: np.ndarray, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """Coverage from 0 to 1 of a polygon on the canvas."""
    fine = np.zeros((size[0] * FINER, size[1] * FINER), np.uint8)
    polygon(fine, points, 255, FINER)
    return cv2.resize(fine, size[::-1], interpolation=cv2.INTER_AREA).astype(np.float64) / 255


def _outline(who: Face) -> np.ndarray:
    """The face from the top of the skull round the chin."""
    half, chin = HALF_WIDTH * who.width, lower_y(who, CHIN_Y)
    jaw = half * 0.80 * who.jaw
    right = np.array([
        (0, 22), (0.55 * half, 28), (0.88 * half, 50), (0.99 * half, 78), (half, 100),
        (0.96 * half, 124), (min(jaw * 1.06, 0.95 * half), 148), (jaw * 0.82, 166),
        (jaw * 0.5, chin - 5), (0.2 * half, chin - 0.5), (0, chin),
    ])  # fmt: skip
    right[5:8, 1] = [lower_y(who, y) for y in right[5:8, 1]]
    return _smooth_closed(right)


def _smooth_closed(right: np.ndarray) -> np.ndarray:
    """A symmetrical closed curve near the points of its right half (x from the middle, y)."""
    points = np.vstack([right, right[-2:0:-1] * (-1, 1)])
    spectrum = np.fft.fft(points[:, 0] + 1j * points[:, 1])
    count, fine = len(points), 8 * len(points)
    padded = np.zeros(fine, complex)
    half = count // 2
    padded[:half], padded[-half:] = spectrum[:half], spectrum[-half:]
    # Tapered, so that the curve does not ring between its points.
    order = np.abs(np.fft.fftfreq(fine, 1 / fine))
    curve = np.fft.ifft(padded * np.exp(-0.5 * (order / (0.45 * half)) ** 2)) * fine / count
    return np.stack([MIDDLE + curve.real, curve.imag], axis=1)


def _skull(who: Face) -> np.ndarray:
    volume = {"curly": 1.17, "receding": 1.03, "short": 1.06}.get(who.style, 1.11)
    half = HALF_WIDTH * who.width * volume
    angle = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    wobble: np.ndarray | float = 1.0
    if who.style == "curly":
        wobble = 1 + 0.025 * np.sin(17 * angle + who.grain % 7)
    x, y = half * np.cos(angle) * wobble, 76 * np.sin(angle) * wobble * volume**0.3
    return np.stack([MIDDLE + x, 90 + y], axis=1)


def _behind(who: Face, skull: np.ndarray) -> np.ndarray:
    """Hair that shows beside and under the head."""
    bottom = {"long": 206.0, "bob": 168.0}.get(who.style)
    if bottom is None:
        return np.vstack([skull[skull[:, 1] < 110], [[MIDDLE, 110]]])
    half = np.ptp(skull[:, 0]) / 2
    ends = [(half * 1.03, 120), (half * 1.06, bottom - 12), (half * 0.82, bottom)]
    right = [(MIDDLE + x, y) for x, y in ends]
    left = [(MIDDLE - x, y) for x, y in ends[::-1]]
    top = skull[skull[:, 1] < 96]
    top = top[np.argsort(np.arctan2(top[:, 1] - 100, top[:, 0] - MIDDLE))]
    return np.vstack([top, right, left])


def _ear(who: Face, side: int) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    x = MIDDLE + side * HALF_WIDTH * who.width + 7 * np.cos(angle)
    return np.stack([x, 110 + 15 * np.sin(angle)], axis=1)


def _covers(
    who: Face, skull: np.ndarray, outline: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray | float]]:
    """Hair on the head: (coverage, brightness)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    across = (x - MIDDLE) / (HALF_WIDTH * who.width)
    line_y = {
        "short": HAIRLINE_Y + 4 * across**2 + 24 * np.abs(across) ** 6,
        "parted": HAIRLINE_Y - 4 + 12 * np.abs(across + 0.35) ** 1.5 + 26 * across**6,
        "long": HAIRLINE_Y - 5 + 14 * across**2 + 46 * across**6,
        "bob": HAIRLINE_Y + 14 + 3 * across**2 + 40 * np.abs(across) ** 7,
        "receding": HAIRLINE_Y - 16 - 10 * across**2 + 52 * np.abs(across) ** 6,
        "curly": HAIRLINE_Y + 2 + 3 * np.sin(0.6 * x) + 14 * across**2 + 24 * across**6,
    }[who.style]
    cap = _mask(np.vstack([skull[skull[:, 1] < 128]])) if who.style in ("long", "bob") else None
    cap = _mask(np.vstack([skull[skull[:, 1] < 112]])) if cap is None else cap
    cap *= np.clip((line_y - y) / 3 + 0.5, 0, 1)
    shine = 0.95 + 0.25 * np.exp(-(((y - 36) / 12) ** 2) - ((across - 0.2) / 0.5) ** 2)
    covers: list[tuple[np.ndarray, np.ndarray | float]] = [(cap, shine)]
    if who.beard:
        covers.append((who.beard * 0.85 * _beard(who, outline), 0.9))
    return covers


def _beard(who: Face, outline: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    across = np.abs(x - MIDDLE) / (HALF_WIDTH * who.width)
    mouth = lower_y(who, MOUTH_Y)
    below = np.clip((y - (mouth + 8 - 34 * np.clip(across - 0.42, 0, 1))) / 6, 0, 1)
    moustache = np.exp(-(((y - mouth + 8.5) / 3.2) ** 2) - (across / 0.36) ** 4)
    lips = np.exp(-(((y - mouth) / 7) ** 4) - (across / 0.36) ** 4)
    return np.maximum(below * (1 - lips), moustache) * _mask(outline)


def _strands(who: Face) -> np.ndarray:
    """Brightness of hair around 1: noise drawn out along its fall."""
    random = np.random.default_rng(who.grain)
    grains = random.normal(0.0, 1.0, (HEIGHT, WIDTH))
    reach = (2.0, 2.0) if who.style == "curly" else (12.0, 0.8)
    streaks = cv2.GaussianBlur(grains, (0, 0), sigmaX=reach[1], sigmaY=reach[0])
    return 1 + 0.13 * streaks / streaks.std()


def _blob(x: float, y: float, wide: float, high: float) -> np.ndarray:
    across = np.exp(-0.5 * ((np.arange(WIDTH) - x) / wide) ** 2)
    down = np.exp(-0.5 * ((np.arange(HEIGHT) - y) / high) ** 2)
    return down[:, None] * across[None, :]


def _shading(who: Face) -> np.ndarray:
    """(HEIGHT, WIDTH) brightness of the skin in soft light from above and before."""
    eye_x = EYE_X * who.eye_distance
    nose, mouth = lower_y(who, NOSE_Y), lower_y(who, MOUTH_Y)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    radius = np.hypot((x - MIDDLE) / (1.05 * HALF_WIDTH * who.width), (y - 106) / 86)
    shade = 1.0 - 0.34 * np.clip((radius - 0.55) / 0.45, 0, 1.2) ** 2
    # x, y, widths across and down, and how much lighter or darker.
    marks = [
        (MIDDLE, 66, 26, 12, 0.08),
        (MIDDLE, 110, 3.5, 17, 0.13),
        (MIDDLE, nose - 6, 5, 4, 0.13),
        (MIDDLE, nose + 2.5, 10 * who.nose, 2.5, -0.2),
        (MIDDLE, nose + 9, 2.5, 4, -0.06),
        (MIDDLE, mouth + 13, 12, 3, -0.16),
        (MIDDLE, mouth + 22, 12, 6, 0.08),
        (MIDDLE, CHIN_Y + 6, 40, 7, -0.15),
    ]
    for side in (-1, 1):
        marks += [
            (MIDDLE + side * (eye_x + 1), 93, 14, 7.5, -0.25),
            (MIDDLE + side * 12, 96, 4.5, 8, -0.16),
            (MIDDLE + side * 8.5, 118, 3, 10, -0.09),
            (MIDDLE + side * 10 * who.nose, nose - 3, 2.2, 4, -0.1),
            (MIDDLE + side * (eye_x + 4), 121, 11, 9, 0.1),
            (MIDDLE + side * 42, 146, 8, 16, -0.1),
            (MIDDLE + side * eye_x, 109, 11, 2, -0.04),
        ]
    for place_x, place_y, wide, high, amount in marks:
        shade += amount * _blob(place_x, place_y, wide, high)
    return shade


def _blush() -> np.ndarray:
    """(HEIGHT, WIDTH, 3): where blood shows through."""
    red = sum(_blob(MIDDLE + side * 30, 126, 11, 9) for side in (-1, 1)) + _blob(80, 127, 6, 4)
    return 1 + red[:, :, None] * np.array([0.02, -0.06, -0.06])


def _nostrils(colour: np.ndarray, who: Face) -> None:
    nose = lower_y(who, NOSE_Y)
    dark = sum(_blob(MIDDLE + side * 5.5 * who.nose, nose - 0.5, 2.6, 1.4) for side in (-1, 1))
    wing = sum(_blob(MIDDLE + side * 11.5 * who.nose, nose - 3, 1.0, 3.5) for side in (-1, 1))
    colour *= 1 - np.clip(0.55 * dark + 0.16 * wing, 0, 1)[:, :, None]
