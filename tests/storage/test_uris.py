"""Whole files appear whole or not at all, on disk and on S3; listings survive whatever lies in a folder."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from rupantara.errors import MissingError, UserError
from rupantara.storage import uris

NAMES = (
    "plain.bin",
    "with space.bin",
    "ünïcödé 猫 🐅.bin",
    "hash#mark?query&100%25.bin",
    "deep/er/than this/x.bin",
    "plus+and:colon=.bin",
)


@pytest.mark.parametrize("data", [b"", bytes(range(256)), b"x" * 3_000_000], ids=["empty", "all bytes", "3 MB"])
def test_what_was_written_is_read(place: str, data: bytes) -> None:
    uris.write_bytes(uris.join(place, "file"), data)
    assert uris.read_bytes(uris.join(place, "file")) == data
    assert uris.list_files(place)[0].size == len(data)


def test_odd_names_come_back_from_the_listing_as_they_were_written(place: str) -> None:
    for name in NAMES:
        uris.write_bytes(uris.join(place, name), name.encode())
    listed = [entry.path for entry in uris.list_files(place)]
    assert listed == sorted(NAMES)
    assert [uris.read_bytes(uris.join(place, name)) for name in listed] == [name.encode() for name in listed]
    assert all(uris.exists(uris.join(place, name)) for name in NAMES)


def test_a_second_write_replaces_the_first(place: str) -> None:
    uri = uris.join(place, "file")
    uris.write_bytes(uri, b"a longer first content")
    uris.write_bytes(uri, b"second")
    assert uris.read_bytes(uri) == b"second"
    assert [entry.path for entry in uris.list_files(place)] == ["file"]


def test_if_absent_refuses_a_file_that_is_there_and_leaves_it(place: str) -> None:
    uri = uris.join(place, "claim")
    uris.write_bytes(uri, b"first", if_absent=True)
    with pytest.raises(FileExistsError):
        uris.write_bytes(uri, b"second", if_absent=True)
    assert uris.read_bytes(uri) == b"first"
    assert [entry.path for entry in uris.list_files(place)] == ["claim"]


def test_of_many_racing_claims_exactly_one_wins(place: str) -> None:
    uri, start = uris.join(place, "claim"), threading.Barrier(6)

    def claim(number: int) -> int | None:
        start.wait()
        try:
            uris.write_bytes(uri, str(number).encode(), if_absent=True)
        except FileExistsError:
            return None
        return number

    with ThreadPoolExecutor(6) as pool:
        winners = [number for number in pool.map(claim, range(6)) if number is not None]
    assert len(winners) == 1
    assert uris.read_bytes(uri) == str(winners[0]).encode()


def test_a_listing_is_recursive_or_not(place: str) -> None:
    for name in ("b", "a/x", "a/y/z", "c/x"):
        uris.write_bytes(uris.join(place, name), name.encode())
    assert [entry.path for entry in uris.list_files(place)] == ["a/x", "a/y/z", "b", "c/x"]
    assert [entry.path for entry in uris.list_files(place + "/")] == ["a/x", "a/y/z", "b", "c/x"]
    assert [entry.path for entry in uris.list_files(place, recursive=False)] == ["b"]
    assert [entry.path for entry in uris.list_files(uris.join(place, "a"))] == ["x", "y/z"]


def test_a_listing_does_not_take_a_longer_name_for_a_folder(place: str) -> None:
    uris.write_bytes(uris.join(place, "faces/x"), b"")
    uris.write_bytes(uris.join(place, "faces2/x"), b"")
    assert [entry.path for entry in uris.list_files(uris.join(place, "faces"))] == ["x"]


def test_an_absent_folder_lists_nothing_and_is_required_in_vain(place: str) -> None:
    assert uris.list_files(uris.join(place, "none")) == []
    assert not uris.exists(uris.join(place, "none"))
    with pytest.raises(MissingError, match=r"--photos must be a folder that exists, got '.*none'"):
        uris.require_folder(uris.join(place, "none"), "--photos")
    with pytest.raises(FileNotFoundError):
        uris.read_bytes(uris.join(place, "none"))


def test_a_folder_with_a_file_is_a_folder_and_no_file(place: str) -> None:
    uris.write_bytes(uris.join(place, "folder/file"), b"1")
    uris.require_folder(uris.join(place, "folder"), "--photos")
    assert not uris.exists(uris.join(place, "folder"))
    with pytest.raises(MissingError):
        uris.require_folder(uris.join(place, "folder/file"), "--photos")


def test_deleting_twice_is_deleting_once(place: str) -> None:
    uris.write_bytes(uris.join(place, "gone"), b"1")
    uris.write_bytes(uris.join(place, "stays"), b"1")
    uris.delete(uris.join(place, "gone"))
    uris.delete(uris.join(place, "gone"))
    assert [entry.path for entry in uris.list_files(place)] == ["stays"]


def test_a_reader_never_sees_half_of_a_rewritten_file(tmp_path: Path) -> None:
    uri, stop, seen = str(tmp_path / "file"), threading.Event(), set()
    uris.write_bytes(uri, b"a" * 2_000_000)

    def rewrite() -> None:
        for letter in (b"b", b"a") * 20:
            uris.write_bytes(uri, letter * 2_000_000)
        stop.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    while not stop.is_set():
        data = uris.read_bytes(uri)
        seen.add((data[:1], data.count(data[:1]), len(data)))
    writer.join()
    assert seen <= {(b"a", 2_000_000, 2_000_000), (b"b", 2_000_000, 2_000_000)}
    assert len(seen) == 2


@pytest.mark.parametrize("verb", ["replace", "link"])
def test_a_write_that_breaks_off_leaves_the_old_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    uris.write_bytes(str(tmp_path / "file"), b"old")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, verb, interrupted)
    with pytest.raises(KeyboardInterrupt):
        uris.write_bytes(str(tmp_path / "file"), b"new", if_absent=verb == "link")
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == {"file": b"old"}


def test_a_link_that_leads_nowhere_is_listed_with_size_minus_one(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"123")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "to itself").symlink_to(tmp_path / "to itself")
    (tmp_path / "to real").symlink_to(tmp_path / "real")
    sizes = {entry.path: entry.size for entry in uris.list_files(str(tmp_path))}
    assert sizes == {"dangling": -1, "real": 3, "to itself": -1, "to real": 3}


def test_links_in_a_loop_end_and_repeat_no_file(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/file").write_bytes(b"1")
    (tmp_path / "a/b/up").symlink_to(tmp_path / "a")
    (tmp_path / "a/b/top").symlink_to(tmp_path)
    (tmp_path / "a/here").symlink_to(tmp_path / "a")
    assert [entry.path for entry in uris.list_files(str(tmp_path))] == ["a/file"]


def test_a_linked_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/file").write_bytes(b"1")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/link").symlink_to(tmp_path / "elsewhere")
    assert [entry.path for entry in uris.list_files(str(tmp_path / "photos"))] == ["link/file"]


def test_links_never_hide_a_real_folder(tmp_path: Path) -> None:
    (tmp_path / "real/inner").mkdir(parents=True)
    (tmp_path / "real/inner/file").write_bytes(b"1")
    for number in range(40):
        (tmp_path / f"folder{number}").mkdir()
        (tmp_path / f"folder{number}/link").symlink_to(tmp_path / "real/inner")
    assert "real/inner/file" in [entry.path for entry in uris.list_files(str(tmp_path))]


def test_names_that_are_not_utf8_are_listed_and_fingerprinted(tmp_path: Path) -> None:
    for raw in (b"caf\xe9.jpg", b"caf\xe8.jpg"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + raw)).write_bytes(b"123")
    entries = uris.list_files(str(tmp_path))
    assert {os.fsencode(entry.path) for entry in entries} == {b"caf\xe9.jpg", b"caf\xe8.jpg"}
    same_time = [replace(entry, mtime_ns=0) for entry in entries]
    assert uris.fingerprint_files(same_time[:1]) != uris.fingerprint_files(same_time[1:])


def test_names_that_are_not_utf8_can_be_read(tmp_path: Path) -> None:
    name = str(tmp_path / os.fsdecode(b"caf\xe9.jpg"))
    uris.write_bytes(name, b"123")
    assert uris.read_bytes(name) == b"123"


def test_a_listing_s_fingerprint_changes_with_each_name_size_and_time_and_nothing_else() -> None:
    one = uris.FileEntry("a", 1, 2)
    changed = [replace(one, path="b"), replace(one, size=2), replace(one, mtime_ns=3)]
    prints = [uris.fingerprint_files(entries) for entries in ([one], *([entry] for entry in changed), [one, one], [])]
    assert len(set(prints)) == 6
    assert uris.fingerprint_files([replace(one)]) == prints[0]


@pytest.mark.parametrize(("uri", "named"), [("gs://bucket/x", "gs://bucket/x"), ("s3://", "bucket"), ("", "needed")])
def test_an_address_of_no_known_kind_is_refused_by_name(uri: str, named: str) -> None:
    with pytest.raises(UserError, match=named):
        uris.resolve(uri)


def test_file_uris_and_paths_name_the_same_file(tmp_path: Path) -> None:
    uris.write_bytes(f"file://{tmp_path}/x", b"1")
    assert uris.read_bytes(str(tmp_path / "x")) == b"1"


def test_a_file_over_the_limit_is_refused_and_never_read_whole(place: str, tmp_path: Path) -> None:
    uris.write_bytes(uris.join(place, "file"), b"x" * 1000)
    assert len(uris.read_bytes(uris.join(place, "file"), max_bytes=1000)) == 1000
    with pytest.raises(uris.TooLargeError, match="over 999 bytes"):
        uris.read_bytes(uris.join(place, "file"), max_bytes=999)
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate(100 * 2**30)
    with pytest.raises(uris.TooLargeError):
        uris.read_bytes(str(tmp_path / "sparse"), max_bytes=2**20)


def test_a_prefix_is_a_folder_though_an_empty_object_has_its_name(s3: str) -> None:
    folder = uris.join(s3, "photos")
    uris.write_bytes(folder, b"")
    with pytest.raises(MissingError):
        uris.require_folder(folder, "--photos")
    uris.write_bytes(uris.join(folder, "a.jpg"), b"x")
    uris.require_folder(folder, "--photos")
    assert [entry.path for entry in uris.walk(folder)] == [entry.path for entry in uris.list_files(folder)] == ["a.jpg"]
