"""Pretrained networks of the catalogue: read from a user's folder, else from those that ship with the product.

Nothing is fetched at import or inside a job. `python -m rupantara.storage.weights pull NAME --to FOLDER` is for users with a
network; a job takes the folder.
"""

import argparse
import hashlib
import io
import sys
import urllib.request
from pathlib import Path

import numpy as np
from safetensors.numpy import load as load_tensors

from rupantara.errors import MissingError, UserError
from rupantara.storage import eight_bits, uris
from rupantara.storage.catalogue import CATALOGUE, Entry

__all__ = ["CATALOGUE", "Entry", "arrays", "available", "has", "load", "pull", "sha256"]

SHIPPED = Path(__file__).resolve().parents[2] / "pretrained/networks"
"""Networks that ship with the product, licence and notice beside each."""


def load(folder: str, name: str) -> bytes:
    """Read a network's file from a folder or bucket, else the shipped one, and check its hash.

    An empty folder means the shipped networks. MissingError says how to come by a network that is in neither.
    """
    entry, ships = CATALOGUE[name], not has(folder, name)
    if ships and not entry.shipped:
        raise MissingError(_missing(entry, folder))
    uri = uris.join(str(SHIPPED), entry.shipped) if ships else uris.join(folder, entry.file)
    data = uris.read_bytes(uri)
    digest = hashlib.sha256(data).hexdigest()
    if not entry.fits(digest, shipped=ships):
        known = entry.shipped_sha256 if ships else entry.sha256
        raise UserError(f"{uri} must have SHA-256 {known[:16]}…, got {digest[:16]}…: it is not the known {name}")
    return data


def _missing(entry: Entry, folder: str) -> str:
    if not folder:
        return f"{entry.name} is needed, which does not ship: give --weights, a folder with {entry.file}"
    command = f"fetch it with `python -m rupantara.storage.weights pull {entry.name} --to {folder}`"
    known = f" of SHA-256 {entry.sha256[:16]}…" if entry.sha256 else ""
    put = f"no public address that serves it is known: put the file{known} there"
    return f"{entry.name} is needed and {uris.join(folder, entry.file)} is not there; {command if entry.urls else put}"


def arrays(folder: str, name: str) -> dict[str, np.ndarray]:
    """Read a network's tensors, of an npz or safetensors file, as float32 where they are numbers of any other kind."""
    data = load(folder, name)
    if data[:2] == b"PK":
        return dict(np.load(io.BytesIO(data), allow_pickle=False))
    return eight_bits.unpack(load_tensors(data))


def has(folder: str, name: str) -> bool:
    """Tell whether a folder or bucket holds a network's file."""
    return bool(folder) and uris.exists(uris.join(folder, CATALOGUE[name].file))


def available(folder: str, name: str) -> bool:
    """Tell whether a network can be loaded: from the folder, or because it ships."""
    return bool(CATALOGUE[name].shipped) or has(folder, name)


def sha256(folder: str, name: str) -> str:
    """Return the SHA-256 of a network's file."""
    return hashlib.sha256(load(folder, name)).hexdigest()


def pull(name: str, folder: str) -> str:
    """Fetch a network's file into a folder, checking its hash, and return where it lies."""
    entry = CATALOGUE.get(name)
    if entry is None:
        raise UserError(f"network must be one of {', '.join(CATALOGUE)}, got {name!r}")
    for url in entry.urls:
        with urllib.request.urlopen(url, timeout=60) as answer:
            data = answer.read()
        if entry.fits(hashlib.sha256(data).hexdigest()):
            uris.write_bytes(uris.join(folder, entry.file), data)
            return uris.join(folder, entry.file)
    raise UserError(
        f"{name} has no address that serves the file with SHA-256 {entry.sha256[:16]}…; put {entry.file} there"
    )


def main(arguments: list[str] | None = None) -> int:
    """List the catalogue or pull from it."""
    parser = argparse.ArgumentParser(prog="python -m rupantara.storage.weights", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="names, files, hashes and licences")
    fetch = verbs.add_parser("pull", help="fetch one network")
    fetch.add_argument("name")
    fetch.add_argument("--to", default="weights", help="folder or s3:// prefix")
    args = parser.parse_args(arguments)
    if args.verb == "list":
        for entry in CATALOGUE.values():
            print(f"{entry.name:15} {entry.file:22} {entry.sha256 or 'not checked':64}  {entry.license}")
        return 0
    try:
        print(pull(args.name, args.to))
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
