"""Grids of pictures with captions."""

from collections.abc import Sequence

import cv2
import numpy as np

from rupantara.imaging import codec
from rupantara.types import Picture

INK, PAPER = (40, 40, 40), 255
CAPTION_PX = 18


def grid(rows: Sequence[Sequence[Picture]], titles: Sequence[str] = (), side: int = 128, gap: int = 2) -> Picture:
    """Lay out rows of square pictures, shorter rows filled with paper, with a title over each column."""
    columns = max((len(row) for row in rows), default=0)
    top = CAPTION_PX if titles else 0
    sheet = np.full((top + len(rows) * (side + gap), max(1, columns * (side + gap)), 3), PAPER, np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            y, x = top + i * (side + gap), j * (side + gap)
            sheet[y : y + side, x : x + side] = codec.resize(picture, side)
    for j, title in enumerate(titles):
        where = (j * (side + gap) + 3, CAPTION_PX - 5)
        cv2.putText(sheet, title, where, cv2.FONT_HERSHEY_SIMPLEX, 0.4, INK, 1, cv2.LINE_AA)
    return sheet
