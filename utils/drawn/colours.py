"""Colours, and the small draws of chance that every drawing is made of. A colour is three floats in 0..1."""

import colorsys

import numpy as np

BLACK, WHITE, PINK = (0.05, 0.04, 0.04), (0.96, 0.95, 0.93), (0.85, 0.55, 0.5)
COATS = ("3a2a20", "5c4030", "7d5a3c", "a07a50", "c4a274", "e0cba4", "ece6dc", "8a8681", "55524f", "232021", "a9622f")
DEER = ("7a5434", "9a6c42", "b07f52", "6a543f", "8a7660", "a5623a", "54402e", "c0a07a")
FROGS = (
    "4f8a34",
    "6fa53c",
    "3d6b3a",
    "8a9a4a",
    "7a6a3e",
    "8a5c34",
    "5a5f45",
    "b8a43a",
    "b8502e",
    "3a6f8f",
    "8a8478",
    "5c5048",
    "a08a6c",
)
HUES = (0, 0.01, 0.03, 0.08, 0.13, 0.33, 0.4, 0.5, 0.57, 0.6, 0.63, 0.66, 0.75, 0.97)  # reds and blues are usual


def pick(rng, options):
    """Return one of `options`, each as likely."""
    return options[int(rng.random() * len(options))]


def chance(rng, share):
    return rng.random() < share


def between(rng, low, high):
    return low + (high - low) * rng.random()


def from_hex(text):
    return tuple(int(text[i : i + 2], 16) / 255 for i in (0, 2, 4))


def from_palette(rng, palette, spread=0.05):
    """Return one of the palette's colours, a little off."""
    off, common = rng.normal(0, 0.3 * spread, 3), rng.normal(0, spread)
    return tuple(min(max(c + d + common, 0.02), 0.98) for c, d in zip(from_hex(pick(rng, palette)), off))


def paint(rng):
    """Return a colour that a vehicle may be painted in: white, grey, black, or in colour."""
    if chance(rng, 0.4):
        grey = pick(rng, (0.1, 0.22, 0.5, 0.7, 0.85, 0.95))
        return tuple(min(max(grey + d, 0.03), 0.97) for d in rng.normal(0, 0.03, 3))
    return colorsys.hsv_to_rgb(
        (pick(rng, HUES) + rng.normal(0, 0.015)) % 1, between(rng, 0.45, 0.95), between(rng, 0.3, 0.95)
    )


def shade(colour, factor):
    """Return the colour darker (factor below 1) or nearer to white (above 1)."""
    if factor <= 1:
        return tuple(c * factor for c in colour)
    return tuple(1 - (1 - c) * (2 - factor) for c in colour)


def mix(one, other, share):
    """Return `one` with this share of `other` in it."""
    return tuple(a + (b - a) * share for a, b in zip(one, other))


def luminance(colour):
    return float(np.dot(colour, (0.299, 0.587, 0.114)))
