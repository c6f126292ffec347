"""Latent codecs out of their files: a checkpoint of a region VAE, or a weights folder with e4e's published file."""

import io

import torch

from rupantara.errors import MissingError, UserError
from rupantara.generation import loading
from rupantara.models.codecs import LatentCodec, Moments, e4e_stylegan2, region_vae
from rupantara.storage import uris, weights

COLUMNS = {region_vae.NAME: ("global_mu", "regions_mu"), e4e_stylegan2.NAME: ("e4e",)}
"""Columns of a features table that hold a codec's raw codes."""


def name_of(uri: str) -> str:
    """Tell which codec a place holds; UserError where it holds none."""
    if uris.exists(uris.join(uri, "config.json")):
        return region_vae.NAME
    if weights.has(uri, "e4e"):
        return e4e_stylegan2.NAME
    file = weights.CATALOGUE["e4e"].file
    raise MissingError(f"a codec must be a checkpoint of jobs.train_vae, or a folder with {file}: {uri} is neither")


def sha256(uri: str) -> str:
    """Return the SHA-256 of the codec's weights, the decoder's among them."""
    return loading.model_sha256(uri) if name_of(uri) == region_vae.NAME else weights.sha256(uri, "e4e")


def codes_sha256(uri: str) -> str:
    """Return what names the codec's codes (`LatentCodec.codes_sha256`); no weights are read."""
    return loading.codes_sha256(uri) if name_of(uri) == region_vae.NAME else weights.sha256(uri, "e4e")


def load(uri: str, moments: Moments | None = None) -> LatentCodec:
    """Load a codec that standardizes by the moments; a region VAE has none of its own."""
    if name_of(uri) == region_vae.NAME:
        if moments is None:
            raise UserError(f"codes of {uri} need the moments of a blender's checkpoint to be standardized by")
        found = loading.load(uri)
        return region_vae.RegionVAECodec(found.model, moments, found.sha256, found.codes_sha256)
    data = torch.load(io.BytesIO(weights.load(uri, "e4e")), map_location="cpu", weights_only=True)
    return e4e_stylegan2.from_published(data["state_dict"], data["latent_avg"], moments, weights.sha256(uri, "e4e"))
