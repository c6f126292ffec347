"""Lists of ids as people hand them in: a text file, or a spreadsheet's CSV."""

import codecs
import csv
import io

from rupantara.errors import UserError
from rupantara.storage import uris

MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
"""Byte-order marks and what they say; without one a file is UTF-8."""

DELIMITERS = ",;\t"
"""What spreadsheets put between columns; an id holds none of them."""


def parse(data: bytes, name: str) -> list[str]:
    """Read one id a line, or the first column of a CSV; return the ids in order, each once.

    UTF-8 with or without a byte-order mark and UTF-16 by its mark are read; quotes, blanks and empty lines are dropped, and
    so is a first line that names the column (`face_id` or `id`). Raise UserError, naming the file, for other encodings.
    """
    text = _decode(data, name)
    ids = (_first_cell(line) for line in text.splitlines())
    found = list(dict.fromkeys(i for i in ids if i))
    return found[1:] if found and found[0].lower() in ("face_id", "face id", "id") else found


def _decode(data: bytes, name: str) -> str:
    mark, encoding = next((pair for pair in MARKS if data.startswith(pair[0])), (b"", "utf-8"))
    try:
        text = data.removeprefix(mark).decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(f"{name} must be text in UTF-8 or UTF-16, got byte {error.object[error.start]:#04x}") from error
    if "\0" in text:
        raise UserError(f"{name} must be text in UTF-8 or UTF-16 with a byte-order mark, got zero bytes")
    return text


def _first_cell(line: str) -> str:
    delimiter = next((d for d in DELIMITERS if d in line), ",")
    row = next(csv.reader(io.StringIO(line.strip()), delimiter=delimiter, skipinitialspace=True), [])
    return row[0].strip().strip("'\"").strip() if row else ""


def named(flag: str) -> list[str]:
    """Return the ids that a flag names: itself, or those of the list @PATH."""
    return parse(uris.read_bytes(flag[1:]), flag[1:]) if flag.startswith("@") else [flag]
