"""Ids come out of every file that a spreadsheet or an editor makes of them."""

import codecs

import pytest

from rupantara.errors import UserError
from rupantara.storage import id_lists

IDS = [f"{i:032x}-0" for i in (7, 0xABC, 2**100)]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(IDS),
        "\r\n".join(IDS) + "\r\n\r\n",
        "\r".join(IDS),
        "".join(f"  {i}\t\n" for i in IDS),
        "face_id,name\n" + "".join(f'"{i}","Ann, ""A"" B"\n' for i in IDS),
        '"Face_ID";"why"\r\n' + "".join(f'"{i}";"asked"\r\n' for i in IDS),
        "".join(f"'{i}'\n" for i in (*IDS, IDS[0])),
        "".join(f'"{i}"\tx\n' for i in IDS),
    ],
    ids=["plain", "dos", "mac", "blanks", "csv", "semicolons", "quoted", "tabs"],
)
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ],
)
def test_every_layout_and_encoding_gives_the_same_ids(text: str, mark: bytes, encoding: str) -> None:
    assert id_lists.parse(mark + text.encode(encoding), "ids.csv") == IDS


@pytest.mark.parametrize("data", ["\n".join(IDS).encode("utf-16-le"), b"\xff\xfeabc", b"\x81\x8d", b"PK\x03\x04\xb4\0"])
def test_what_is_no_text_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(UserError, match=r"ids\.xlsx must be text"):
        id_lists.parse(data, "ids.xlsx")


def test_an_empty_file_has_no_ids() -> None:
    assert id_lists.parse(b"", "x") == id_lists.parse(codecs.BOM_UTF8 + b"\n \n", "x") == []
