"""Arrays of numbers that users bring as .npy files."""

import hashlib
import io
import zipfile

import numpy as np

from rupantara.errors import UserError
from rupantara.storage import uris


def read_rows(uri: str, flag: str) -> tuple[np.ndarray, str]:
    """Read numbers [n, dim], n at least 1, and the SHA-256 of the file; UserError about the flag that names it for anything else."""
    try:
        data = uris.read_bytes(uri)
        rows = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{flag} must be a .npy file of numbers [n, dim], got {uri!r}: {error}") from None
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype.kind not in "fiu":
        shape = list(getattr(rows, "shape", ()))
        raise UserError(f"{flag} must be a .npy file of numbers [n, dim], got {shape} in {uri!r}")
    if not len(rows):
        raise UserError(f"{flag} must hold at least one row, got none in {uri!r}")
    return rows, hashlib.sha256(data).hexdigest()
