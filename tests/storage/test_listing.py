"""A folder is listed as it is walked, in the order of paths, and cut into parts that a reader finds again."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rupantara.errors import UserError
from rupantara.faces import photographs
from rupantara.storage import uris
from rupantara.storage.listing import Listing, read
from rupantara.storage.uris import FileEntry

NAMES = ("a.jpg", "a/x.jpg", "a-b/y.jpg", "a.b/z.jpg", "b/c/d.png", "b/c.png", "b/c-.png", "Z.jpg", "ä.jpg")


def test_a_walk_lists_what_a_listing_does_in_its_order(place: str) -> None:
    for name in NAMES:
        uris.write_bytes(uris.join(place, name), name.encode())
    walked = list(uris.walk(place))
    assert [entry.path for entry in walked] == sorted(NAMES)
    assert walked == uris.list_files(place)


def test_links_that_lead_nowhere_or_round_are_listed_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/loop").symlink_to(tmp_path / "a")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nothing")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert list(uris.walk(str(tmp_path))) == uris.list_files(str(tmp_path))
    assert {entry.path for entry in uris.walk(str(tmp_path))} == {"gone.jpg", "self"}


SIZES = st.lists(st.integers(-1, 50), max_size=40)


@settings(deadline=None)
@given(SIZES, st.integers(1, 6), st.integers(1, 80))
def test_parts_are_bounded_whole_and_in_order(sizes: list[int], most: int, size: int) -> None:
    entries = [FileEntry(f"{i:03d}.jpg", n, i) for i, n in enumerate(sizes)]
    listing = Listing(most, size)
    for entry in entries:
        listing.add(entry)
    listing.close()
    assert listing.rows()["path"].to_pylist() == [entry.path.encode() for entry in entries]
    # As by hand: a part ends before the file that would make it too many or too large.
    wanted: list[list[int]] = []
    for n in sizes:
        if not wanted or len(wanted[-1]) >= most or sum(wanted[-1]) + n > size:
            wanted.append([])
        wanted[-1].append(n)
    assert listing.parts == len(wanted)


def test_a_part_reads_its_piece_of_the_listing_that_lies_beside_the_table(place: str) -> None:
    listing = Listing(2, 10**9)
    for i in range(5):
        listing.add(FileEntry(os.fsdecode(b"\xff%d.jpg" % i), 7, i))
    listing.close()
    listing.keep(place, "f" * 64)
    plan = listing.plan(place, "f" * 64)
    assert [part.read()["path"].to_pylist() for part in plan] == [
        [b"\xff0.jpg", b"\xff1.jpg"],
        [b"\xff2.jpg", b"\xff3.jpg"],
        [b"\xff4.jpg"],
    ]
    assert read(place, "f" * 64).equals(listing.rows())


def test_known_points_beside_the_photographs_and_in_the_parent_are_matched_and_counted(place: str, caplog) -> None:
    photos, points = uris.join(place, "photos"), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    for name in ("José.jpg", "b.jpg"):
        uris.write_bytes(uris.join(photos, name), b"x")
    known = {
        "photos/keypoints.json": ["b.jpg"],
        "dlib_keypoints.json": ["photos/Jose\u0301.jpg", "photos/gone.jpg"],
        "photos/below/keypoints.json": ["never.jpg"],
    }
    for path, names in known.items():
        data = json.dumps([{"file": name, "points": points} for name in names])
        uris.write_bytes(uris.join(place, path), data.encode())
    listing = photographs.find(photos, Listing(100, 10**9)).listing
    with caplog.at_level("INFO", logger="rupantara"):
        found = photographs.match(photos, photographs.sidecars(photos), listing)
    assert sorted(found) == ["José.jpg", "b.jpg"] and found["b.jpg"].tolist() == points
    said = [record.message.replace(place, "") for record in caplog.records]
    assert "1 of 2 known keypoints of /dlib_keypoints.json match a photograph" in said
    assert "1 names in /dlib_keypoints.json match no photograph: photos/gone.jpg …" in said
    assert "1 of 1 known keypoints of /photos/keypoints.json match a photograph" in said


def test_photographs_are_told_by_ending_or_by_their_first_bytes_and_the_rest_is_counted(tmp_path: Path) -> None:
    head = b"\xff\xd8\xff\xe0" + bytes(20)
    files = {
        "a.JPG": b"",
        "b.jfif": b"",
        "c": head,
        "d.dat": head,
        "e.dat": b"text",
        "f.txt": b"",
        "._g.jpg": b"",
        "h.heic": b"",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    found = photographs.find(str(tmp_path), Listing(100, 10**9))
    assert found.listing.rows()["path"].to_pylist() == [b"a.JPG", b"b.jfif", b"h.heic"]
    assert dict(found.left_out) == {"dat": 2, "no ending": 1, "txt": 1, photographs.LITTER: 1}
    assert photographs.listed(str(tmp_path))[1] == dict(found.left_out)
    sniffed = photographs.find(str(tmp_path), Listing(100, 10**9), sniff=True)
    assert sniffed.listing.rows()["path"].to_pylist() == [b"a.JPG", b"b.jfif", b"c", b"d.dat", b"h.heic"]
    entries, left_out = photographs.listed(str(tmp_path), sniff=True)
    assert [e.path for e in entries] == ["a.JPG", "b.jfif", "c", "d.dat", "h.heic"]
    assert left_out == {"dat": 1, "txt": 1, photographs.LITTER: 1}
    with pytest.raises(UserError, match=r"no file named \*\.gif"):
        photographs.find(str(tmp_path), Listing(100, 10**9), ("gif",))
