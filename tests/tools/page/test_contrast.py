"""Text of the page is dark enough on what it stands on, in light and in dark."""

from __future__ import annotations

import re

import pytest

from sparqc.tools.page.report_page import ASSETS

#: What the Web Content Accessibility Guidelines (1.4.3, level AA) ask of text.
LEAST = 4.5


def palettes() -> dict[str, dict[str, str]]:
    """The colours by name, of the light page and of the dark one."""
    css = (ASSETS / "page.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    pairs = {scheme: re.findall(r"--([\w-]+): (#\w+)", text)
             for scheme, text in (("light", light), ("dark", dark))}  # fmt: skip
    return {scheme: dict(found) for scheme, found in pairs.items()}


def luminance(colour: str) -> float:
    digits = colour[1:]
    digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "below"),
    [(text, below) for text in ("ink", "dim", "accent", "new", "changed", "gone")
     for below in ("paper", "ground")]
    + [("ink", kind) for kind in ("int8", "float", "quant", "group")]
    + [("dim", kind) for kind in ("int8", "float", "group")]
    + [(kind, f"{kind}-paper") for kind in ("new", "changed", "gone")],
)  # fmt: skip
def test_text_can_be_read(scheme: str, text: str, below: str) -> None:
    colours = palettes()[scheme]
    assert contrast(colours[text], colours[below]) >= LEAST


def test_the_measure_is_that_of_the_guidelines() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
