"""Drawn faces with exact points: the data set that needs no download, and the tests' ground truth."""

from rupantara.synthetic.faces import DrawnFace, draw_face
from rupantara.synthetic.photographs import write_photographs
from rupantara.synthetic.species import SPECIES

__all__ = ["SPECIES", "DrawnFace", "draw_face", "write_photographs"]
