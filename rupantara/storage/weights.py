"""The catalogue of pretrained networks: what each is, its licence, its hash and where a user can fetch it.

Nothing is fetched at import or inside a job. `python -m rupantara.storage.weights pull NAME --to FOLDER` is for users with a
network; a job takes the folder.
"""

import argparse
import hashlib
import sys
import urllib.request
from dataclasses import dataclass

from rupantara.errors import MissingError, UserError
from rupantara.storage import uris


@dataclass(frozen=True)
class Entry:
    """One file of a pretrained network."""

    name: str
    file: str
    sha256: str
    license: str
    format: str
    loader: str
    urls: tuple[str, ...] = ()

    def fits(self, digest: str) -> bool:
        """Tell whether a file is the known one; of some, no more of the hash is known here than its beginning, or nothing."""
        return digest.startswith(self.sha256)


VGGFACE = (
    (
        "vggface_pytorch",
        "vgg_face_dag.pth",
        "torch",
        ("https://www.robots.ox.ac.uk/~albanie/models/pytorch-mcn/vgg_face_dag.pth",),
    ),
    ("vggface_caffe", "vgg_face_caffe.pth", "torch", ()),
    (
        "vggface_keras",
        "rcmalli_vggface_tf_vgg16.h5",
        "keras",
        ("https://github.com/rcmalli/keras-vggface/releases/download/v2.0/rcmalli_vggface_tf_vgg16.h5",),
    ),
)
"""The published layouts of one network; their hashes could not be taken here, so these files are not checked."""

CATALOGUE = {
    entry.name: entry
    for entry in (
        Entry(
            "yunet",
            "yunet_n_dynamic.onnx",
            "104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12",
            "BSD-3-Clause (libfacedetection.train)",
            "onnx",
            "rupantara.faces.detector.YuNet",
            ("https://raw.githubusercontent.com/ShiqiYu/libfacedetection.train/master/onnx/yunet_n_dynamic.onnx",),
        ),
        Entry(
            "pfld",
            "pfld.onnx",
            "7d7bbd5c6a1d9272e58d9773898284a1905d872eba9a662df9b5f20f1ba6f83e",
            "unstated by its publisher",
            "onnx",
            "rupantara.faces.pfld.PFLD",
        ),
        Entry(
            "mobilefacenet",
            "mobilefacenet.npz",
            "460e6cb82029744d79f7b66b36dde1d1d3401bde4138c30721f51fa03b5b4a2e",
            "unstated by its publisher",
            "npz",
            "rupantara.models.mobilefacenet.from_published",
        ),
        *(
            Entry(
                name,
                file,
                "",
                "CC BY-NC 4.0 (VGG, Oxford)",
                layout,
                "rupantara.features.vggface_files.load_vggface",
                urls,
            )
            for name, file, layout, urls in VGGFACE
        ),
        Entry(
            "e4e",
            "e4e_ffhq_encode.pt",
            "",
            "MIT (Tov et al.); trained on FFHQ, CC BY-NC-SA 4.0",
            "torch",
            "rupantara.models.e4e.from_published",
        ),
        Entry(
            "vgg16",
            "vgg16-397923af.pth",
            "397923af",
            "BSD-3-Clause (torchvision)",
            "torch",
            "rupantara.models.vgg16.from_published",
            ("https://download.pytorch.org/models/vgg16-397923af.pth",),
        ),
        Entry(
            "squeezenet",
            "squeezenet_v1.1.npz",
            "177d5346e6812c2283088c4225790dc9dd7e3fc940a3589344d78b0e27c0be83",
            "BSD-2-Clause",
            "npz",
            "rupantara.models.squeezenet.from_published",
        ),
        Entry(
            "lpips_squeeze",
            "lpips_v0.1/squeeze.pth",
            "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
            "BSD-2-Clause",
            "torch",
            "rupantara.metrics.perceptual.load_heads",
            ("https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1/squeeze.pth",),
        ),
    )
}


def load(folder: str, name: str) -> bytes:
    """Read a network's file from a folder or bucket and check its hash; MissingError says how to come by it."""
    entry = CATALOGUE[name]
    uri = uris.join(folder, entry.file)
    if not uris.exists(uri):
        command = f"fetch it with `python -m rupantara.storage.weights pull {name} --to {folder}`"
        known = f" of SHA-256 {entry.sha256[:16]}…" if entry.sha256 else ""
        put = f"no public address that serves it is known: put the file{known} there"
        raise MissingError(f"{name} is needed and {uri} is not there; {command if entry.urls else put}")
    data = uris.read_bytes(uri)
    digest = hashlib.sha256(data).hexdigest()
    if not entry.fits(digest):
        raise UserError(f"{uri} must have SHA-256 {entry.sha256[:16]}…, got {digest[:16]}…: it is not the known {name}")
    return data


def has(folder: str, name: str) -> bool:
    """Tell whether a folder or bucket holds a network's file."""
    return bool(folder) and uris.exists(uris.join(folder, CATALOGUE[name].file))


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
