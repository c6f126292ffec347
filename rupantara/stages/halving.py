"""A trained checkpoint made half as large: the same network, its weights in half precision."""

import dataclasses

from rupantara.errors import UserError
from rupantara.generation import decoder_loading, flow_prior, variation, zoo_loading
from rupantara.imaging import codec
from rupantara.reports.grids import grid
from rupantara.storage import checkpoints, manifest, uris
from rupantara.storage.manifest import DataFile, Manifest
from rupantara.tensors import to_pictures
from rupantara.types import Picture

KINDS = (zoo_loading.MODEL_TYPE, decoder_loading.MODEL_TYPE, flow_prior.MODEL_TYPE)
"""Schemas of checkpoints that need nothing else."""

SAMPLES, ROW, ROWS = "samples.jpg", 8, 2
SYNTHETIC = "Pictures from it are synthetic."
"""Sentence of every card before which is said what it was trained on."""


def halve(checkpoint: str, packed: str, running: Manifest, data: str, seed: int) -> None:
    """Write a checkpoint at half precision and commit it; `data` is what the card says of the photographs and their terms.

    A VAE of the zoo gets a sheet of people drawn from its prior. NotFiniteError for weights that half precision cannot hold.
    """
    kind = running.schema
    trained, stored = manifest.require(checkpoint, kind), checkpoints.read(checkpoint, kind)
    tensors = {name: value.half() if value.is_floating_point() else value for name, value in stored.tensors.items()}
    drawn = kind == zoo_loading.MODEL_TYPE
    card = uris.read_bytes(uris.join(checkpoint, checkpoints.CARD)).decode()
    sheet = f"\n\n![People drawn from the prior]({SAMPLES})" if drawn else ""
    if SYNTHETIC not in card:
        raise UserError(
            f"the card of {checkpoint} must have the sentence {SYNTHETIC!r}, before which its photographs' terms are said"
        )
    told = f"{data} Weights are stored in half precision.{sheet}".strip()
    card = card.replace(SYNTHETIC, f"{told}\n\n{SYNTHETIC}", 1)
    files, digest = checkpoints.write(packed, stored.config, tensors, card)
    done = dataclasses.replace(
        running,
        state="complete",
        files=tuple(files),
        counts=trained.counts,
        extra={**trained.extra, "model_sha256": digest, "trained": trained.fingerprint},
    )
    if drawn:
        picture = codec.encode_jpeg(sample_sheet(checkpoint, seed), 90)
        uris.write_bytes(uris.join(packed, SAMPLES), picture)
        done = dataclasses.replace(done, files=(*files, DataFile(SAMPLES, 0, len(picture))))
    manifest.commit(packed, done, running)


def sample_sheet(checkpoint: str, seed: int) -> Picture:
    """Return a sheet of people drawn from the prior of a VAE of the zoo, in rows of ROW."""
    model = zoo_loading.load(checkpoint).model
    pictures = list(to_pictures(variation.from_prior(model, ROW * ROWS, seed)))
    return grid([pictures[start : start + ROW] for start in range(0, len(pictures), ROW)])
