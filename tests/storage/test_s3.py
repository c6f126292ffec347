"""What only S3 can get wrong; the laws that disk and S3 share run on both in the files beside this one (`place`)."""

from pathlib import Path

import pyarrow as pa
import pytest

from rupantara import schema
from rupantara.errors import UserError
from rupantara.storage import manifest, tables, uris
from rupantara.storage.recipe import Recipe

TREE = ("b.txt", "a/x.bin", "a/y/z z.bin", "ünï/猫.jpg")


def test_the_endpoint_comes_from_the_environment(s3_server: str) -> None:
    assert uris.exists(f"{s3_server}/probe")
    assert uris.read_bytes(f"{s3_server}/probe") == b"put by boto3"


def test_a_tree_lists_like_the_same_tree_on_disk(s3: str, tmp_path: Path) -> None:
    for place in (s3, str(tmp_path)):
        for number, name in enumerate(TREE):
            uris.write_bytes(uris.join(place, name), b"x" * number)
    for recursive in (True, False):
        listed = [
            [(entry.path, entry.size) for entry in uris.list_files(place, recursive=recursive)]
            for place in (s3, str(tmp_path))
        ]
        assert listed[0] == listed[1]
        assert len(listed[0]) == (4 if recursive else 1)


def test_a_table_has_the_same_bytes_as_on_disk(s3: str, tmp_path: Path) -> None:
    recipe = Recipe("curate", 1)
    parts = []
    for place in (s3, str(tmp_path / "table")):
        running = manifest.begin(place, "faces", recipe, version=schema.VERSION, overwrite=False)
        assert running is not None
        tables.write_part(place, running.fingerprint, 0, pa.table({"x": [1, 2], "image": [b"1", b"2"]}), 2)
        tables.commit_parts(place, running, 1, 0.5)
        names = [entry.path for entry in uris.list_files(place)]
        parts.append({name: uris.read_bytes(uris.join(place, name)) for name in names})
    assert parts[0] == parts[1]
    assert len(parts[0]) == 2


@pytest.mark.parametrize("if_absent", [False, True])
def test_a_bucket_that_is_not_there_is_named_in_one_line(s3: str, if_absent: bool) -> None:
    with pytest.raises(UserError, match=r"^s3://no-such-bucket/x: .*bucket does not exist") as error:
        uris.write_bytes("s3://no-such-bucket/x", b"1", if_absent=if_absent)
    assert "\n" not in str(error.value)


def test_overwriting_a_claimed_file_is_still_possible(s3: str) -> None:
    uris.write_bytes(f"{s3}/claim", b"1", if_absent=True)
    uris.write_bytes(f"{s3}/claim", b"2")
    assert uris.read_bytes(f"{s3}/claim") == b"2"
    uris.delete(f"{s3}/claim")
    uris.write_bytes(f"{s3}/claim", b"3", if_absent=True)
    assert uris.read_bytes(f"{s3}/claim") == b"3"


def test_deleting_the_last_file_of_a_folder_leaves_nothing_listed(s3: str) -> None:
    uris.write_bytes(f"{s3}/folder/only", b"1")
    uris.delete(f"{s3}/folder/only")
    assert uris.list_files(s3) == []
    assert uris.list_files(f"{s3}/folder") == []
