"""Sound photographs under names and in places that a listing must survive."""

import os
from pathlib import Path

from tests.hostile.pictures import ACCEPTED, JPEG, Files

UNREADABLE = {"unreadable"}

NAMES = (
    "with  spaces .jpg",
    " leading space.jpg",
    "trailing space .jpg ",
    "ünïcödé 猫 🐅.jpg",
    "cafe\u0301 decomposed.jpg",
    "caf\u00e9 composed.jpg",
    "right to left \u202egpj.exe.jpg",
    "zero\u200bwidth.jpg",
    "100% #1?&[x].jpg",
    "%2e%2e%2fescaped.jpg",
    "two\nlines 'and' \"quotes\".jpg",
    "carriage\rreturn\tand tab.jpg",
    "bell\x07and escape\x1b[31m.jpg",
    "back\\slash.jpg",
    "$(touch nowhere) `id` ; | &.jpg",
    "<script>alert(1)</script>.jpg".replace("/", "\u2215"),
    "-rf.jpg",
    "--help.jpg",
    "*.jpg",
    "~.jpg",
    "C:\\photo:stream.jpg",
    "CON.jpg",
    ".hidden.jpg",
    ".jpg",
    "...jpg",
    "double.tar.gz.jpg",
    "n" * 200 + ".jpg",
    "猫" * 80 + ".jpg",
    "s3:/bucket/key.jpg",
    "deep/" + "d/" * 60 + "x.jpg",
    os.fsdecode(b"not utf-8 caf\xe9.jpg"),
    os.fsdecode(b"surrogate \xed\xa0\x80.jpg"),
)


def named() -> Files:
    """One photograph under every name; those with a dash lie at the top, where a path begins with it."""
    paths = (name if name.startswith("-") else f"names/{name}" for name in NAMES)
    return dict.fromkeys(paths, (JPEG, ACCEPTED))


LINKS = {
    "link.jpg": ("original.jpg", ACCEPTED),
    "link to a link.jpg": ("link.jpg", ACCEPTED),
    "dangling.jpg": ("nowhere.jpg", UNREADABLE),
    "loop.jpg": ("loop.jpg", UNREADABLE),
    "one of two.jpg": ("two of two.jpg", UNREADABLE),
    "two of two.jpg": ("one of two.jpg", UNREADABLE),
    "folder.jpg/back.jpg": ("..", UNREADABLE),
    "device without end.jpg": ("/dev/zero", UNREADABLE),
}
"""Symbolic links: where each leads, and what it comes to."""


def make_places(folder: Path) -> dict[str, set[str]]:
    """Make what is no file, or not where it lies; return its outcomes."""
    (folder / "original.jpg").write_bytes(JPEG)
    (folder / "second name.jpg").hardlink_to(folder / "original.jpg")
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe without writer.jpg")
    outcomes = {"original.jpg": ACCEPTED, "second name.jpg": ACCEPTED}
    outcomes |= {"folder.jpg": UNREADABLE, "pipe without writer.jpg": UNREADABLE}
    for name, (target, allowed) in LINKS.items():
        (folder / name).symlink_to(target)
        outcomes[name] = allowed
    if os.geteuid() != 0:
        (folder / "forbidden.jpg").write_bytes(JPEG)
        (folder / "forbidden.jpg").chmod(0)
        outcomes["forbidden.jpg"] = UNREADABLE
    return outcomes
