"""Brows, eyes, mouth and folds, drawn onto a head in every frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from avaffect.synthetic.expression import Expression
from avaffect.synthetic.head import (
    BROW_Y,
    EYE_X,
    EYE_Y,
    MIDDLE,
    MOUTH_Y,
    NOSE_Y,
    darker,
    disc,
    line,
    lower_y,
    mixed,
    polygon,
)
from avaffect.synthetic.identity import Colour, Face

# A smooth run from one corner of an eye or a mouth to the other.
ACROSS = np.linspace(-1.0, 1.0, 15)
SQUARE = ACROSS**2
BOW = 1 - SQUARE
# Flat and round bows, by their exponent: powers cost more than all else in a frame.
BOWS = {power: BOW**power for power in (0.6, 0.7, 0.75, 0.8)}
UPPER_LIP = BOWS[0.75] * (1 - 0.22 * np.exp(-((ACROSS / 0.16) ** 2)))
ALONG = np.linspace(0.0, 1.0, 9)
ARCH = np.sin(np.pi * np.minimum(ALONG * 1.05, 1.0))
INNER, OUTER, TAPER = (1 - ALONG) ** 1.5, ALONG**0.7, 1 - 0.75 * ALONG**1.5
LIP: Colour = (176, 84, 84)
TEETH: Colour = (232, 226, 216)
THROAT: Colour = (58, 22, 26)
TONGUE: Colour = (150, 70, 74)
BLACK: Colour = (30, 22, 22)


@dataclass(frozen=True)
class Pose:
    """One frame of a face: see `expression.Acting`."""

    look: Expression
    lids: float
    opening: float
    rounding: float
    spreading: float


def draw_features(canvas: np.ndarray, who: Face, pose: Pose) -> None:
    """Draw onto the (HEIGHT, WIDTH, 4) uint8 picture of a head (see `head`), in place."""
    look = Expression(*(_clip(amount, -1.3, 1.3) for amount in pose.look))
    _folds(canvas, who, look)
    for side in (-1, 1):
        _eye(canvas, who, look, pose.lids, side)
        _brow(canvas, who, look, side)
    _mouth(canvas, who, look, pose)
    if who.glasses:
        _glasses(canvas, who)


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _curve(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.array((x, y)).T


def _band(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    return np.vstack([upper, lower[::-1]])


def _brow(canvas: np.ndarray, who: Face, look: Expression, side: int) -> None:
    inner, outer, lowered = look.inner_brow, look.outer_brow, look.brow_lower
    x = 10 - 3 * max(lowered, 0) * (1 - ALONG) + (30 * who.eye_distance + 1) * ALONG
    y = BROW_Y - 3.5 * who.arch * ARCH
    y = y - 6.5 * inner * INNER - 6 * outer * OUTER
    y += 7.5 * lowered * (1 - 0.5 * ALONG) + 2.0 * max(inner, 0) * ALONG
    half = 2.6 * who.brow * TAPER
    x = MIDDLE + side * x
    colour = mixed(darker(who.hair, 0.75), who.skin, 0.15)
    polygon(canvas, _band(_curve(x, y - half), _curve(x, y + half)), colour)


def _eye(canvas: np.ndarray, who: Face, look: Expression, shut: float, side: int) -> None:
    centre_x, half = MIDDLE + side * EYE_X * who.eye_distance, 11.0 * who.eye_size
    open_ = (1 + 0.4 * look.upper_lid - 0.22 * look.lid_tight - 0.2 * look.cheek) * (1 - shut)
    open_ = _clip(open_ - 0.12 * max(look.gaze_down, 0.0), 0.0, 1.6)
    rise = 2.8 * who.eye_size * max(1 - 0.5 * max(look.cheek, 0) - 0.35 * look.lid_tight, 0.1)
    corner = EYE_Y - 0.9 * side * ACROSS
    lower = corner + rise * BOWS[0.8]
    upper = lower - (0.6 + (5.6 * who.eye_size + rise) * open_) * BOWS[0.7]
    x = centre_x + half * ACROSS
    almond = _band(_curve(x, upper), _curve(x, lower))
    top, left = int(EYE_Y) - 13, int(centre_x) - 17
    region = canvas[top : top + 24, left : left + 34]
    if open_ > 0.04:
        cover = np.zeros(region.shape[:2], np.uint8)
        polygon(cover, almond - (left, top), 255)
        ball = _eyeball(region.shape, who, look, centre_x - left, EYE_Y - top, open_)
        part = cover.astype(np.float32) / 255
        region[:] = cv2.blendLinear(ball, region, part, 1 - part)
    lid = mixed(who.skin, BLACK, 0.55 + 0.4 * who.lashes)
    line(canvas, _curve(x, upper - 0.3), lid, 2 if who.lashes > 0.6 else 1)
    line(canvas, _curve(x, lower)[3:-3], mixed(who.skin, BLACK, 0.4))
    fold = min(open_, 1.0) * 3.2 + 0.8
    line(canvas, _curve(x, upper - fold)[2:-2], darker(who.skin, 0.6))


def _eyeball(
    shape: tuple[int, ...], who: Face, look: Expression, x: float, y: float, open_: float
) -> np.ndarray:
    ball = np.empty(shape, np.uint8)
    ball[:] = (228, 222, 218, 255)
    x += 3.6 * look.gaze_side
    y += -0.8 + 2.6 * look.gaze_down - 0.8 * max(open_ - 1, 0)
    for radius, colour in ((5.4, darker(who.iris, 0.6)), (4.7, who.iris), (2.3, (16, 14, 16))):
        disc(ball, x, y, radius * who.eye_size, colour)
    disc(ball, x - 1.6, y - 1.8, 1.0, (250, 250, 250))
    return ball


def _mouth(canvas: np.ndarray, who: Face, look: Expression, pose: Pose) -> None:
    y = lower_y(who, MOUTH_Y)
    up, down = max(look.corner, 0.0), max(-look.corner, 0.0)
    wide = 1 + 0.28 * up - 0.05 * down + 0.14 * look.stretch - 0.06 * max(look.press, 0)
    wide *= 1 - 0.3 * pose.rounding + 0.08 * pose.spreading
    x = MIDDLE + 19.5 * who.mouth * wide * ACROSS
    gap = 15 * _clip(pose.opening, 0.0, 1.5) + 13 * max(look.drop, 0.0) + 3.5 * up
    gap *= 1 - 0.35 * _clip(look.press, 0.0, 1.0)
    # The corners are higher or lower than the middle of the line between the lips.
    seam = y + 1.5 * up - (0.8 + 9 * up) * SQUARE + (7.5 * SQUARE - 2) * down
    inner_top, inner_bottom = seam - 0.25 * gap * BOW, seam + 0.75 * gap * BOWS[0.8]
    full = who.lips * (1 - 0.5 * _clip(look.press, 0.0, 1.2)) * (1 - 0.2 * up)
    full *= 1 + 0.25 * pose.rounding
    outer_top = inner_top - 4.6 * full * UPPER_LIP
    outer_bottom = inner_bottom + 6.2 * full * BOWS[0.7]
    lip = mixed(darker(who.skin, 0.92), LIP, 0.55)
    polygon(canvas, _band(_curve(x, outer_top), _curve(x, inner_top)), darker(lip, 0.82))
    polygon(canvas, _band(_curve(x, inner_bottom), _curve(x, outer_bottom)), lip)
    shine = inner_bottom + 2.6 * full * BOW
    line(canvas, _curve(x, shine)[5:-5], mixed(lip, (255, 235, 230), 0.3))
    if gap > 1.0:
        polygon(canvas, _band(_curve(x, inner_top), _curve(x, inner_bottom)), THROAT)
        if gap > 6:
            tongue = np.maximum(inner_bottom - 0.32 * gap * BOW, inner_top)
            polygon(canvas, _band(_curve(x, tongue), _curve(x, inner_bottom))[3:-3], TONGUE)
        teeth = np.minimum(inner_top + 4 * min(gap / 6, 1) * BOWS[0.6], inner_bottom)
        polygon(canvas, _band(_curve(x, inner_top), _curve(x, teeth)), TEETH)
    else:
        line(canvas, _curve(x, seam), darker(lip, 0.5))
    for end in (0, -1):
        disc(canvas, float(x[end]), float(seam[end]), 1.2, darker(who.skin, 0.62))


def _folds(canvas: np.ndarray, who: Face, look: Expression) -> None:
    """Folds of the skin, drawn as light shadows."""
    nose, mouth = lower_y(who, NOSE_Y), lower_y(who, MOUTH_Y)
    up, wrinkled = max(look.corner, 0.0), max(look.nose, 0.0)

    def shadow(points: list[tuple[float, float]], strength: float) -> None:
        if strength > 0.03:
            line(canvas, np.array(points), darker(who.skin, 0.9 - min(strength, 0.45)), 1)

    lowered, inner = max(look.brow_lower, 0.0), max(look.inner_brow, 0.0)
    raised = max(look.outer_brow, 0.0) * 0.5 + inner * 0.5
    for side in (-1, 1):
        fold = 0.05 + 0.28 * up + 0.25 * wrinkled
        reach = 22 + 5 * up
        shadow([(MIDDLE + side * 12, nose - 4), (MIDDLE + side * 19, nose + 4 - 2 * up),
                (MIDDLE + side * reach, mouth - 6 - 3 * up)], fold)  # fmt: skip
        shadow([(MIDDLE + side * (EYE_X - 9), EYE_Y + 8), (MIDDLE + side * EYE_X, EYE_Y + 10),
                (MIDDLE + side * (EYE_X + 9), EYE_Y + 8)], 0.3 * max(look.cheek, 0))  # fmt: skip
        shadow([(MIDDLE + side * 3.5, BROW_Y - 7), (MIDDLE + side * 3, BROW_Y + 5)], 0.4 * lowered)
        shadow([(MIDDLE + side * 6, EYE_Y + 3), (MIDDLE + side * 3, EYE_Y + 8)], 0.35 * wrinkled)
    for y in (BROW_Y - 16, BROW_Y - 22):
        bow = [(MIDDLE + 22 * a, y + 2 * a * a) for a in (-1, -0.5, 0, 0.5, 1)]
        shadow(bow, 0.2 * min(raised, 1.2))


def _glasses(canvas: np.ndarray, who: Face) -> None:
    frame = BLACK if who.grain % 2 else (96, 70, 48)
    for side in (-1, 1):
        x = MIDDLE + side * EYE_X * who.eye_distance
        place = (round(x * 16), round((EYE_Y + 2) * 16))
        cv2.ellipse(canvas, place, (16 * 17, 16 * 14), 0, 0, 360, (*frame, 255), 2, cv2.LINE_AA, 4)
        arm = np.array([(x + side * 17, EYE_Y - 2), (MIDDLE + side * 57, EYE_Y - 4)])
        line(canvas, arm, frame, 2)
    reach = EYE_X * who.eye_distance - 17
    bridge = np.array([(MIDDLE - reach, EYE_Y), (MIDDLE, EYE_Y - 2), (MIDDLE + reach, EYE_Y)])
    line(canvas, bridge, frame, 2)
