"""A circular arc over a chord: its length and its segment's area as functions of the half-angle.

An arc of half-angle a over a chord c has the length ``c * length(a)`` and, between arc and chord, the area
``c^2 * area(a)``, with ``length = a / sin a`` and ``area = (a - sin a cos a) / (4 sin^2 a)``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Below this half-angle (radians) series are more accurate than the formulas, whose terms cancel.
SMALL = 0.05


class ChordFactors(NamedTuple):
    """`length` and `area` of an arc over a unit chord, with first and second derivatives by the half-angle."""

    length: Floats
    length_1: Floats
    length_2: Floats
    area: Floats
    area_1: Floats
    area_2: Floats


def chord_factors(half_angles: Floats) -> ChordFactors:
    """Length and area over a unit chord, and their derivatives, for half-angles of any shape between -pi and pi."""
    small = np.abs(half_angles) < SMALL
    a = np.where(small, 1.0, half_angles)
    s, c = np.sin(a), np.cos(a)
    w = s - a * c
    exact = ChordFactors(
        a / s,
        w / s**2,
        a / s - 2 * c * w / s**3,
        (a - s * c) / (4 * s**2),
        w / (2 * s**3),
        a / (2 * s**2) - 1.5 * c * w / s**4,
    )
    b = np.where(small, half_angles, 0.0)
    q = b * b
    series = ChordFactors(
        1 + q * (1 / 6 + q * (7 / 360 + q * (31 / 15120 + q * 127 / 604800))),
        b * (1 / 3 + q * (7 / 90 + q * (31 / 2520 + q * 127 / 75600))),
        1 / 3 + q * (7 / 30 + q * (31 / 504 + q * 127 / 10800)),
        b * (1 / 6 + q * (1 / 45 + q * (1 / 315 + q * 2 / 4725))),
        1 / 6 + q * (1 / 15 + q * (1 / 63 + q * 2 / 675)),
        b * (2 / 15 + q * (4 / 63 + q * 4 / 225)),
    )
    return ChordFactors(*(np.where(small, near, far) for near, far in zip(series, exact, strict=True)))
