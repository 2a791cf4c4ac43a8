"""A clip's frames in one picture, with what the model reads of each and the stages under them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fsarctl.report.letters import Letters

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Stage", "contact_sheet"]

COLUMNS = 8
SMALLEST = 150
GAP = 10
MARGIN = 20
BAR = 20

INK, MUTED, LINE, PAPER = "#1b1f24", "#57606a", "#e4572e", "#ffffff"
STAGE_COLOURS = ("#0b5cad", "#8a4b08", "#1a6b3c")


@dataclass(frozen=True)
class Stage:
    """A stage of the action, the frames of the clip that reach it, and what is said of it ("" if unknown)."""

    name: str
    frames: range
    sentence: str = ""


def contact_sheet(
    frames: NDArray[np.uint8],
    captions: Sequence[str],
    stages: Sequence[Stage],
    *,
    title: str,
    subtitle: Sequence[str],
    crop: int,
) -> "Image":
    """All frames in rows of eight; fewer make a narrower sheet, as far as its texts allow.

    The centre square of ``crop`` pixels is outlined and what lies outside is faded; ``captions`` stand under
    the frames, and under them a bar for each stage, over the frames that reach it.

    Shapes: frames (T, S, S, 3) uint8.
    """
    from PIL import Image, ImageDraw

    small, bold, large = Letters(14), Letters(14, bold=True), Letters(18, bold=True)
    count, stored = frames.shape[:2]
    side = max(stored, SMALLEST)
    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    spoken = [stage for stage in stages if stage.sentence]
    # Few frames are narrower than what is said of them; no sheet is wider than a full row.
    written = [
        large.length(title),
        *(small.length(line) for line in subtitle),
        *(100 + small.length(stage.sentence) for stage in spoken),
    ]
    widest, needed = COLUMNS * (side + GAP) - GAP, columns * (side + GAP) - GAP
    width = 2 * MARGIN + max(needed, min(widest, math.ceil(max(written)) + 1))
    header = 30 + 20 * len(subtitle) + 8
    row_height = side + 26 + (BAR + 4) * len(stages) + 14
    height = MARGIN + header + rows * row_height + 22 * len(spoken) + MARGIN

    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    large.draw(draw, (MARGIN, MARGIN), large.cut(title, width - 2 * MARGIN), INK)
    for number, line in enumerate(subtitle):
        text = small.cut(line, width - 2 * MARGIN)
        small.draw(draw, (MARGIN, MARGIN + 30 + 20 * number), text, MUTED)
    for number in range(count):
        row, column = divmod(number, columns)
        left, top = MARGIN + column * (side + GAP), MARGIN + header + row * row_height
        sheet.paste(_frame(frames[number], side, crop), (left, top))
        small.draw(draw, (left + side / 2, top + side + 5), captions[number], INK, anchor="ma")
    for row in range(rows):
        shown = range(row * columns, min((row + 1) * columns, count))
        for order, stage in enumerate(stages):
            span = [number for number in shown if number in stage.frames]
            if span:
                left = MARGIN + (span[0] - shown.start) * (side + GAP)
                right = MARGIN + (span[-1] - shown.start) * (side + GAP) + side
                top = MARGIN + header + row * row_height + side + 26 + order * (BAR + 4)
                colour = STAGE_COLOURS[order % len(STAGE_COLOURS)]
                draw.rounded_rectangle((left, top, right, top + BAR), 4, colour)
                name = bold.cut(stage.name, right - left - 12)
                bold.draw(draw, (left + 8, top + BAR / 2), name, PAPER, anchor="lm")
    top = height - MARGIN - 22 * len(spoken)
    for number, stage in enumerate(spoken):
        colour = STAGE_COLOURS[stages.index(stage) % len(STAGE_COLOURS)]
        bold.draw(draw, (MARGIN, top + 22 * number), stage.name, colour)
        text = small.cut(stage.sentence, width - 2 * MARGIN - 100)
        small.draw(draw, (MARGIN + 100, top + 22 * number), text, INK)
    return sheet


def _frame(frame: NDArray[np.uint8], side: int, crop: int) -> "Image":
    """One frame, enlarged, with the part that the model reads outlined."""
    from PIL import Image, ImageDraw

    stored = len(frame)
    picture = Image.fromarray(frame).resize((side, side), Image.Resampling.BICUBIC)
    edge = (stored - crop) // 2 * side / stored
    inside = (
        round(edge),
        round(edge),
        round(edge + crop * side / stored),
        round(edge + crop * side / stored),
    )
    if crop >= stored:
        return picture
    faded = Image.blend(picture, Image.new("RGB", picture.size, PAPER), 0.55)
    faded.paste(picture.crop(inside), inside[:2])
    box = (inside[0], inside[1], inside[2] - 1, inside[3] - 1)
    ImageDraw.Draw(faded).rectangle(box, outline=LINE, width=2)
    return faded
