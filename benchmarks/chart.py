"""A bar chart as PNG, drawn with Pillow: one block of horizontal bars for each kind of work, the first bar ours."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDE, BAR, GAP, LEFT = 1000, 30, 12, 330
OURS, OTHERS, INK, PAPER = "#1a7f5a", "#9aa5b1", "#1f2933", "#ffffff"


def draw(blocks: dict[str, dict[str, float]], unit: str, file: Path) -> None:
    """Write `file`; `blocks` is {title: {name: value}}."""
    high = sum(60 + len(bars) * (BAR + GAP) for bars in blocks.values()) + 20
    image = Image.new("RGB", (WIDE, high), PAPER)
    pen = ImageDraw.Draw(image)
    plain, title = ImageFont.load_default(17), ImageFont.load_default(20)
    at = 16
    for name, bars in blocks.items():
        pen.text((20, at), f"{name}: {unit}", INK, title)
        at += 40
        longest = max(bars.values())
        for label, value in bars.items():
            length = round((WIDE - LEFT - 90) * value / longest)
            pen.text((20, at + 4), label, INK, plain)
            colour = OURS if label.startswith("hotfolder") else OTHERS
            pen.rectangle((LEFT, at, LEFT + length, at + BAR), fill=colour)
            pen.text((LEFT + length + 8, at + 4), f"{value:.1f}", INK, plain)
            at += BAR + GAP
        at += 20
    image.save(file, optimize=True)
