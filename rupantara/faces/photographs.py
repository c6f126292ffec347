"""The photographs of a folder: which of its files they are, what their paths say, and what points of them are known."""

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rupantara.errors import UserError
from rupantara.faces import names
from rupantara.faces.known import load_known_keypoints
from rupantara.faces.paths import DEFAULT_RULES, compile_rules, is_animal, rule_of
from rupantara.imaging import formats
from rupantara.storage import uris
from rupantara.storage.listing import Listing
from rupantara.storage.uris import FileEntry, FilesHash

log = logging.getLogger(__name__)
EXTENSIONS = (*formats.ENDINGS, *formats.EXTRA)
"""Endings of names that count as photographs."""
LITTER, NO_ENDING = "litter of systems", "no ending"


def by_name(listed: Sequence[FileEntry], extensions: Sequence[str] = EXTENSIONS) -> list[FileEntry]:
    """Keep the files that are photographs by name."""
    endings = formats.wanted(extensions)
    return [e for e in listed if formats.ending(e.path) in endings and not formats.is_litter(e.path)]


@dataclass
class Found:
    """What a walk over a folder found: the photographs, cut into parts, and what was counted of all files on the way."""

    listing: Listing
    hash: FilesHash = field(default_factory=FilesHash)
    by_rule: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    animals: bool = False
    people: bool = False

    def lines(self) -> list[str]:
        """Say what was found, a line each."""
        left = ", ".join(f"{ending} {count}" for ending, count in self.left_out.most_common(8))
        out = self.left_out.total()
        first = f"{self.listing.files + out} files listed, {out} of them not photographs by name"
        rules = {
            DEFAULT_RULES[-1]: "of any other picture: each is taken for a person of its own, who has no other pictures"
        }
        fall = (f"{n} photographs fall under the rule {rules.get(rule, rule)}" for rule, n in self.by_rule.items())
        return [first + (f" ({left})" if left else ""), *fall]

    def told(self) -> dict[str, Any]:
        """Return the counts that a manifest keeps."""
        return {
            "photographs": self.listing.files,
            "listed": self.listing.files + self.left_out.total(),
            "not_photographs": self.left_out.total(),
            "left_out": dict(self.left_out.most_common(20)),
            "by_rule": dict(self.by_rule),
        }


def find(
    folder: str,
    listing: Listing,
    extensions: Sequence[str] = EXTENSIONS,
    rules: tuple[str, ...] = DEFAULT_RULES,
    *,
    sniff: bool = False,
) -> Found:
    """List the photographs below a folder, in the order of their paths; with `sniff` first bytes judge names of unknown ending."""
    compile_rules(rules)
    found = Found(listing)
    for entry in _photographs(folder, extensions, found.left_out, sniff=sniff):
        listing.add(entry)
        found.hash.add(entry)
        found.by_rule[rule_of(entry.path, rules)] += 1
        animal = is_animal(entry.path, rules)
        found.animals, found.people = found.animals or animal, found.people or not animal
    listing.close()
    return found


def listed(folder: str, *, sniff: bool = False) -> tuple[list[FileEntry], dict[str, int]]:
    """Return the photographs below a folder, as `find` tells them, and how many other files there are by ending."""
    left_out: Counter[str] = Counter()
    return list(_photographs(folder, EXTENSIONS, left_out, sniff=sniff)), dict(left_out.most_common())


def _photographs(folder: str, extensions: Sequence[str], left_out: Counter[str], *, sniff: bool) -> Iterator[FileEntry]:
    """Yield the photographs below a folder, and count the others; UserError where there is none."""
    uris.require_folder(folder, "--photos")
    endings, none = formats.wanted(extensions), True
    for entry in uris.walk(folder):
        ending = formats.ending(entry.path)
        if formats.is_litter(entry.path):
            left_out[LITTER] += 1
        elif ending in endings or (sniff and _is_picture(folder, entry)):
            none = False
            yield entry
        else:
            left_out[ending or NO_ENDING] += 1
    if none:
        raise UserError(f"--photos holds no file named *.{'/'.join(extensions)}, got {folder!r}")


def _is_picture(folder: str, entry: FileEntry) -> bool:
    try:
        return formats.is_picture(uris.read_head(uris.join(folder, entry.path), formats.HEAD_BYTES))
    except OSError:
        return False


def sidecars(photos: str, given: str = "") -> dict[str, bytes]:
    """Read the files of known points: the given one, else every *keypoints.json in the photographs' folder or its parent."""
    if given:
        return {given: uris.read_bytes(given)}
    return {uri: uris.read_bytes(uri) for folder in _with_parent(photos) for uri in _named_keypoints(folder)}


def hash_of(sidecars: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of what files of known points say, whatever their names."""
    return hashlib.sha256(b"".join(sidecars[name] for name in sorted(sidecars))).hexdigest()


def _with_parent(photos: str) -> Iterator[str]:
    yield photos.rstrip("/")
    parent = uris.absolute(photos).rstrip("/").rpartition("/")[0]
    if parent.rpartition("://")[2]:
        yield parent


def _named_keypoints(folder: str) -> list[str]:
    listed = uris.list_files(folder, recursive=False)
    return [uris.join(folder, entry.path) for entry in listed if entry.path.endswith("keypoints.json")]


def match(photos: str, sidecars: Mapping[str, bytes], listing: Listing) -> dict[str, np.ndarray]:
    """Return known points by the path of their photograph; those that match none are logged."""
    known: dict[str, np.ndarray] = {}
    for name, data in sorted(sidecars.items()):
        points = load_known_keypoints(data, name)
        found, lost = names.match(points, listing.paths(), photos.rstrip("/").rpartition("/")[2])
        known |= {path: points[row] for path, row in found.items()}
        log.info("%d of %d known keypoints of %s match a photograph", len(found), len(points), name)
        if lost:
            log.warning("%d names in %s match no photograph: %s …", len(lost), name, ", ".join(lost[:3]))
    return known
