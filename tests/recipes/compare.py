"""Two outputs of one recipe, compared row for row: ids, pictures and numbers, to the bit; PNGs by their pixels and text."""

import io
import re
from pathlib import Path

import pyarrow as pa
from PIL import Image
from safetensors.numpy import load_file

from rupantara.storage import manifest, tables

PNG = b"\x89PNG"
BYTES = (".tar", ".npy", ".jpg", ".png", ".bin", ".faiss", ".safetensors.index")
"""Endings of the files beside the rows that are compared, by their bytes or as `shown`; cards and reports only draw what the rows say."""


def differences(old: Path, new: Path) -> list[str]:
    """Say in what two folders of outputs differ; an empty list = in nothing that decides anything."""
    outputs = [sorted(str(p.parent.relative_to(root)) for p in root.rglob(manifest.NAME)) for root in (old, new)]
    if outputs[0] != outputs[1]:
        return [f"outputs {outputs[0]} became {outputs[1]}"]
    found = []
    for name in outputs[0]:
        found += _rows(old / name, new / name) + _weights(old / name, new / name) + _files(old / name, new / name)
    return found


def _rows(old: Path, new: Path) -> list[str]:
    before, after = (_read(folder) for folder in (old, new))
    if before is None or after is None:
        return []
    if before.schema != after.schema:
        return [f"columns {before.schema.names} became {after.schema.names}, or their types changed"]
    if before.num_rows != after.num_rows:
        return [f"{before.num_rows} rows became {after.num_rows}"]
    found = []
    for name in before.column_names:
        pairs = zip(before[name].to_pylist(), after[name].to_pylist(), strict=True)
        # Not by ==, to which NaN is never the same.
        moved = [i for i, (a, b) in enumerate(pairs) if repr(shown(a)) != repr(shown(b))]
        if moved:
            found.append(
                f"column {name} differs in {len(moved)} of {before.num_rows} rows, the first is row {moved[0]}"
            )
    return found


def shown(value: object) -> object:
    """Return a PNG's pixels and text in place of its bytes, which say as much by any encoder; other values as they are."""
    if not isinstance(value, bytes) or not value.startswith(PNG):
        return value
    with Image.open(io.BytesIO(value)) as image:
        return image.mode, image.size, image.tobytes(), sorted(image.info.items())


def _read(folder: Path) -> pa.Table | None:
    complete = manifest.read(str(folder))
    return pa.concat_tables(list(tables.read_parts(str(folder)))) if complete and complete.data else None


def _weights(old: Path, new: Path) -> list[str]:
    found = []
    for path in sorted(old.glob("*.safetensors")):
        before, after = load_file(path), load_file(new / path.name) if (new / path.name).exists() else {}
        moved = [n for n in sorted(before.keys() | after.keys()) if not _equal(before.get(n), after.get(n))]
        if moved:
            found.append(f"{path.name}: {len(moved)} of {len(before)} tensors differ, the first is {moved[0]}")
    return found


def _equal(one: object, other: object) -> bool:
    return one is not None and other is not None and one.shape == other.shape and one.tobytes() == other.tobytes()


def _files(old: Path, new: Path) -> list[str]:
    before, after = (_named(folder) for folder in (old, new))
    if before.keys() != after.keys():
        return [f"files {sorted(before.keys() ^ after.keys())[:3]} are in one of both alone"]
    return [
        f"file {name} differs" for name in before if shown(before[name].read_bytes()) != shown(after[name].read_bytes())
    ]


def _named(folder: Path) -> dict[str, Path]:
    """Map files by their names without the fingerprint that some begin with."""
    complete = manifest.read(str(folder))
    assert complete is not None
    paths = [folder / f.path for f in complete.files if f.path.endswith(BYTES)]
    paths += [p for p in folder.glob("*") if p.suffix in BYTES]
    return {re.sub(r"\b[0-9a-f]{12}\b", "*", str(p.relative_to(folder))): p for p in paths}
