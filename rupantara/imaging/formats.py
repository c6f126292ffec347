"""Which files are photographs: by the ending of their name, or by their first bytes."""

from collections import Counter
from collections.abc import Iterable

ENDINGS = (
    *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "webp", "avif", "bmp", "dib", "tif", "tiff", "gif"),
    *("jp2", "j2k", "jpf", "jpx", "ppm", "pgm", "pbm", "pnm", "tga", "pcx", "sgi", "dds"),
)
"""Endings of names, in lower case, of the formats that are decoded here."""

EXTRA = {"heic": "heic", "heif": "heic", "jxl": "jxl"}
"""Endings of phones' and newer formats, to the optional extra of this package whose decoder opens them."""

SIGNATURES = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    *(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51", b"P4", b"P5", b"P6", b"DDS ", b"\x01\xda"),
)
"""First bytes of the same formats, where they are sure."""

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
BRANDS = (b"avif", b"avis", *HEIC_BRANDS)
"""What follows `ftyp` in the fifth to twelfth byte of AVIF and HEIC."""

JXL_SIGNATURES = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")

HEAD_BYTES = 16
"""How many first bytes tell a format."""


def ending(path: str) -> str:
    """Return the ending of a file's name in lower case, without the dot; "" for a name without one."""
    name = path.replace("\\", "/").rpartition("/")[2]
    stem, dot, last = name.rpartition(".")
    return last.lower() if dot and stem else ""


def wanted(endings: Iterable[str]) -> frozenset[str]:
    """Return endings as they are compared: in lower case, without a leading dot."""
    return frozenset(e.strip().lower().removeprefix(".") for e in endings)


def is_picture(head: bytes) -> bool:
    """Tell by its first HEAD_BYTES bytes whether a file is a picture of a known format."""
    if head.startswith(SIGNATURES):
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return True
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return True
    return (head[4:8] == b"ftyp" and head[8:12] in BRANDS) or head.startswith(JXL_SIGNATURES)


LITTER = ("__MACOSX", "@eaDir", ".thumbnails", ".Trash", ".Trashes", "$RECYCLE.BIN")
"""Folders that systems leave among photographs."""

LITTER_FILES = (".DS_Store", "Thumbs.db", "ehthumbs.db", "desktop.ini")
"""Files that they leave there."""


def extra_of(head: bytes) -> str:
    """Return the optional extra of this package whose decoder opens a file that begins so; "" where none is needed."""
    if head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS:
        return "heic"
    return "jxl" if head.startswith(JXL_SIGNATURES) else ""


def is_litter(path: str) -> bool:
    """Tell whether a system left a file there: macOS's `._photo.jpg` or `.DS_Store`, or anything in a folder of thumbnails or rubbish.

    Such files carry photographs' names without being any.
    """
    *folders, name = path.replace("\\", "/").split("/")
    return name.startswith("._") or name in LITTER_FILES or any(folder in LITTER for folder in folders)


def count_endings(paths: Iterable[str]) -> dict[str, int]:
    """Count names by ending, the commonest first; names without one count under "no ending"."""
    return dict(Counter(ending(path) or "no ending" for path in paths).most_common())
