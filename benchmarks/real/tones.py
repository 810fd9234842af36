"""Tones of known pitch, the same in every run; those to calibrate on and those to evaluate on have
different timbres."""

from __future__ import annotations

import numpy as np
from evaluated import Evaluated
from numpy.typing import NDArray

RATE, WINDOW = 16_000, 1024
#: Timbres, and tones of each: to calibrate on, and to evaluate on.
CALIBRATION, EVALUATION = (32, 8), (40, 20)
#: Fundamental frequencies, Hz.
LOWEST, HIGHEST = 65.0, 1000.0
HARMONICS = 20
#: CREPE's bins are 20 cents apart; the first one is this far above 10 Hz.  Kim et al., CREPE: A
#: Convolutional Representation for Pitch Estimation, ICASSP 2018.
CENTS, FIRST = 20.0, 1997.3794084376191
#: Raw pitch accuracy: right is what is within 50 cents.
TOLERANCE = 50 / CENTS


def evaluated() -> Evaluated:
    """Frames of tones of known pitch."""
    frames, _, _ = tones(*CALIBRATION, first=0)
    evaluation, bins, timbres = tones(*EVALUATION, first=CALIBRATION[0])
    return Evaluated(frames, evaluation, bins, timbres, TOLERANCE)


def tones(
    timbres: int, count: int, first: int
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.int64]]:
    """`count` frames of each timbre, [N, 1024] with mean 0 and deviation 1, their bins and timbres.

    A generator for each timbre, so that more of them leave the first ones as they are.
    """
    frames, bins = [], []
    for number in range(first, first + timbres):
        draw = np.random.default_rng(number)
        decay, noise = draw.uniform(0.5, 2.0), 10 ** draw.uniform(-3, -0.5)
        shape = draw.uniform(0.2, 1.0, HARMONICS) / np.arange(1, HARMONICS + 1) ** decay
        for _ in range(count):
            pitch = float(np.exp(draw.uniform(np.log(LOWEST), np.log(HIGHEST))))
            frames.append(_frame(pitch, shape, noise, draw))
            bins.append((1200 * np.log2(pitch / 10) - FIRST) / CENTS)
    return np.stack(frames), np.array(bins), np.repeat(np.arange(timbres), count)


def _frame(
    pitch: float, shape: NDArray[np.float64], noise: float, draw: np.random.Generator
) -> NDArray[np.float32]:
    times = np.arange(WINDOW)[:, None] / RATE
    order = np.arange(1, HARMONICS + 1)
    phases = draw.uniform(0, 2 * np.pi, HARMONICS)
    heard = shape * (order * pitch < RATE / 2)
    sound = (heard * np.sin(2 * np.pi * pitch * order * times + phases)).sum(1)
    sound = sound / sound.std() + noise * draw.standard_normal(WINDOW)
    return ((sound - sound.mean()) / sound.std()).astype(np.float32)
